"""A drop-in on trial: in force while it lasts, gone afterwards, also when we die in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from profiler.errors import ToolError
from profiler.twin import Twin
from profiler.unit.unit import OUR_DROP_IN, Unit
from profiler.validate.guard import locked
from profiler.validate.trial import on_trial

DROP_IN = "[Service]\nNoNewPrivileges=yes\n"

DIES_IN_A_TRIAL = """
import sys, time
from profiler import twin
from profiler.unit.unit import Unit
from profiler.validate.trial import on_trial
unit = Unit.load(twin.find(sys.argv[1]), sys.argv[2])
with on_trial(unit, "[Service]\\nNoNewPrivileges=yes\\n"):
    if sys.argv[3] == "restarted":
        unit.systemctl.change("restart", unit.name)
    print("now", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def unit(session_twin: Twin) -> Iterator[Unit]:
    name = "tailor-trial.service"
    session_twin.path(f"/run/systemd/system/{name}").write_text("[Service]\nExecStart=/bin/sleep 600\n")
    session_twin.run(["systemctl", "daemon-reload"])
    unit = Unit.load(session_twin, name)
    unit.systemctl.change("start", name)
    yield unit
    unit.systemctl.change("stop", name)
    session_twin.path(f"/run/systemd/system/{name}").unlink()
    session_twin.run(["systemctl", "daemon-reload"])


def test_the_drop_in_is_in_force_and_then_gone(unit: Unit) -> None:
    with on_trial(unit, DROP_IN) as trial:
        unit.systemctl.change("restart", unit.name)
        assert no_new_privileges(unit)
        assert unit.files()[-1] == trial.path

    assert_as_it_was(unit)


def test_an_error_during_the_trial_puts_the_unit_back(unit: Unit) -> None:
    def fail() -> None:
        with on_trial(unit, DROP_IN):
            unit.systemctl.change("restart", unit.name)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert_as_it_was(unit)


def test_a_unit_that_was_stopped_is_stopped_again(unit: Unit) -> None:
    unit.systemctl.change("stop", unit.name)

    with on_trial(unit, DROP_IN):
        unit.systemctl.change("restart", unit.name)

    assert not unit.is_active()


def test_a_kept_drop_in_stays_until_the_next_boot(unit: Unit) -> None:
    with on_trial(unit, DROP_IN) as trial:
        unit.systemctl.change("restart", unit.name)
        trial.keep = True

    kept = unit.installed_drop_in()
    assert kept == f"/run/systemd/system/{unit.name}.d/{OUR_DROP_IN}"
    assert no_new_privileges(unit)
    unit.machine.path(kept).unlink()
    unit.machine.path(kept).parent.rmdir()


@pytest.mark.parametrize("moment", ["installed", "restarted"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_systemd_puts_the_unit_back_when_we_die(unit: Unit, moment: str, number: signal.Signals) -> None:
    command = [sys.executable, "-c", DIES_IN_A_TRIAL, unit.machine.name, unit.name, moment]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"now\n"
        os.kill(process.pid, number)
        process.wait(30)

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (unit.installed_drop_in() or not unit.is_active() or no_new_privileges(unit)):
        time.sleep(0.05)
    assert_as_it_was(unit)


def test_an_ignored_line_is_told(unit: Unit) -> None:
    with on_trial(unit, "[Service]\nNoSuchSetting=yes\nNoNewPrivileges=yes\n") as trial:
        assert any("NoSuchSetting" in warning for warning in trial.warnings)


def test_a_drop_in_that_sorts_behind_ours_is_refused(unit: Unit) -> None:
    directory = unit.machine.path(f"/run/systemd/system/{unit.name}.d")
    directory.mkdir()
    (directory / "zzzz.conf").write_text("[Service]\nNoNewPrivileges=no\n")
    try:
        with pytest.raises(ToolError, match=r"zzzz\.conf comes after our drop-in"), on_trial(unit, DROP_IN):
            pass
    finally:
        (directory / "zzzz.conf").unlink()
        directory.rmdir()
        unit.systemctl.daemon_reload()

    assert_as_it_was(unit)


def test_only_one_of_us_works_on_a_unit(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiler.validate.guard.LOCK_WAIT", 0.3)

    with locked(unit), pytest.raises(ToolError, match="another unit-tailor is working on"), locked(unit):
        pass


def no_new_privileges(unit: Unit) -> bool:
    """Whether the running process is under the drop-in: the kernel's word, not systemd's."""
    main = unit.properties()["MainPID"]
    try:
        return "NoNewPrivs:\t1" in unit.machine.path(f"/proc/{main}/status").read_text()
    except OSError:
        return False


def assert_as_it_was(unit: Unit) -> None:
    """The unit runs under its own settings and nothing of ours is left, the guard included."""
    assert unit.is_active()
    assert not no_new_privileges(unit)
    assert unit.files() == [f"/run/systemd/system/{unit.name}"]
    assert not unit.machine.path(f"/run/systemd/system/{unit.name}.d").exists()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and guards(unit):
        time.sleep(0.05)
    assert guards(unit) == ""


def guards(unit: Unit) -> str:
    """Return the guards that systemd still has."""
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "unit-tailor-guard-*"]
    return unit.machine.run(command).stdout.strip()
