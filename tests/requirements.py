"""What a test needs from the machine it runs on: it skips and says why, or fails where everything is required."""

from __future__ import annotations

import os

import pytest

REQUIRE_ALL = "UNIT_TAILOR_REQUIRE_ALL"
"""Set to 1 where every test must be able to run (continuous integration): a test that cannot run then fails."""


def require(condition: bool, reason: str) -> None:
    """Skip the running test with ``reason`` unless ``condition`` holds; under UNIT_TAILOR_REQUIRE_ALL=1 fail it."""
    if condition:
        return
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{reason} ({REQUIRE_ALL}=1: nothing may be skipped here)", pytrace=False)
    pytest.skip(f"{reason} (set {REQUIRE_ALL}=1 to make this a failure)")
