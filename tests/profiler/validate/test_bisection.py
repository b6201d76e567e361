"""The search for what is to blame: laws on sets, and real restarts of a service with a fault that no model knows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.validate.bisection import smallest_set


@given(st.integers(1, 60).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), max_size=5))))
def test_the_smallest_set_is_what_is_needed(case: tuple[int, set[int]]) -> None:
    size, needed = case
    asked = []

    def works(chosen: Sequence[int]) -> bool:
        asked.append(chosen)
        return needed <= set(chosen)

    assert set(smallest_set(size, works, 8)) == needed
    assert len(asked) <= 2 + len(needed) * (size.bit_length() + 1)


def test_if_not_even_all_are_enough_there_is_no_set() -> None:
    assert smallest_set(10, lambda _chosen: False, 8) == []


@given(st.sets(st.integers(0, 30), min_size=4, max_size=10))
def test_more_than_wanted_are_not_looked_for(needed: set[int]) -> None:
    assert smallest_set(31, lambda chosen: needed <= set(chosen), 3) == []


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_of_alternatives_one_is_enough(size: int) -> None:
    assert len(smallest_set(size, bool, 8)) == 1
