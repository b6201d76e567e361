"""What the strace recorder sees of real programs, hostile ones among them."""

from __future__ import annotations

import collections
import gzip
import os
import signal
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from profiler.errors import ToolError
from profiler.machine import Host
from profiler.recorders.base import Descriptor, ProcessEnded, RawCall, RawEvent, Struct, Symbol, ThreadSuperseded, Value
from profiler.recorders.strace import StraceRecorder
from profiler.recorders.strace_lines import UNKNOWN_CALL, UNTRACED_CHILD
from tests.profiler.recorders.process_tree import process_tree
from tests.profiler.recorders.recordings import PYTHON, calls, record, wait_for
from tests.requirements import require

pytestmark = pytest.mark.usefixtures("strace_leaves_nothing")
REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAMS = REPOSITORY / "fixtures" / "programs"


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


def test_a_static_program_is_recorded_like_any_other() -> None:
    """# hard case 83: no library is loaded, so nothing that is preloaded would see it; the kernel's calls are all."""
    program = next((path for path in ("/sbin/ldconfig.real", "/sbin/ldconfig") if _is_static(Path(path))), "")
    require(bool(program), "no static program here: ldconfig is usually one")
    status, events, recorder = record(program, "-p")
    assert status == 0 and not recorder.losses.counts
    opened = [call.arguments[1] for call in calls(events, "openat") if call.result is not None and call.result >= 0]
    assert b"/etc/ld.so.cache" in opened
    assert not [path for path in opened if isinstance(path, bytes) and b".so." in path and b"cache" not in path]


def _is_static(program: Path) -> bool:
    return program.is_file() and b"ld-linux" not in program.read_bytes()[:4096]


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

    def remember(prefix: str, dir: Path) -> str:
        made.append(make(prefix=prefix, dir=dir))
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", remember)
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


def test_the_consumer_is_called_in_one_thread() -> None:
    threads = set()
    with StraceRecorder(Host(), lambda event: threads.add(threading.get_ident()), command=["true"]) as recorder:
        recorder.wait()
    assert len(threads) == 1
    assert threading.get_ident() not in threads
