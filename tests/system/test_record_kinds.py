"""Recording units of every kind: whatever the unit says, every recorder sees its processes and disturbs none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from policy.behaviour import OK, Access, CapabilityUsed, Fact, Known, PathUse, Phase, SocketOpened, SystemCall
from profiler.engines.choice import REGISTRY, Engine
from profiler.record import Recorded, record_running, record_unit
from profiler.twin import Twin
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from tests.system.test_record import tracers

PYTHON = "/usr/bin/python3"
Put = Callable[..., Unit]
ENGINES = [pytest.param(one, marks=() if one is Engine.STRACE else pytest.mark.long) for one in REGISTRY]
every_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture
def put(session_twin: Twin) -> Iterator[Put]:
    """Return a function that puts units into the twin by name; they are taken out again."""
    names: list[str] = []
    # What a test before this one left: what is there already is not created.
    session_twin.run(["sh", "-c", "rm -rf /run/tailor-* /var/tmp/tailor-* /srv/tailor-root"])

    def unit(name: str, lines: str, **others: str) -> Unit:
        for file, text in {name: f"[Service]\n{lines}\n", **{f"{k}.socket": v for k, v in others.items()}}.items():
            names.append(file)
            session_twin.path(f"/run/systemd/system/{file}").write_text(text)
        session_twin.run(["systemctl", "daemon-reload"])
        return Unit.load(session_twin, name)

    yield unit
    session_twin.run(["systemctl", "stop", *reversed(names)], check=False)
    for name in names:
        session_twin.path(f"/run/systemd/system/{name}").unlink()
    session_twin.run(["systemctl", "daemon-reload"])
    session_twin.run(["systemctl", "reset-failed"])


def made(recorded: Recorded) -> dict[str, Fact]:
    """Return the facts of created names by path."""
    return {
        fact.behaviour.path: fact
        for fact in recorded.profile.facts
        if isinstance(fact.behaviour, PathUse) and fact.behaviour.access is Access.CREATE and fact.outcome == OK
    }


def calls(recorded: Recorded) -> set[str]:
    """Return the names of the system calls."""
    return {fact.behaviour.name for fact in recorded.profile.facts if isinstance(fact.behaviour, SystemCall)}


@dataclass(frozen=True)
class Kind:
    """Lines of a unit that creates /run/tailor-mark or what ``creates`` says, as this user."""

    lines: str
    creates: str = "/var/tmp/tailor-mark"
    nobody: bool = False
    type: str = "exec"
    program: str = ""


PROGRAM = f"ExecStart={PYTHON} -IS /run/tailor-kind.py"
TOUCH = "ExecStart=/bin/sh -c 'umask 0; touch /var/tmp/tailor-mark; exec sleep 600'"
READY = """
import os, socket, time
open("/var/tmp/tailor-mark", "w").close()
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", chr(0)))
time.sleep(600)
"""
OWNS = r"""
import socket, struct, time
def padded(data, width):
    return data + bytes(-len(data) % width)
def text(value):
    return struct.pack("<I", len(value)) + value + bytes(1)
def call(serial, member, signature=b"", body=b""):
    fields = b""
    named = [(1, b"o", b"/org/freedesktop/DBus"), (2, b"s", b"org.freedesktop.DBus"), (3, b"s", member)]
    for code, kind, value in [*named, (6, b"s", b"org.freedesktop.DBus")]:
        fields = padded(fields, 8) + bytes([code, 1]) + kind + bytes(1) + text(value)
    if signature:
        fields = padded(fields, 8) + bytes([8, 1]) + b"g" + bytes([0, len(signature)]) + signature + bytes(1)
    head = b"l" + bytes([1, 0, 1]) + struct.pack("<III", len(body), serial, len(fields))
    bus.sendall(padded(head + fields, 8) + body)
open("/var/tmp/tailor-mark", "w").close()
bus = socket.socket(socket.AF_UNIX)
bus.connect("/run/dbus/system_bus_socket")
bus.sendall(bytes(1) + b"AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")
call(1, b"Hello")
call(2, b"RequestName", b"su", padded(text(b"org.tailor.Kind"), 4) + struct.pack("<I", 0))
while bus.recv(4096):
    pass
"""
"""Owns a name on the bus of the system."""

MAY_OWN = """<busconfig><policy user="root"><allow own="org.tailor.Kind"/></policy></busconfig>
"""
KINDS = {
    "User=": Kind(f"User=nobody\n{TOUCH}", nobody=True),
    "DynamicUser=": Kind(
        "DynamicUser=yes\nStateDirectory=tailor-kind\n"
        "ExecStart=/bin/sh -c 'touch /var/lib/tailor-kind/mark; exec sleep 600'",
        "/var/lib/private/tailor-kind/mark",
    ),
    "PrivateTmp=": Kind(f"PrivateTmp=yes\n{TOUCH}"),
    "RootDirectory=": Kind(f"RootDirectory=/\n{TOUCH}"),
    "PAMName=": Kind(f"PAMName=tailor\nUser=nobody\n{TOUCH}", nobody=True, type="simple"),
    "SystemCallFilter=": Kind(f"SystemCallFilter=@system-service\nSystemCallFilter=~@debug ptrace\n{TOUCH}"),
    "NoExecPaths=": Kind(f"NoExecPaths=/usr/bin/strace /usr/bin/python3\n{TOUCH}"),
    "ProtectSystem=strict": Kind(f"ProtectSystem=strict\nReadWritePaths=/var/tmp\n{TOUCH}"),
    "Type=notify and NotifyAccess=main": Kind(f"NotifyAccess=main\n{PROGRAM}", type="notify", program=READY),
    "Type=forking and PIDFile=": Kind(
        "PIDFile=/run/tailor-kind.pid\n"
        "ExecStart=/bin/sh -c 'touch /var/tmp/tailor-mark; sleep 600 & echo $$! > /run/tailor-kind.pid'",
        type="forking",
    ),
    "Type=idle": Kind(TOUCH, type="idle"),
    "Type=dbus": Kind(f"BusName=org.tailor.Kind\n{PROGRAM}", type="dbus", program=OWNS),
    "prefixes and KillMode=mixed": Kind(
        "KillMode=mixed\nTimeoutStopSec=5\n"
        "ExecStart=-@:/bin/sh sh-as-another -c 'touch /var/tmp/tailor-mark; exec sleep 600'"
    ),
}


@every_engine
@pytest.mark.parametrize("name", KINDS)
def test_a_unit_of_any_kind_is_recorded_and_runs_on(put: Put, name: str, engine: Engine) -> None:
    """# hard case 70: what systemd's child does before execve is not the service."""
    kind = KINDS[name]
    unit = put("tailor-kind.service", f"Type={kind.type}\n{kind.lines}")
    unit.machine.path("/run/tailor-kind.py").write_text(kind.program)
    unit.machine.path("/etc/dbus-1/system.d/tailor.conf").write_text(MAY_OWN)
    unit.machine.run(["systemctl", "reload-or-restart", "dbus.service"])
    unit.machine.path("/etc/pam.d/tailor").write_text("account required pam_permit.so\nsession required pam_unix.so\n")
    unit.machine.path("/var/tmp/tailor-mark").unlink(missing_ok=True)
    unit.systemctl.change("start", unit.name)
    unit.machine.path("/var/tmp/tailor-mark").unlink(missing_ok=True)

    recorded = record_unit(unit, serving_for=0.3, engine=engine)

    assert recorded.error is None
    assert recorded.profile.header.losses == ()
    uses = {
        (fact.behaviour.path, fact.user)
        for fact in recorded.profile.facts
        if isinstance(fact.behaviour, PathUse) and fact.behaviour.access in {Access.CREATE, Access.WRITE}
    }
    users = {user for path, user in uses if path == kind.creates}
    assert users, sorted(uses)
    assert not kind.nobody or 0 not in users
    assert not calls(recorded) & {"mount", "capset", "pivot_root", "seccomp", "setgroups"}
    assert unit.is_active()
    assert tracers(unit) == set()


@every_engine
def test_lines_with_privileges_are_marked_and_everything_else_is_not(put: Put, engine: Engine) -> None:
    """# hard case 70: + and ! lines."""
    unit = put(
        "tailor-prefixes.service",
        "Type=exec\nUser=nobody\n"
        "ExecStartPre=+/bin/touch /run/tailor-full\nExecStartPre=!/bin/touch /run/tailor-half\n"
        "ExecStartPre=-/bin/touch /nonexistent/x\nExecStart=@/bin/sleep tailor 600\n"
        "ExecStartPost=/bin/touch /var/tmp/tailor-post\n"
        "ExecReload=+/bin/touch /run/tailor-reloaded\nExecStop=/bin/touch /var/tmp/tailor-stopped",
    )
    recorded = record_unit(unit, workload=Workload("true"), engine=engine)

    assert recorded.error is None
    found = {path: (fact.exec_line, fact.phase, fact.user == 0) for path, fact in made(recorded).items()}
    assert found["/run/tailor-full"] == ("+ExecStartPre", Phase.START_UP, True)
    assert found["/run/tailor-half"] == ("!ExecStartPre", Phase.START_UP, True)
    assert found["/var/tmp/tailor-post"] == ("ExecStartPost", Phase.START_UP, False)
    assert found["/run/tailor-reloaded"] == ("+ExecReload", Phase.RELOAD, True)
    assert found["/var/tmp/tailor-stopped"] == ("ExecStop", Phase.STOP, False)
    failed = [fact for fact in recorded.profile.facts if getattr(fact.behaviour, "path", "") == "/nonexistent/x"]
    assert {(fact.outcome, fact.exec_line) for fact in failed} == {("ENOENT", "ExecStartPre")}


@every_engine
def test_several_exec_start_lines_of_a_oneshot(put: Put, engine: Engine) -> None:
    unit = put(
        "tailor-several.service",
        "Type=oneshot\n" + "\n".join(f"ExecStart=/bin/touch /run/tailor-{number}" for number in range(3)),
    )
    recorded = record_unit(unit, engine=engine)

    assert recorded.error is None
    assert {f"/run/tailor-{number}" for number in range(3)} <= set(made(recorded))
    assert {fact.exec_line for fact in recorded.profile.facts} == {"ExecStart"}


LISTENS = (
    "import socket,os;s=socket.socket(fileno=3);"
    "[open('/run/tailor-served','w').write(s.accept()[0].recv(9).decode()) for _ in range(9)]"
)


@every_engine
def test_a_socket_activated_unit(put: Put, engine: Engine) -> None:
    """# hard case 67, 97: descriptors that systemd hands over need no family of their own."""
    unit = put(
        "tailor-activated.service",
        f'Type=simple\nExecStart={PYTHON} -c "{LISTENS}"',
        **{"tailor-activated": "[Socket]\nListenStream=127.0.0.1:18765\n"},
    )
    unit.machine.run(["systemctl", "start", "tailor-activated.socket"])
    client = (
        f"{PYTHON} -c \"import socket,time;socket.create_connection(('127.0.0.1',18765)).send(b'x');time.sleep(1)\""
    )

    recorded = record_unit(unit, workload=Workload(client), engine=engine)

    assert recorded.error is None
    assert "/run/tailor-served" in made(recorded)
    opened = {fact.behaviour.family for fact in recorded.profile.facts if isinstance(fact.behaviour, SocketOpened)}
    assert "AF_INET" not in opened


BUSY = "import os,socket,time;n=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);" + (
    "a=os.environ['NOTIFY_SOCKET'].replace('@','\\\\0');n.sendto(b'READY=1',a);"
    "[(n.sendto(b'WATCHDOG=1',a),[os.stat('/') for _ in range(200)],time.sleep(0.1)) for _ in range(6000)]"
)


@every_engine
def test_a_slow_tracer_trips_neither_watchdog_nor_start_timeout(put: Put, engine: Engine) -> None:
    unit = put(
        "tailor-watchdog.service",
        f'Type=notify\nWatchdogSec=3\nTimeoutStartSec=20\nExecStart={PYTHON} -c "{BUSY}"',
    )
    unit.systemctl.change("start", unit.name)
    restarts = unit.properties()["NRestarts"]

    recorded = record_unit(unit, serving_for=4, engine=engine)

    assert recorded.error is None
    assert unit.is_active()
    assert unit.properties()["NRestarts"] == restarts
    assert unit.properties()["Result"] == "success"


@every_engine
def test_a_unit_with_a_root_of_its_own(put: Put, session_twin: Twin, engine: Engine) -> None:
    """# hard case 34, 51: paths are the service's, not those that the tracer sees."""
    root = session_twin.path("/srv/tailor-root")
    for name in ("usr", "lib", "lib64", "bin", "proc", "sys", "dev", "run", "tmp", "etc", "data"):
        (root / name).mkdir(parents=True, exist_ok=True)
    unit = put(
        "tailor-root.service",
        "Type=exec\nRootDirectory=/srv/tailor-root\nMountAPIVFS=yes\n"
        "BindReadOnlyPaths=/usr /lib /lib64 /bin\nExecStart=/bin/sh -c 'echo x > /data/mark; exec sleep 600'",
    )
    recorded = record_unit(unit, engine=engine)

    assert recorded.error is None
    paths = {fact.behaviour.path for fact in recorded.profile.facts if isinstance(fact.behaviour, PathUse)}
    assert "/data/mark" in made(recorded)
    assert not {path for path in paths if path.startswith("/srv/tailor-root")}


@every_engine
def test_a_running_unit_is_watched_without_a_restart(put: Put, engine: Engine) -> None:
    """# hard case 82: pids unchanged, start-up unobserved, what /proc still shows is inferred."""
    program = (
        "import os,socket,threading,time\\n"
        "os.chdir('/var/tmp')\\n"
        "s=socket.create_server(('127.0.0.1',18766))\\n"
        "log=open('/var/tmp/tailor-log','a')\\n"
        "def serve():\\n"
        "  while True:\\n"
        "    c,_=s.accept()\\n"
        "    open('relative','w').close()\\n"
        "    os.unlink('relative')\\n"
        "    if os.fork()==0: os.execv('/bin/true',['true'])\\n"
        "    os.wait()\\n"
        "    c.close()\\n"
        "threading.Thread(target=serve).start()\\n"
    )
    unit = put(
        "tailor-running.service", f'Type=exec\nExecStart={PYTHON} -c "exec(\\"{program}\\")"'.replace("\\n", "\\\\n")
    )
    unit.systemctl.change("start", unit.name)
    main = unit.properties()["MainPID"]
    client = (
        f"{PYTHON} -c \"import socket,time\nfor _ in range(50):\n  try: c=socket.create_connection(('127.0.0.1',18766))"
        '\n  except OSError: time.sleep(.1)\n  else: break\nc.recv(1)"'
    )

    recorded = record_running(unit, workload=Workload(client), serving_for=0.5, engine=engine)

    assert recorded.error is None and recorded.lived.workload_error is None
    assert recorded.profile.header.losses == ()
    assert unit.properties()["MainPID"] == main
    assert unit.is_active() and tracers(unit) == set()
    assert not recorded.profile.header.start_up_observed
    assert "/var/tmp/relative" in made(recorded)
    behaviours = {(fact.behaviour, fact.known) for fact in recorded.profile.facts}
    assert any(b == SocketOpened("AF_INET", "SOCK_STREAM", 0) and k is Known.INFERRED for b, k in behaviours)
    assert any(
        isinstance(b, PathUse) and (b.path, b.access) == ("/usr/bin/true", Access.EXECUTE) for b, _ in behaviours
    )
    assert any(
        isinstance(b, PathUse) and b.path == "/var/tmp/tailor-log" and k is Known.INFERRED for b, k in behaviours
    )


def test_ptrace_records_a_unit_from_its_first_instruction(put: Put) -> None:
    unit = put("tailor-slow.service", f"Type=exec\nUser=nobody\n{TOUCH}")
    unit.machine.path("/var/tmp/tailor-mark").unlink(missing_ok=True)

    recorded = record_unit(unit, engine=Engine.PTRACE)

    assert recorded.error is None
    assert recorded.profile.header.losses == ()
    assert recorded.profile.header.recorders == ("ptrace",)
    assert "/var/tmp/tailor-mark" in made(recorded)
    assert not any(isinstance(fact.behaviour, CapabilityUsed) for fact in recorded.profile.facts)
    assert tracers(unit) == set()
