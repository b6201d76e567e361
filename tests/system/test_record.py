"""Recording tiny services of every type: systemd must see them as it always does, and nothing of ours may stay."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from policy.behaviour import Access, CapabilityUsed, PathUse, Phase, SocketOpened, SystemCall
from profiler import twin
from profiler.engines.choice import Engine
from profiler.record import record_command, record_unit
from profiler.twin import Twin
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from tests.twin_fixtures import require_twin

NOTIFIES = "import os,socket,time;s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);" + (
    "s.sendto(b'READY=1',os.environ['NOTIFY_SOCKET'].replace('@','\\\\0'));open('/var/tmp/marker','w');time.sleep(600)"
)

TYPES = {
    "simple": "ExecStart=/bin/sh -c 'echo x > /var/tmp/marker; exec sleep 600'",
    "exec": "ExecStart=/bin/sh -c 'echo x > /var/tmp/marker; exec sleep 600'",
    "notify": f'ExecStart=/usr/bin/python3 -c "{NOTIFIES}"',
    "forking": "PIDFile=/run/tailor-forking.pid\n"
    "ExecStart=/bin/sh -c 'echo x > /var/tmp/marker; sleep 600 & echo $$! > /run/tailor-forking.pid'",
    "oneshot": "RemainAfterExit=yes\nExecStart=/bin/sh -c 'echo x > /var/tmp/marker'",
}


@dataclass(frozen=True)
class Service:
    """A unit put into the twin for one test."""

    machine: Twin
    name: str

    @property
    def unit(self) -> Unit:
        return Unit.load(self.machine, self.name)


@pytest.fixture
def service(session_twin: Twin) -> Iterator[object]:
    """Return a function that puts a service into the twin; it is taken out again."""
    names: list[str] = []

    def put(name: str, lines: str) -> Service:
        names.append(name)
        session_twin.path(f"/run/systemd/system/{name}").write_text(f"[Service]\n{lines}\n")
        session_twin.run(["systemctl", "daemon-reload"])
        return Service(session_twin, name)

    yield put
    for name in names:
        session_twin.run(["systemctl", "stop", name], check=False)
        session_twin.path(f"/run/systemd/system/{name}").unlink()
    session_twin.run(["systemctl", "daemon-reload"])
    session_twin.run(["systemctl", "reset-failed"])


@pytest.mark.parametrize("kind", TYPES)
def test_a_running_service_of_any_type_is_recorded_and_runs_on(service, kind: str) -> None:  # type: ignore[no-untyped-def]
    unit = service(f"tailor-{kind}.service", f"Type={kind}\n{TYPES[kind]}").unit
    unit.systemctl.change("start", unit.name)
    text = unit.machine.run(["systemctl", "cat", unit.name]).stdout

    recorded = record_unit(unit, serving_for=0.2)

    assert recorded.error is None
    assert recorded.profile.header.losses == ()
    uses = {fact.behaviour for fact in recorded.profile.facts if isinstance(fact.behaviour, PathUse)}
    assert any(use.path == "/var/tmp/marker" and use.access in {Access.CREATE, Access.WRITE} for use in uses)
    assert unit.is_active()
    assert unit.machine.run(["systemctl", "cat", unit.name]).stdout == text
    assert tracers(unit) == set()


def test_systemd_sees_the_same_main_process_as_always(service) -> None:  # type: ignore[no-untyped-def]
    unit = service("tailor-main.service", f"Type=notify\n{TYPES['notify']}").unit
    unit.systemctl.change("start", unit.name)

    record_unit(unit)

    main = int(unit.properties()["MainPID"])
    assert unit.machine.path(f"/proc/{main}/comm").read_text().strip() == "python3"


def test_exec_lines_and_phases_are_told_apart(service) -> None:  # type: ignore[no-untyped-def]
    lines = (
        "Type=simple\nExecStartPre=/bin/touch /run/tailor-pre\nExecStart=/bin/sleep 600\n"
        "ExecReload=/bin/touch /run/tailor-reload\nExecStop=/bin/touch /run/tailor-stop"
    )
    unit = service("tailor-lines.service", lines).unit

    recorded = record_unit(unit, workload=Workload("true"))

    made = {
        fact.behaviour.path: (fact.exec_line, fact.phase)
        for fact in recorded.profile.facts
        if isinstance(fact.behaviour, PathUse) and fact.behaviour.access is Access.CREATE
    }
    assert made["/run/tailor-pre"] == ("ExecStartPre", Phase.START_UP)
    assert made["/run/tailor-reload"] == ("ExecReload", Phase.RELOAD)
    assert made["/run/tailor-stop"] == ("ExecStop", Phase.STOP)
    assert recorded.profile.header.unobserved == ()
    assert not unit.is_active()


def test_what_systemd_does_before_the_program_starts_is_not_the_service(service) -> None:  # type: ignore[no-untyped-def]
    lines = "Type=oneshot\nPrivateTmp=yes\nUser=nobody\nExecStart=/bin/true"
    unit = service("tailor-before.service", lines).unit

    recorded = record_unit(unit)

    names = {fact.behaviour.name for fact in recorded.profile.facts if isinstance(fact.behaviour, SystemCall)}
    assert "execve" in names
    assert not names & {"mount", "unshare", "setresuid", "capset", "setgroups"}


def test_a_failing_workload_is_told_and_the_service_is_as_it_was(service) -> None:  # type: ignore[no-untyped-def]
    unit = service("tailor-workload.service", "ExecStart=/bin/sleep 600").unit
    unit.systemctl.change("start", unit.name)

    recorded = record_unit(unit, workload=Workload("echo no luck >&2; exit 7"))

    assert recorded.lived.workload_error is not None
    assert "no luck" in recorded.lived.workload_error.message
    assert unit.is_active()


def test_a_service_that_does_not_start_is_told_with_its_reason(service) -> None:  # type: ignore[no-untyped-def]
    unit = service("tailor-broken.service", "Type=exec\nExecStart=/nonexistent/program").unit

    recorded = record_unit(unit)

    assert recorded.error is not None
    assert "203/EXEC" in recorded.error.message
    assert tracers(unit) == set()


def test_a_command_is_recorded_with_its_status(session_twin: Twin) -> None:
    program = "import socket;socket.socket(socket.AF_INET6);open('/etc/hostname');raise SystemExit(5)"

    recorded = record_command(session_twin, ["/usr/bin/python3", "-c", program])

    behaviours = {fact.behaviour for fact in recorded.profile.facts}
    assert recorded.status == 5
    assert SocketOpened("AF_INET6", "SOCK_STREAM", 0) in behaviours
    assert any(
        isinstance(one, PathUse) and (one.path, one.access) == ("/etc/hostname", Access.READ) for one in behaviours
    )


@pytest.mark.parametrize("engine", [Engine.EBPF, Engine.STRACE, Engine.PTRACE])
def test_a_command_runs_where_the_user_is(
    session_twin: Twin, engine: Engine, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)

    recorded = record_command(session_twin, ["/bin/cat", "pyproject.toml"], engine=engine)

    assert recorded.status == 0
    read = {fact.behaviour.path for fact in recorded.profile.facts if isinstance(fact.behaviour, PathUse)}
    assert str(repository / "pyproject.toml") in read


def tracers(unit: Unit) -> set[int]:
    """Return the tracers of all processes of the machine: none may stay."""
    deadline = time.monotonic() + 5
    found: set[int] = set()
    while time.monotonic() < deadline:
        found = set()
        for status in unit.machine.path("/proc").glob("[0-9]*/status"):
            try:
                match = re.search(r"^TracerPid:\s+(\d+)", status.read_text(), re.MULTILINE)
            except OSError:
                continue
            found |= {int(match[1])} - {0} if match else set()
        if not found:
            break
        time.sleep(0.05)
    return found


def test_a_foreign_file_opened_for_writing_needs_the_override() -> None:
    """The first write copies the file up in the twin's overlay, where it then looks newly created."""
    require_twin()
    place = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        foreign = place / "foreign.log"
        foreign.touch()
        foreign.chmod(0o640)
        os.chown(foreign, 65534, 4)
        place.chmod(0o755)
        with twin.up() as machine:
            line = f"ExecStart=/bin/sh -c 'echo x >> {foreign}'"
            machine.path("/run/systemd/system/tailor-foreign.service").write_text(f"[Service]\nType=oneshot\n{line}\n")
            machine.run(["systemctl", "daemon-reload"])
            recorded = record_unit(Unit.load(machine, "tailor-foreign"))
    finally:
        shutil.rmtree(place)

    behaviours = [fact.behaviour for fact in recorded.profile.facts]
    needed = {behaviour.capability for behaviour in behaviours if isinstance(behaviour, CapabilityUsed)}
    assert needed == {"CAP_DAC_OVERRIDE"}
