"""Killed before any of its changes, unit-tailor leaves the service whole: the policy before or the new one, no third.

A share of the points with one kind of service in a usual run; all of them with all kinds in ``make kill-test``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from policy.drop_in import stamped
from profiler.twin import Twin
from profiler.unit.unit import Unit
from profiler.validate.guard import STATE
from profiler.validate.installed import installed, permanent_path, trial_path
from profiler.validate.transaction import apply, revert
from tests.profiler.validate.dies import ASSIGNMENTS
from tests.profiler.validate.kill_table import KillTable
from tests.profiler.validate.services import (
    DROP_IN,
    TYPES,
    left_behind,
    make,
    no_new_privileges,
    remove,
    transients,
    unit_text,
)

EVERY_POINT = os.environ.get("UNIT_TAILOR_EVERY_POINT") == "1"
ACTIONS = ("record", "validate", "apply", "try", "confirm", "revert")
MORE_ACTIONS = ("record ebpf", "record strace", "record ptrace", "harden") if EVERY_POINT else ()
"""Tried with one kind of service."""

SHARE = 1 if EVERY_POINT else 8
KINDS = tuple(TYPES) if EVERY_POINT else ("notify",)
OURS = stamped(DROP_IN, "test")
REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Found:
    """What is in force for a unit, outside of memory: the contents of our files."""

    permanent: bytes | None
    trial: bytes | None


def found(unit: Unit) -> Found:
    """Look."""
    now = installed(unit)
    return Found(now.permanent, now.trial)


NOTHING, INSTALLED, ON_TRIAL = Found(None, None), Found(OURS, None), Found(None, OURS)
ENDS = {
    "record": {NOTHING},
    "harden": {NOTHING},
    "validate": {NOTHING},
    "apply": {NOTHING, INSTALLED},
    "try": {NOTHING, ON_TRIAL},
    "confirm": {ON_TRIAL, INSTALLED},
    "revert": {INSTALLED, NOTHING},
}
"""What may be installed after a death and the recovery from it."""


@pytest.fixture(scope="module", params=KINDS)
def unit(request: pytest.FixtureRequest, twin_with: object) -> Iterator[Unit]:
    machine: Twin = request.getfixturevalue("session_twin")
    unit = make(machine, f"tailor-kill-{request.param}.service", TYPES[request.param])
    yield unit
    remove(unit)


@pytest.fixture(scope="module")
def table() -> Iterator[KillTable]:
    table = KillTable()
    yield table
    if EVERY_POINT:
        table.write(REPOSITORY / "build" / "kill-test.json")


@pytest.mark.parametrize("action", (*ACTIONS, *MORE_ACTIONS))
def test_killed_at_any_point_the_service_is_whole(unit: Unit, action: str, table: KillTable) -> None:
    kind = unit.name.split("-")[-1].removesuffix(".service")
    if action in MORE_ACTIONS and kind != "notify":
        pytest.skip("tried with one kind of service")
    lived = prepared_run(unit, action, 0)
    names = lived.stdout.splitlines()
    assert len(names) >= 5, lived.stderr
    first = 1 if EVERY_POINT else 1 + ACTIONS.index(action) % SHARE

    for point in range(first, len(names) + 1, SHARE):
        killed = prepared_run(unit, action, point)
        where = f"{action} killed before point {point} of {len(names)}: {names[point - 1]}"

        if killed.returncode == 0:
            continue  # this run had fewer changes to make
        with table.row(kind, action, point, names[point - 1]):
            assert killed.returncode == -9, f"{where}: {killed.stderr}"
            assert found(unit).permanent in {None, OURS}, where
            settle(unit, where)
            assert found(unit) in ENDS[action.split(maxsplit=1)[0]], where
            assert_whole(unit, where)


def prepared_run(unit: Unit, action: str, point: int) -> subprocess.CompletedProcess[str]:
    """Bring the unit to where the action starts from, and run it until that point."""
    now = found(unit)
    if now != NOTHING:
        revert(unit)
    if action in {"confirm", "revert"}:
        within = 300.0 if action == "confirm" else 0.0
        assert apply(unit, OURS, ASSIGNMENTS, confirm_within=within).problem == ""
    arguments = ["-m", "tests.profiler.validate.dies", unit.machine.name, unit.name, action, str(point)]
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=REPOSITORY
    )


def settle(unit: Unit, where: str) -> None:
    """Wait until systemd has done what was left to do, without any command of ours."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        guards = [line for line in transients(unit) if "guard" in line]
        if not guards and not unit.machine.path(f"{STATE}/{unit.name}.note").exists() and unit.is_active():
            return
        time.sleep(0.1)
    pytest.fail(f"{where}: {transients(unit)}, {left_behind(unit)}, active: {unit.is_active()}")


def assert_whole(unit: Unit, where: str) -> None:
    """The service runs, untraced, under what is installed for it, and nothing else of ours is left."""
    now = installed(unit)
    ours = {permanent_path(unit.name): now.permanent, trial_path(unit.name): now.trial}
    expected = {path for path, data in ours.items() if data is not None}
    if now.trial is not None:
        assert now.pending is not None, where
        expected.add(now.pending.record)
    left = {path for path in left_behind(unit) if not path.endswith(".lock")}
    assert left == expected, where
    assert bool(transients(unit)) == (now.trial is not None), where
    assert no_new_privileges(unit) == bool(expected), where
    drop_ins = set(unit.files()[1:])
    kind = unit.name.split("-")[-1].removesuffix(".service")
    assert unit.machine.path(f"/etc/systemd/system/{unit.name}").read_text() == unit_text(TYPES[kind]), where
    assert drop_ins == expected - ({now.pending.record} if now.pending else set()), where
    status = unit.machine.path(f"/proc/{unit.properties()['MainPID']}/status").read_text()
    assert "TracerPid:\t0" in status, where
    assert "TracerPid:\t0" in unit.machine.path("/proc/1/status").read_text(), where
