"""What goes wrong around a change: hanging stops, start limits, reloads by others, Ctrl-C, lost power, a dying twin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.drop_in import stamped
from profiler import twin
from profiler.errors import ToolError
from profiler.twin import Twin
from profiler.unit.systemctl import STOP_LIMIT
from profiler.unit.unit import Unit
from profiler.validate import guard
from profiler.validate.guard import locked, note_path
from profiler.validate.installed import installed, permanent_path
from profiler.validate.placing import put, staged_path
from profiler.validate.transaction import apply, revert
from tests.profiler.validate.dies import ASSIGNMENTS
from tests.profiler.validate.services import DROP_IN, TYPES, left_behind, make, no_new_privileges, remove, transients

OURS = stamped(DROP_IN, "test")
DEADLY = stamped(b"[Service]\nSystemCallFilter=~execve\n", "test")
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def unit(session_twin: Twin) -> Iterator[Unit]:
    unit = make(session_twin, "tailor-mishap.service", TYPES["simple"])
    yield unit
    remove(unit)


def assert_untouched(unit: Unit) -> None:
    deadline = time.monotonic() + 15
    while transients(unit) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert transients(unit) == []
    assert left_behind(unit) == []
    assert unit.is_active()
    assert not no_new_privileges(unit)
    assert unit.files() == [f"/etc/systemd/system/{unit.name}"]


@pytest.mark.long
def test_a_stop_that_hangs_is_waited_for(session_twin: Twin) -> None:
    stubborn = "ExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n"
    unit = make(session_twin, "tailor-stubborn.service", stubborn)
    try:
        time.sleep(0.5)  # the trap is set

        assert apply(unit, DEADLY, [("SystemCallFilter", "~execve")]).problem != ""

        assert_untouched(unit)
    finally:
        remove(unit)


@pytest.mark.long
def test_a_guard_ends_a_stop_that_has_no_end(session_twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PUT_BACK", guard.PUT_BACK.replace(f"timeout {STOP_LIMIT:.0f} ", "timeout 1 "))
    deaf = "TimeoutStopSec=infinity\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n"
    unit = make(session_twin, "tailor-endless.service", deaf)
    try:
        time.sleep(0.5)  # the trap is set
        before = unit.properties()["InvocationID"]
        words = {"duty": "put back", "words": [unit.name, "restart", ""]}
        put(session_twin, note_path(unit.name), json.dumps(words).encode(), 0o600)

        with locked(unit):
            pass

        assert unit.is_active()
        assert unit.properties()["InvocationID"] != before
    finally:
        session_twin.run(["systemctl", "kill", "--signal=KILL", unit.name], check=False)
        remove(unit)


@pytest.mark.long
def test_our_restarts_do_not_use_up_the_start_limit(session_twin: Twin) -> None:
    unit = make(session_twin, "tailor-limit.service", TYPES["simple"])
    path = session_twin.path(f"/etc/systemd/system/{unit.name}")
    path.write_text(f"[Unit]\nStartLimitIntervalSec=600\nStartLimitBurst=2\n{path.read_text()}")
    unit.systemctl.daemon_reload()
    try:
        for _ in range(2):
            assert apply(unit, DEADLY, [("SystemCallFilter", "~execve")]).problem != ""
        assert apply(unit, OURS, ASSIGNMENTS).problem == ""
        revert(unit)

        assert_untouched(unit)
    finally:
        remove(unit)


@pytest.mark.long
def test_reloads_by_others_do_not_matter(unit: Unit) -> None:
    over = threading.Event()

    def reload() -> None:
        while not over.is_set():
            unit.machine.run(["systemctl", "daemon-reload"], check=False)

    other = threading.Thread(target=reload)
    other.start()
    try:
        assert apply(unit, OURS, ASSIGNMENTS).problem == ""
        assert no_new_privileges(unit)
        revert(unit)
    finally:
        over.set()
        other.join()

    assert_untouched(unit)


def test_a_file_that_lost_power_is_not_read_and_goes_with_the_next_command(unit: Unit) -> None:
    staged = staged_path(permanent_path(unit.name))
    unit.machine.path(staged).parent.mkdir()
    for length in (0, 1, len(OURS) // 2, len(OURS) - 1, len(OURS)):
        unit.machine.path(staged).write_bytes(OURS[:length])
        unit.systemctl.daemon_reload()
        unit.systemctl.reset_failed(unit.name)  # or the fifth restart within 10 s is one too many
        unit.systemctl.change("restart", unit.name)
        assert unit.files() == [f"/etc/systemd/system/{unit.name}"], length
        assert not no_new_privileges(unit), length

    with locked(unit):
        pass

    assert left_behind(unit) == []


@pytest.mark.long
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("action", ["record", "validate", "apply", "try"])
def test_interrupted_at_any_point_the_service_is_whole(unit: Unit, action: str, number: str) -> None:
    names = interrupted(unit, action, 0, number).stdout.splitlines()
    assert len(names) >= 5
    take_away(unit)

    for point in range(1, len(names) + 1, 3):
        interrupted(unit, action, point, number)
        if number == "SIGTERM":  # sudden death here: the guard does what is left to do
            await_guard(unit)

        now = installed(unit)
        assert {now.permanent, now.trial} <= {None, OURS}, names[point - 1]
        assert unit.is_active(), names[point - 1]
        assert no_new_privileges(unit) == (now.in_force is not None), names[point - 1]
        take_away(unit)  # the interrupt may have come when all was done already
        # After a sudden death an empty lock file stays, until the next command.
        unit.machine.run(["rm", "-f", f"{guard.STATE}/{unit.name}.lock"])
        assert_untouched(unit)


def await_guard(unit: Unit) -> None:
    deadline = time.monotonic() + 20
    while unit.machine.path(note_path(unit.name)).exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def take_away(unit: Unit) -> None:
    if installed(unit).in_force is not None:
        revert(unit)


def interrupted(unit: Unit, action: str, point: int, number: str) -> subprocess.CompletedProcess[str]:
    arguments = ["-m", "tests.profiler.validate.dies", unit.machine.name, unit.name, action, str(point), number]
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False, cwd=REPOSITORY
    )


@pytest.mark.long
def test_a_twin_that_dies_is_an_error_and_nothing_is_left(fresh_twin: Twin) -> None:
    unit = make(fresh_twin, "tailor-lost.service", TYPES["simple"])
    arguments = ["-m", "tests.profiler.validate.dies", unit.machine.name, unit.name, "validate", "0"]
    with subprocess.Popen([sys.executable, *arguments], stderr=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        note = unit.machine.path(note_path(unit.name))
        while process.poll() is None and not note.exists():
            time.sleep(0.05)
        time.sleep(1.0)
        os.kill(fresh_twin.leader, signal.SIGKILL)
        _, said = process.communicate(timeout=120)

    assert process.returncode not in {0, None}
    assert "ToolError" in said or "CommandFailed" in said, said
    with pytest.raises(ToolError):
        unit.is_active()
    fresh_twin.down()
    assert fresh_twin.name not in [one.name for one in twin.present()]
