"""The helper that skips: it must skip with its reason, and fail where everything is required."""

from __future__ import annotations

import pytest

from tests.requirements import REQUIRE_ALL, require


def test_a_met_requirement_lets_the_test_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE_ALL, "1")
    require(True, "never shown")


def test_an_unmet_requirement_skips_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE_ALL, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no strace here"):
        require(False, "no strace here")


def test_an_unmet_requirement_fails_where_everything_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE_ALL, "1")
    with pytest.raises(pytest.fail.Exception, match="no strace here"):
        require(False, "no strace here")
