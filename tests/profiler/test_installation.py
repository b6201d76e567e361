"""The guard in front of policy (with real foreign packages in tests/packaging)."""

from __future__ import annotations

import importlib.machinery
import sys
from pathlib import Path

import pytest

from profiler import installation
from profiler.errors import ToolError


def test_this_installation_is_whole() -> None:
    installation.ensure_own_policy()


@pytest.mark.parametrize("make", [lambda place: place.mkdir(), lambda place: None])
def test_without_a_first_file_it_is_incomplete(make: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(make)
    make(tmp_path / "policy")
    monkeypatch.setattr(installation, "HOME", tmp_path)
    monkeypatch.setattr(
        installation, "_find_policy", lambda: importlib.machinery.PathFinder.find_spec("policy", [str(tmp_path)])
    )
    with pytest.raises(ToolError, match="incomplete"):
        installation.ensure_own_policy()


def test_a_module_without_a_specification_does_not_break_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "policy", type(sys)("policy"))
    with pytest.raises(ToolError, match="incomplete"):
        installation.ensure_own_policy()
