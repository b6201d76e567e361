"""The recorder that uses python-ptrace, on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from profiler.errors import ToolError
from profiler.machine import Host
from profiler.recorders.base import Descriptor, ProcessEnded, RawCall, RawEvent, Struct, Symbol, ThreadSuperseded
from profiler.recorders.ptrace import PtraceRecorder, availability
from profiler.recorders.strace_command import tracers
from tests.profiler.recorders.process_tree import LIVES_IN_VFORK, process_tree
from tests.profiler.recorders.recordings import PYTHON, calls, wait_for
from tests.requirements import require

PROGRAMS = Path(__file__).resolve().parents[3] / "fixtures" / "programs"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Skip where python-ptrace cannot work; afterwards no tracer of ours may be left."""
    answer = availability(Host())
    require(answer.available, f"{answer.reason}; {answer.remedy}")
    yield
    assert not [process for process in psutil.Process().children(recursive=True) if is_tracer(process)]


def is_tracer(process: psutil.Process) -> bool:
    """Whether this is a tracer of ours; one that has ended and waits to be reaped is none."""
    try:
        return "ptrace_child" in str(process.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return False


def record(*command: str) -> tuple[int, list[RawEvent], PtraceRecorder]:
    """Record a command; return its status, the events and the recorder."""
    events: list[RawEvent] = []
    with PtraceRecorder(Host(), events.append, command=command) as recorder:
        status = recorder.wait()
    return status, events, recorder


def test_a_command_is_recorded_with_its_status_and_its_exact_calls(tmp_path: Path) -> None:
    program = f"import os;os.chdir({str(tmp_path)!r});open('a \\n\"b','w').close();os.symlink('x','y');os._exit(7)"
    status, events, recorder = record(PYTHON, "-c", program)

    assert status == 7
    assert recorder.losses.counts == {}
    assert events[0].name == "execve" and events[0].arguments[0] == os.fsencode(PYTHON)  # type: ignore[union-attr]
    opened = next(call for call in calls(events, "openat") if call.arguments[1] == b'a \n"b')
    assert opened.arguments[0] == Descriptor(-100)
    assert {"O_WRONLY", "O_CREAT", "O_TRUNC", "O_CLOEXEC"} == Symbol.flags.fget(opened.arguments[2])  # type: ignore[attr-defined]
    assert opened.result_target == Descriptor(opened.result or 0, os.fsencode(tmp_path) + b'/a \n"b')
    assert calls(events, "symlink")[0].arguments == (b"x", b"y")
    assert any(isinstance(event, ProcessEnded) and event.status == 7 for event in events)


def test_failed_calls_carry_their_errno_and_blocked_ones_no_result() -> None:
    program = "import os,socket\ntry: os.open('/nonexistent/x', 0)\nexcept OSError: pass\nos.kill(os.getpid(), 9)"
    status, events, _ = record(PYTHON, "-c", program)

    assert status == 128 + 9
    missing = next(call for call in calls(events, "openat") if call.arguments[1] == b"/nonexistent/x")
    assert (missing.result, missing.error) == (-1, "ENOENT")
    assert any(isinstance(event, ProcessEnded) and event.killed_by == "SIGKILL" for event in events)
    assert any(call.result is None and not call.error for call in calls(events, "kill"))


def test_threads_forks_and_execs_are_followed() -> None:
    """# hard case 2, 3, 19: threads, vfork and clone3, and execve by a thread."""
    status, events, recorder = record(PYTHON, str(PROGRAMS / "threads_and_deaths.py"))

    assert status == 0
    assert recorder.losses.counts == {}
    made = [call for call in calls(events, "clone", "clone3", "vfork", "fork") if call.result]
    pids = {event.pid for event in events}
    assert {call.result for call in made} <= pids
    assert any(isinstance(event, ThreadSuperseded) for event in events)


def test_a_fork_that_never_returns_tells_whom_it_made(tmp_path: Path) -> None:
    """As when a Go program ends while one of its threads starts another."""
    program = (
        "import ctypes,os,time\nparent,here=os.getpid(),ctypes.PyDLL(None)\nif not here.syscall(58):\n"  # vfork
        f" os.kill(parent,9)\n os.mkdir({str(tmp_path / 'made')!r})\n os._exit(0)\n"
    )
    status, events, recorder = record(PYTHON, "-c", program)

    assert status == 128 + 9
    assert recorder.losses.counts == {}
    (made,) = calls(events, "mkdir")
    assert [call.result for call in calls(events, "vfork")] == [made.pid]


def test_structures_are_decoded_as_strace_decodes_them() -> None:
    program = (
        "import socket,os,resource\n"
        "s=socket.socket(socket.AF_INET6);s.bind(('::1',0));s.listen()\n"
        "c=socket.socket(socket.AF_INET6);c.connect(s.getsockname());s.accept()\n"
        "u=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);u.bind('\\0abstract')\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE,(100,200));os.setgroups([1,2])\n"
        "n=socket.socket(socket.AF_NETLINK,socket.SOCK_RAW,0);n.send(b'\\x14\\0\\0\\0\\x12\\0\\1\\3'+bytes(12))\n"
    )
    require(os.geteuid() == 0, "setgroups needs root")
    _, events, _ = record(PYTHON, "-c", program)

    bound = [call.arguments[1] for call in calls(events, "bind")]
    assert Struct({"sa_family": Symbol("AF_INET6"), "sin6_port": 0, "sin6_addr": b"::1"}) in bound
    assert Struct({"sa_family": Symbol("AF_UNIX"), "sun_path": b"\0abstract"}) in bound
    accepted = calls(events, "accept4")[0]
    assert isinstance(accepted.arguments[1], Struct) and accepted.arguments[1].fields["sin6_addr"] == b"::1"
    limits = [call.arguments for call in calls(events, "prlimit64") if call.arguments[1] == Symbol("RLIMIT_NOFILE")]
    assert Struct({"rlim_cur": 100, "rlim_max": 200}) in [arguments[2] for arguments in limits]
    assert calls(events, "setgroups")[0].arguments[1] == (1, 2)
    assert calls(events, "sendto")[-1].arguments[1] == Struct({"nlmsg_type": Symbol("RTM_GETLINK")})


def test_attached_to_pid_1_every_new_process_is_seen_and_everything_runs_on() -> None:
    with process_tree() as machine:
        events: list[RawEvent] = []
        with PtraceRecorder(machine, events.append) as recorder:
            wait_for(lambda: len(calls(list(events), "execve")) >= 3)
            assert all(tracers(machine, 1))
        assert recorder.losses.counts == {}
        assert machine.is_running()
        assert not any(tracers(machine, 1))
    first = {event.pid: event for event in reversed(events) if isinstance(event, RawCall)}
    parents = {call.result for call in calls(events, "clone", "clone3", "vfork", "fork")}
    assert len(parents & set(first)) >= 2


@pytest.mark.parametrize("moment", [0.0, 0.002, 0.02, 0.2])
def test_the_tracer_that_is_killed_is_a_loss_and_the_traced_processes_go_on(moment: float) -> None:
    with process_tree() as machine:
        events: list[RawEvent] = []
        with PtraceRecorder(machine, events.append) as recorder:
            wait_for(lambda: len(events) > 10)
            children = psutil.Process().children(recursive=True)
            tracer = next(one for one in children if "ptrace_child" in str(one.cmdline()) and one.name() != "nsenter")
            tracer.kill()
            time.sleep(moment)
        assert recorder.losses.counts
        wait_for(lambda: not any(tracers(machine, 1)))
        time.sleep(0.1)
        assert machine.is_running()


def test_who_is_met_inside_vfork_comes_to_no_harm_and_every_call_before_is_kept() -> None:
    with process_tree(LIVES_IN_VFORK) as machine:
        events: list[RawEvent] = []
        with PtraceRecorder(machine, events.append) as recorder:
            wait_for(lambda: bool(calls(list(events), "sched_yield")))
            assert recorder.settle()
            started = time.monotonic()
        assert time.monotonic() - started < 20
        assert recorder.losses.counts == {}
        assert not any(tracers(machine, 1))
        time.sleep(2.5)  # until the child that was asleep has ended
        assert machine.is_running()
    begun = calls(events, "clone", "vfork")
    assert begun[-1].result == calls(events, "clock_nanosleep", "nanosleep")[-1].pid  # it was told before it returned
    assert begun[-1].pid == calls(events, "sched_yield")[-1].pid
    assert [call.error for call in calls(events, "stat", "newfstatat")][-1] == "ENOENT"
    assert calls(events, "clock_nanosleep", "nanosleep")[-1].result is None


def test_a_process_that_somebody_traces_is_refused_with_its_reason() -> None:
    tree, refused = process_tree(), pytest.raises(ToolError, match="python-ptrace")
    with tree as machine, PtraceRecorder(machine, lambda _: None), refused:
        PtraceRecorder(machine, lambda _: None).start()


def test_a_command_that_does_not_exist_ends_with_status_127(capfd: pytest.CaptureFixture[str]) -> None:
    status, events, _ = record("/nonexistent/program")
    assert status == 127
    assert calls(events, "openat") == []
    assert "/nonexistent/program: No such file or directory" in capfd.readouterr().err


def test_python_ptrace_is_imported_by_the_child_alone() -> None:
    """Its licence is GPL-2.0-only: nothing else of ours may be one program with it."""
    code = "import sys, profiler.recorders.ptrace; sys.exit('ptrace' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
    sources = [path for path in (root / "profiler").rglob("*.py") if "\nfrom ptrace" in path.read_text()]
    assert [path.name for path in sources] == ["ptrace_child.py"]
    assert sources[0].read_text().startswith("# SPDX-License-Identifier: GPL-2.0-only\n")
