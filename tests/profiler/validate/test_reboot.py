"""Killed, and the machine boots again before anybody recovers: what is on the disk puts nothing of ours in force.

The machine that boots is another twin, whose disk is a copy of the first one's at the kill: no /run, no memory.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler import twin
from profiler.twin import layers, state
from profiler.unit.unit import Unit
from profiler.validate.installed import installed, permanent_path
from tests.profiler.validate.services import TYPES, left_behind, make, no_new_privileges, remove, transients
from tests.profiler.validate.test_killed_anywhere import ENDS, Found, found, prepared_run, settle


@pytest.fixture(scope="module")
def unit(session_twin: twin.Twin) -> Iterator[Unit]:
    unit = make(session_twin, "tailor-reboot.service", TYPES["notify"])
    yield unit
    remove(unit)


@contextmanager
def booted_again(machine: twin.Twin, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[twin.Twin]:
    """Boot what is on the disk of a twin now, without anything that it only has in memory."""
    written = state.state_directory() / "twins" / machine.name / "store"
    layer = place / "layer"
    layer.mkdir()
    for tree in written.iterdir():
        subprocess.run(["cp", "-a", tree / "upper", layer / tree.name], check=True)
    monkeypatch.setattr(layers, "ensure", lambda _packages, _announce: (layer,))
    with twin.up() as booted:
        yield booted


USUAL = ("validate", "try")
MORE = ("record strace", "apply", "confirm", "revert")


@pytest.mark.parametrize("action", [*USUAL, *(pytest.param(one, marks=pytest.mark.long) for one in MORE)])
def test_after_a_reboot_without_recovery_nothing_half_done_is_in_force(
    unit: Unit, action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = ENDS[action.partition(" ")[0]]
    lived = prepared_run(unit, action, 0)
    points = lived.stdout.splitlines()
    deadly = len(points) * 2 // 3
    where = f"{action} killed before {points[deadly - 1]}"
    assert prepared_run(unit, action, deadly).returncode == -9, where
    assert isinstance(unit.machine, twin.Twin)
    with booted_again(unit.machine, tmp_path, monkeypatch) as booted:
        again = Unit.load(booted, unit.name)
        again.machine.run(["systemctl", "start", unit.name])
        assert again.is_active(), where
        now = installed(again)
        assert now.trial is None, where
        assert Found(now.permanent, None) in {Found(end.permanent, None) for end in ends}, where
        expected = {permanent_path(unit.name)} if now.permanent else set()
        assert set(left_behind(again)) == expected, where
        assert transients(again) == [], where
        assert no_new_privileges(again) == bool(expected), where
    settle(unit, where)
    assert found(unit) in ends, where
