"""A fast share of ``make fuzz``; and the targets under Hypothesis, which makes a failing input small."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import run
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_many_inputs(name: str) -> None:
    """# hard case 9, 10, 11: nothing crashes, nothing is invented, nothing is lost silently."""
    result = run.fuzz(name, 1_000, 0)
    assert result.failed == []


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.randoms(use_true_random=False))
def test_inputs_that_can_be_made_smaller(name: str, random: Random) -> None:
    TARGETS[name](random)


def test_the_inputs_are_at_least_as_many_as_asked_for() -> None:
    assert sum(run.shared_out(run.DEFAULT_INPUTS).values()) >= run.DEFAULT_INPUTS
    assert set(run.SHARES) == set(TARGETS)
