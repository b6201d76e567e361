"""The strace recorder on real processes: commands, attaching to PID 1, deaths of every party, refusals."""

from __future__ import annotations

import collections
import contextlib
import gzip
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from profiler.errors import ToolError
from profiler.machine import Host
from profiler.recorders import strace_command
from profiler.recorders.base import Descriptor, ProcessEnded, RawCall, RawEvent, Struct, Symbol, ThreadSuperseded, Value
from profiler.recorders.strace import STRACE_ENDED, StraceRecorder
from profiler.recorders.strace_lines import UNKNOWN_CALL, UNTRACED_CHILD
from tests.profiler.recorders.process_tree import BUSY, process_tree
from tests.requirements import require
from tests.twin_fixtures import TwinWith

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAMS = REPOSITORY / "fixtures" / "programs"
PYTHON = "/usr/bin/python3"


@pytest.fixture(autouse=True)
def _strace_works_and_leaves_nothing() -> Iterator[None]:
    answer = strace_command.availability(Host(), ())
    require(answer.available, answer.reason)
    yield
    assert not [process.pid for process in psutil.Process().children(recursive=True) if process.name() == "strace"]


def record(*command: str) -> tuple[int, list[RawEvent], StraceRecorder]:
    """Record a command; return its status, the events and the recorder."""
    events: list[RawEvent] = []
    with StraceRecorder(Host(), events.append, command=command) as recorder:
        status = recorder.wait()
    return status, events, recorder


def calls(events: list[RawEvent], *names: str) -> list[RawCall]:
    return [event for event in events if isinstance(event, RawCall) and event.name in names]


def control_messages(call: RawCall) -> list[tuple[Value, ...]]:
    """Return the descriptors that came with a message."""
    message = call.arguments[1]
    control = message.fields.get("msg_control") if isinstance(message, Struct) else None
    return [
        item.fields["cmsg_data"]
        for item in (control if isinstance(control, tuple) else ())
        if isinstance(item, Struct) and isinstance(item.fields["cmsg_data"], tuple)
    ]


def flags_of(structure: Struct) -> frozenset[str]:
    value = structure.fields["flags"]
    return value.flags if isinstance(value, Symbol) else frozenset()


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def test_strace_is_available_here() -> None:
    answer = strace_command.availability(Host(), ())
    assert (answer.available, answer.reason, answer.remedy) == (True, "", "")


def test_every_call_that_is_printed_raw_is_known_to_this_strace_or_optional() -> None:
    argument = next(word for word in strace_command.arguments("x") if word.startswith("raw="))
    assert all(name.startswith("?") for name in argument.removeprefix("raw=").split(","))
    known = [name.removeprefix("?") for name in argument.removeprefix("raw=").split(",")]
    # Without the question marks a misspelt name is an error; futex_waitv and the like are newer than some versions.
    completed = Host().run(["strace", "-e", "trace=" + ",".join(known), "-o", "/dev/null", "true"], check=False)
    assert completed.status == 0, completed.stderr


def test_a_hostile_program_forges_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, events, recorder = record(PYTHON, "-ISE", str(PROGRAMS / "hostile.py"), str(tmp_path))
    assert status == 0
    assert not recorder.losses.counts
    truth = [bytes.fromhex(line) for line in capfd.readouterr().out.split()]
    assert len(truth) >= 18
    inside = os.fsencode(tmp_path)
    opened = [call for call in calls(events, "openat") if str(call.arguments[1]).startswith(str(inside)[:-1])]
    assert [call.arguments[1] for call in opened] == truth
    assert [call.result_target for call in opened] == [
        Descriptor(call.result or 0, path) for call, path in zip(opened, truth, strict=True)
    ]
    assert b"/etc/shadow" not in [call.result_target.target for call in calls(events, "openat") if call.result_target]
    assert b"/etc/shadow" not in [call.arguments[1] for call in calls(events, "openat")]
    pids = {event.pid for event in events}
    assert len(pids) == 2  # itself and the one child that it starts: nobody forged a third
    deleted = [call.arguments[0] for call in calls(events, "fchmod") if getattr(call.arguments[0], "deleted", False)]
    assert [descriptor.target for descriptor in deleted if isinstance(descriptor, Descriptor)] == truth[1::2]


def test_deaths_of_processes_and_threads(tmp_path: Path) -> None:
    status, events, recorder = record(PYTHON, "-ISE", str(PROGRAMS / "threads_and_deaths.py"))
    assert status == 0
    assert not recorder.losses.counts
    assert {event.killed_by for event in events if isinstance(event, ProcessEnded)} == {"", "SIGKILL", "SIGSYS"}
    killed = next(event.pid for event in events if isinstance(event, ProcessEnded) and event.killed_by == "SIGKILL")
    assert [call.result for call in calls(events, "pause") if call.pid == killed] == [None]
    assert [call.result for call in calls(events, "accept4")] == [None]
    superseded = next(event for event in events if isinstance(event, ThreadSuperseded))
    execve = calls(events, "execve")[-1]
    assert (execve.pid, execve.arguments[0], execve.result) == (superseded.leader, b"/bin/true", 0)
    # Everyone who was born has ended, except the thread that became its leader.
    born = {call.result for call in calls(events, "clone", "clone3", "fork", "vfork") if call.result}
    ended = {event.pid for event in events if isinstance(event, ProcessEnded)}
    assert born - ended == {superseded.pid}


def test_structures_of_many_kinds(tmp_path: Path) -> None:
    status, events, recorder = record(PYTHON, "-ISE", str(PROGRAMS / "structured_calls.py"), str(tmp_path))
    assert status == 0
    assert recorder.losses.counts == {UNKNOWN_CALL: 1}
    addresses = [call.arguments[1].fields for call in calls(events, "bind") if isinstance(call.arguments[1], Struct)]
    assert os.fsencode(tmp_path / "socket") in [fields.get("sun_path") for fields in addresses]
    assert b"::1" in [fields.get("sin6_addr") for fields in addresses]
    assert b"127.0.0.1" in [fields.get("sin_addr") for fields in addresses]
    assert any(str(fields.get("sun_path")).startswith("b'\\x00unit-tailor") for fields in addresses)
    rights = [value for call in calls(events, "recvmsg") for value in control_messages(call)]
    assert [len(descriptors) for descriptors in rights] == [2]
    assert all(isinstance(descriptor, Descriptor) for descriptor in rights[0])
    threads = [call.arguments[0] for call in calls(events, "clone", "clone3") if isinstance(call.arguments[0], Struct)]
    assert any("CLONE_THREAD" in flags_of(thread) for thread in threads)
    assert [call.error for call in calls(events, "openat2")] == ["EINVAL"]
    assert [call.error for call in calls(events, "connect")][-1] == "EFAULT"


def test_every_call_with_odd_arguments_is_understood(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    go, done = tmp_path / "go", tmp_path / "done"
    nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all"
    script = (
        f"while [ ! -e {go} ]; do sleep 0.02; done; "
        f"unshare --net --ipc --uts {nobody} {PYTHON} -ISE - 2 <{PROGRAMS}/all_calls.py >/dev/null 2>&1; "
        f"touch {done}; sleep 600"
    )
    events: list[RawEvent] = []
    with process_tree(script) as tree, StraceRecorder(tree, events.append) as recorder:
        go.touch()
        wait_for(done.exists, seconds=120)
    # Many numbers name no call, and odd flags may ask for a child that is not traced; everything else is read.
    assert {UNKNOWN_CALL} <= set(recorder.losses.counts) <= {UNKNOWN_CALL, UNTRACED_CHILD}
    assert len({event.name for event in events if isinstance(event, RawCall)}) > 300


def test_thirty_two_bit_calls_have_their_architecture() -> None:
    program = [PYTHON, "-ISE", str(PROGRAMS / "thirty_two_bit.py")]
    require(os.uname().machine == "x86_64", "int 0x80 exists on x86 only")
    require(subprocess.run(program, check=False).returncode == 0, "this kernel has no 32-bit calls")
    status, events, recorder = record(*program)
    assert status == 0
    assert not recorder.losses.counts
    fork = next(call for call in calls(events, "fork"))
    assert fork.architecture == "x86"
    child = [event for event in events if event.pid == fork.result and isinstance(event, RawCall)]
    assert [(call.name, call.architecture) for call in child] == [("getpid", "x86"), ("exit", "x86")]
    assert calls(events, "wait4")[-1].architecture == "x86-64"


@pytest.mark.parametrize("script, status", [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", -signal.SIGTERM)])
def test_a_recorded_command_keeps_its_status(script: str, status: int) -> None:
    assert record("sh", "-c", script)[0] == status


def test_a_recorded_command_keeps_its_streams_and_environment(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIT_TAILOR_TEST", "hello")
    record("sh", "-c", "echo out $UNIT_TAILOR_TEST; echo error >&2; ls /proc/self/fd >&2")
    captured = capfd.readouterr()
    assert captured.out == "out hello\n"
    # 3 is the directory that ls reads: nothing of the recorder is inherited.
    assert captured.err.split() == ["error", "0", "1", "2", "3"]


def test_a_command_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ToolError, match="could not be run"):
        record("/nonexistent/program")


def test_a_recorded_command_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    make = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *args, **options: made.append(make(*args, **options)) or made[-1])
    record("true")
    with pytest.raises(ToolError):
        record("/nonexistent/program")
    assert len(made) == 2
    assert not any(Path(directory).exists() for directory in made)


def test_contents_of_files_never_reach_the_trace(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("xyzzy-password")
    kept = tmp_path / "trace.gz"
    with StraceRecorder(
        Host(), lambda event: None, command=("cp", str(secret), str(tmp_path / "copy")), keep=kept
    ) as it:
        assert it.wait() == 0
    text = gzip.decompress(kept.read_bytes())
    assert b"xyzzy".hex(":").replace(":", "\\x") not in text.decode()
    assert len(text.splitlines()) == it.lines
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_kept_trace_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for existing in (tmp_path / "link", tmp_path):
        with (
            pytest.raises(ToolError, match="cannot create"),
            StraceRecorder(Host(), print, command=["true"], keep=existing),
        ):
            pass
    assert not (tmp_path / "elsewhere").exists()


def test_attached_to_pid_1_every_new_process_is_seen_from_its_birth() -> None:
    events: list[RawEvent] = []
    with process_tree() as tree:
        with StraceRecorder(tree, events.append) as recorder:
            assert tree.is_running()
            wait_for(lambda: recorder.lines > 500)
        assert not recorder.losses.counts
        assert strace_command.tracers(tree, 1) == [0]
        assert tree.is_running()
    born = [call.result for call in calls(events, "clone", "vfork", "fork") if call.pid == 1]
    assert len(born) > 2
    for pid in born[:-1]:
        own = [event for event in events if event.pid == pid and isinstance(event, RawCall)]
        execve = next(call for call in own if call.name == "execve")
        assert execve.arguments[:2] == (b"/usr/bin/sleep", (b"sleep", b"0.02")) or execve.error == "ENOENT"
    assert not recorder.losses.counts


def test_further_processes_can_be_attached_with_their_threads() -> None:
    sleep = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); time.sleep(60)"
    script = f"{PYTHON} -ISc '{sleep}' & {BUSY}"
    with process_tree(script) as tree:
        wait_for(lambda: len(strace_command.tracers(tree, 2)) == 2)
        with StraceRecorder(tree, lambda event: None, pids=(1, 2)) as recorder:
            assert all(strace_command.tracers(tree, 2))
        assert not recorder.losses.counts
        assert strace_command.tracers(tree, 2) == [0, 0]


def test_a_slow_consumer_loses_nothing() -> None:
    count = 30000
    seen: collections.Counter[str] = collections.Counter()

    def slow(event: RawEvent) -> None:
        if isinstance(event, RawCall):
            if not seen[event.name]:
                time.sleep(0.05)
            seen[event.name] += 1

    with StraceRecorder(
        Host(), slow, command=[PYTHON, "-ISc", f"import os\nfor _ in range({count}): os.getppid()"]
    ) as it:
        assert it.wait() == 0
    assert seen["getppid"] == count
    assert not it.losses.counts


def test_an_error_of_the_consumer_is_raised_and_the_traced_processes_go_on() -> None:
    def refuse(event: RawEvent) -> None:
        raise LookupError("no")

    with process_tree() as tree:
        recorder = StraceRecorder(tree, refuse)
        recorder.start()
        wait_for(lambda: recorder.lines > 0)
        progress = _processes_started(tree.init)
        wait_for(lambda: _processes_started(tree.init) > progress + 2)
        with pytest.raises(LookupError):
            recorder.stop()
        assert tree.is_running()


def _processes_started(init: int) -> int:
    # The id that the newest process has in the tree's PID namespace; the processes of the tree come and go.
    for _ in range(1000):
        with contextlib.suppress(OSError, IndexError):
            child = Path(f"/proc/{init}/task/{init}/children").read_text().split()[0]
            return int(Path(f"/proc/{child}/status").read_text().split("NSpid:")[1].splitlines()[0].split()[-1])
        time.sleep(0.005)
    raise AssertionError("the tree starts no processes any more")


def test_strace_that_is_killed_is_a_loss_and_the_traced_processes_go_on() -> None:
    with process_tree() as tree:
        with StraceRecorder(tree, lambda event: None) as recorder:
            strace = next(p for p in psutil.Process().children(recursive=True) if p.name() == "strace")
            strace.kill()
            wait_for(lambda: strace_command.tracers(tree, 1) == [0])
        assert STRACE_ENDED in recorder.losses.counts
        assert tree.is_running()


RECORDS_FOR_EVER = """
import sys, time
sys.path[:0] = {path!r}
from profiler.machine import Host
from profiler.recorders.strace import StraceRecorder
from tests.profiler.recorders.process_tree import ProcessTree
with StraceRecorder({machine}, lambda event: None, pids=({pid},)):
    print("recording", flush=True)
    time.sleep(600)
"""


def recording_for_ever(machine: str, pid: int) -> str:
    """Return the source of a Python program that records this process until it is killed."""
    return RECORDS_FOR_EVER.format(machine=machine, pid=pid, path=[str(REPOSITORY), *sys.path])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_recorder_is_killed_no_tracer_stays_and_the_traced_processes_go_on(number: int) -> None:
    with process_tree() as tree:
        source = recording_for_ever(f"ProcessTree({tree.init})", 1)
        ours = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE)
        assert ours.stdout is not None
        with ours, contextlib.ExitStack() as stack:
            stack.callback(ours.kill)
            assert ours.stdout.readline() == b"recording\n"
            assert all(strace_command.tracers(tree, 1))
            family = psutil.Process(ours.pid).children(recursive=True)
            assert "strace" in [process.name() for process in family]
            ours.send_signal(number)
            wait_for(lambda: strace_command.tracers(tree, 1) == [0])
            wait_for(lambda: not any(process.is_running() for process in family))
            progress = _processes_started(tree.init)
            wait_for(lambda: _processes_started(tree.init) > progress + 2)


def test_a_process_that_is_traced_already_is_refused() -> None:
    with process_tree() as tree, StraceRecorder(tree, lambda event: None):
        with pytest.raises(ToolError, match="traces it already"), StraceRecorder(tree, lambda event: None):
            pass
        assert all(strace_command.tracers(tree, 1))


def test_a_process_that_is_gone_is_refused() -> None:
    missing = pytest.raises(ToolError, match="no such process")
    with process_tree() as tree, missing, StraceRecorder(tree, print, pids=(4000000,)):
        pass


WEAK = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace", "--", sys.executable, "-c"]
"""Runs Python as root without CAP_SYS_PTRACE."""


@pytest.mark.parametrize("from_outside", [True, False])
def test_without_the_capability_it_is_refused(from_outside: bool) -> None:
    with process_tree() as tree:
        machine, pid = ("Host()", tree.init) if from_outside else (f"ProcessTree({tree.init})", 1)
        command = [*WEAK, recording_for_ever(machine, pid)]
        completed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert completed.returncode == 1
        assert "profiler.errors.PermissionRefused: " in completed.stderr
        assert strace_command.tracers(tree, 1) == [0]


def test_availability_names_the_missing_capability() -> None:
    require(os.geteuid() == 0, "giving up a capability needs root")
    source = (
        f"import sys; sys.path[:0] = {[str(REPOSITORY), *sys.path]!r}\n"
        "from profiler.machine import Host\nfrom profiler.recorders import strace_command\n"
        "print(strace_command.availability(Host()))"
    )
    completed = subprocess.run([*WEAK, source], capture_output=True, text=True, timeout=60, check=False)
    assert "available=False" in completed.stdout
    assert "CAP_SYS_PTRACE" in completed.stdout


def test_stopping_a_command_that_runs_on_ends_it() -> None:
    started = time.monotonic()
    with StraceRecorder(Host(), lambda event: None, command=["sleep", "600"]) as recorder:
        wait_for(lambda: recorder.lines > 20)
    assert time.monotonic() - started < 30
    assert not recorder.losses.counts


def test_the_consumer_is_called_in_one_thread() -> None:
    threads = set()
    with StraceRecorder(Host(), lambda event: threads.add(threading.get_ident()), command=["true"]) as recorder:
        recorder.wait()
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_in_a_twin_a_unit_is_recorded_from_its_first_instruction(twin_with: TwinWith) -> None:
    machine = twin_with()
    events: list[RawEvent] = []
    with StraceRecorder(machine, events.append) as recorder:
        machine.run(["systemd-run", "--wait", "--quiet", "/bin/cat", "/etc/hostname"])
    assert not recorder.losses.counts
    assert strace_command.tracers(machine, 1) == [0]
    execve = next(
        call for call in calls(events, "execve") if call.arguments[:1] in {(b"/bin/cat",), (b"/usr/bin/cat",)}
    )
    assert execve.result == 0
    opened = [
        call.arguments[1] for call in calls(events, "openat") if call.pid == execve.pid and call.time > execve.time
    ]
    assert b"/etc/hostname" in opened
    parent = next(call for call in calls(events, "clone", "clone3", "vfork", "fork") if call.result == execve.pid)
    assert parent.pid == 1
