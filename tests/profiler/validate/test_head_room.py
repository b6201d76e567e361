"""A slow tracer does not make systemd lose patience, and nothing of that is left, however the recording ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from profiler.engines.choice import Engine
from profiler.host import read_host_facts
from profiler.record import record_unit
from profiler.twin import Twin
from profiler.unit.time_limits import time_limits, watchdog_in_force
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.attendance import record_attended
from profiler.validate.head_room import HeadRoom, longer
from profiler.validate.validation import validate
from tests.profiler.validate.dies import ASSIGNMENTS
from tests.profiler.validate.services import DROP_IN, left_behind, remove, transients
from tests.system.test_agreement import require_engine

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAM = """
import os, socket, sys, time
systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def calls(count):
    for _ in range(count):
        os.stat("/")
def say(words):
    systemd.sendto(words, os.environ["NOTIFY_SOCKET"].replace("@", chr(0)))
open("/run/tailor-patience", "a").write(os.environ["WATCHDOG_USEC"] + chr(10))
calls(int(sys.argv[1]))
say(b"READY=1")
while True:
    say(b"WATCHDOG=1")
    calls(int(sys.argv[1]))
    time.sleep(0.1)
"""
"""Makes many calls until it is up, and between two reports to the watchdog."""

FEW, MANY = 10, 20_000
SECOND = 1_000_000
LIMITS = ["TimeoutStartUSec", "TimeoutStopUSec", "TimeoutAbortUSec", "RuntimeMaxUSec"]
SHOW = "systemctl show --property=TimeoutStartUSec,TimeoutStopUSec,WatchdogUSec,RuntimeMaxUSec -- tailor-patience"


@pytest.fixture
def service(session_twin: Twin) -> Iterator[Callable[[int], Unit]]:
    """Return a function that starts the service, with this many calls between two reports."""
    made = []

    def start(calls: int) -> Unit:
        session_twin.path("/usr/local/bin/tailor-patience").write_text(PROGRAM)
        session_twin.path("/etc/systemd/system/tailor-patience.service").write_text(
            "[Unit]\nJobTimeoutSec=20\n"
            "[Service]\nType=notify\nWatchdogSec=1\nTimeoutStartSec=2\nTimeoutStopSec=2\nUMask=0077\n"
            f"ExecStart=/usr/bin/python3 -I /usr/local/bin/tailor-patience {calls}\n"
        )
        session_twin.run(["systemctl", "daemon-reload"])
        unit = Unit.load(session_twin, "tailor-patience")
        unit.systemctl.change("start", unit.name)
        made.append(unit)
        return unit

    yield start
    for unit in made:
        remove(unit)
    session_twin.run(["rm", "-f", "/run/tailor-patience", "/usr/local/bin/tailor-patience"])


def in_force(unit: Unit) -> dict[str, str]:
    """Return what systemd holds for the unit and for its process."""
    return unit.systemctl.show(unit.name, [*LIMITS, "JobTimeoutUSec", "WatchdogUSec", "DropInPaths"])


def test_the_limits_of_a_unit_defaults_included(service: Callable[[int], Unit]) -> None:
    unit = service(FEW)
    limits = {limit.name: limit.microseconds for limit in time_limits(unit)}

    wanted = {"TimeoutStartSec": 2, "TimeoutStopSec": 2, "TimeoutAbortSec": 2, "WatchdogSec": 1}
    wanted |= {"JobTimeoutSec": 20, "JobRunningTimeoutSec": 20}  # the second follows the first (systemd.unit(5))
    assert limits == {name: seconds * SECOND for name, seconds in wanted.items()}
    assert "[Unit]\nJobTimeoutSec=320000000us\n" in HeadRoom(time_limits(unit)).text


def test_what_has_no_end_keeps_it(session_twin: Twin) -> None:
    session_twin.path("/run/systemd/system/tailor-patient.service").write_text(
        "[Service]\nType=oneshot\nTimeoutStopSec=infinity\nExecStart=/bin/true\n"
    )
    session_twin.run(["systemctl", "daemon-reload"])
    unit = Unit.load(session_twin, "tailor-patient")
    try:
        assert time_limits(unit) == ()
        assert HeadRoom(time_limits(unit)).text == ""
    finally:
        remove(unit)


@pytest.mark.parametrize("attach", [False, True])
def test_while_it_is_recorded_systemd_waits_longer(service: Callable[[int], Unit], attach: bool) -> None:
    """# hard case 190, 208."""
    unit = service(FEW)
    before = in_force(unit)
    seen = unit.machine.path("/run/tailor-seen")
    said: list[str] = []

    use = Workload(f"{SHOW} > /run/tailor-seen")
    recorded = record_attended(unit, workload=use, engine=Engine.STRACE, announce=said.append, attach=attach)

    assert recorded.error is None and recorded.lived.workload_error is None
    assert "WatchdogUSec=5min 1s\n" in seen.read_text()
    assert ("TimeoutStartUSec=5min 2s\n" in seen.read_text()) == (not attach)
    assert "RuntimeMaxUSec=infinity\n" in seen.read_text()
    assert in_force(unit) == before
    assert unit.is_active()
    assert left_behind(unit) == transients(unit) == []
    assert len([line for line in said if "longer" in line]) == 1
    # What the service itself is told is its own.
    assert set(unit.machine.path("/run/tailor-patience").read_text().split()) == {str(SECOND)}


def test_the_fast_recorder_needs_none(service: Callable[[int], Unit]) -> None:
    require_engine(Engine.EBPF)
    unit = service(FEW)
    said: list[str] = []
    record_attended(unit, workload=Workload(f"{SHOW} > /run/tailor-seen"), engine=Engine.EBPF, announce=said.append)
    assert "TimeoutStartUSec=2s\n" in unit.machine.path("/run/tailor-seen").read_text()
    assert not [line for line in said if "longer" in line]


@pytest.mark.parametrize("keep", [False, True])
def test_a_validation_gives_it_too(service: Callable[[int], Unit], keep: bool) -> None:
    unit = service(FEW)
    before = in_force(unit)
    use = Workload(f"{SHOW} > /run/tailor-seen")
    host = read_host_facts(unit.machine)

    verdict = validate(unit, DROP_IN.decode(), ASSIGNMENTS, host, workload=use, engine=Engine.STRACE, keep=keep)

    assert verdict.problem == ""
    assert "WatchdogUSec=5min 1s\n" in unit.machine.path("/run/tailor-seen").read_text()
    after = in_force(unit)
    assert bool(after.pop("DropInPaths")) == keep
    assert after == {name: value for name, value in before.items() if name != "DropInPaths"}
    assert unit.is_active()


RECORD = """
import sys
from profiler import twin
from profiler.engines.choice import Engine
from profiler.unit.unit import Unit
from profiler.validate.attendance import record_attended

unit = Unit.load(twin.find(sys.argv[1]), "tailor-patience")
record_attended(unit, serving_for=60, engine=Engine.STRACE, attach="--attach" in sys.argv)
"""


@pytest.mark.parametrize("attach", [False, True])
def test_killed_in_the_middle_nothing_is_left(service: Callable[[int], Unit], attach: bool) -> None:
    """# hard case 214."""
    unit = service(FEW)
    before = in_force(unit)
    words = [sys.executable, "-c", RECORD, unit.machine.name, *(["--attach"] if attach else [])]
    recording = subprocess.Popen(words, cwd=REPOSITORY)
    wait_until(lambda: watchdog_in_force(unit) == longer(SECOND))

    recording.send_signal(signal.SIGKILL)
    recording.wait()

    wait_until(lambda: not transients(unit))
    assert in_force(unit) == before
    assert left_behind(unit) == []
    assert unit.is_active()


@pytest.mark.long
@pytest.mark.parametrize("engine", [Engine.STRACE, Engine.PTRACE])
def test_a_service_that_would_be_killed_lives(service: Callable[[int], Unit], engine: Engine) -> None:
    require_engine(engine)
    unit = service(MANY)
    without = record_unit(unit, serving_for=1, engine=engine)
    assert without.error is not None and "time" in without.error.message
    unit.systemctl.reset_failed(unit.name)
    unit.systemctl.change("restart", unit.name)
    before = in_force(unit), unit.properties()["NRestarts"]

    recorded = record_attended(unit, serving_for=3, engine=engine)

    assert recorded.error is None
    assert recorded.lived.health.problem == ""
    assert (in_force(unit), unit.properties()["NRestarts"]) == before
    main = unit.properties()["MainPID"]
    time.sleep(2)
    assert unit.is_active() and unit.properties()["MainPID"] == main


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait; fails after half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
