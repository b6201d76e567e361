"""Fixtures that all tests share. Twins come from ``tests/twin_fixtures.py``, where that file exists."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.requirements import REQUIRE_ALL

REPOSITORY = Path(__file__).resolve().parent.parent

# No test is timed: a busy machine makes nothing wrong.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

pytest_plugins = ["tests.twin_fixtures"] if (REPOSITORY / "tests" / "twin_fixtures.py").is_file() else []


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


def pytest_report_header() -> str:
    """Say at the top of a run how tests that cannot run here are treated."""
    return f"{REQUIRE_ALL}=1 turns the skips of tests that cannot run here into failures"
