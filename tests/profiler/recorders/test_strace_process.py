"""strace attached to PID 1 of a machine, and what becomes of everybody when anybody dies."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from profiler.machine import Host
from profiler.recorders import strace_command, strace_process
from profiler.recorders.base import RawCall, RawEvent
from profiler.recorders.strace import STRACE_ENDED, StraceRecorder
from tests.profiler.recorders.process_tree import BUSY, LIVES_IN_VFORK, process_tree
from tests.profiler.recorders.recordings import PYTHON, calls, wait_for
from tests.twin_fixtures import TwinWith

pytestmark = pytest.mark.usefixtures("strace_leaves_nothing")
REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAMS = REPOSITORY / "fixtures" / "programs"


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


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.005, 0.02])
def test_strace_that_is_killed_right_before_the_end_is_a_loss_too(moment: float) -> None:
    with process_tree() as tree:
        with StraceRecorder(tree, lambda event: None) as recorder:
            strace = next(p for p in psutil.Process().children(recursive=True) if p.name() == "strace")
            strace.kill()
            time.sleep(moment)
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


def test_detaching_in_the_middle_of_vfork_does_not_wait_for_ever() -> None:
    # The shell that is PID 1 spends much of its time in vfork(); about one detachment in ten meets it there. It ends
    # as soon as one of its children comes to harm.
    with process_tree("while sleep 0.02; do :; done") as tree:
        for _ in range(25):
            events: list[RawEvent] = []
            with StraceRecorder(tree, events.append) as recorder:
                assert recorder.settle(quiet=0.001)
                started = time.monotonic()
            assert time.monotonic() - started < 20
            assert not recorder.losses.counts
            assert strace_command.tracers(tree, 1) == [0]
            assert tree.is_running()
        progress = _processes_started(tree.init)
        wait_for(lambda: _processes_started(tree.init) > progress + 2)


def test_who_is_met_inside_vfork_comes_to_no_harm_and_every_call_before_is_kept() -> None:
    """strace asks the parent to stop, which cannot before the child ends, and holds the child: it must be killed."""
    with process_tree(LIVES_IN_VFORK) as tree:
        events: list[RawEvent] = []
        with StraceRecorder(tree, events.append) as recorder:
            wait_for(lambda: bool(calls(list(events), "sched_yield")))  # then it is in vfork() again
            assert recorder.settle()
            started = time.monotonic()
        assert time.monotonic() - started < 20
        assert not recorder.losses.counts
        assert strace_command.tracers(tree, 1) == [0]
        again = _processes_started(tree.init)
        wait_for(lambda: _processes_started(tree.init) > again)
        assert tree.is_running()
    begun = calls(events, "clone", "vfork")
    assert begun[-1].result is None and begun[-1].pid == 1, "the call that was cut is kept, as one that never returned"
    assert [call.error for call in calls(events, "stat", "newfstatat")][-1] == "ENOENT"
    slept = calls(events, "clock_nanosleep", "nanosleep")
    assert slept[-1].result is None and slept[-1].pid != 1


def test_stopping_a_command_that_runs_on_ends_it() -> None:
    started = time.monotonic()
    with StraceRecorder(Host(), lambda event: None, command=["sleep", "600"]) as recorder:
        wait_for(lambda: recorder.lines > 20)
    assert time.monotonic() - started < 30
    assert not recorder.losses.counts


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


@pytest.mark.parametrize("share", [1, 16])
def test_a_small_pipe_is_waited_for_less(share: int) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, strace_process.PIPE_BYTES // share)
    waits = []
    with io.BufferedReader(pipe := strace_process._Gathering(reading), strace_process.PIPE_BYTES) as stream:
        for size in (1 << 8, 1 << 13, 1 << 15):
            os.write(writing, bytes(size))
            assert len(stream.read1()) == size
            waits.append(pipe._wait * share)
    os.close(writing)
    assert waits == ([0.002, 0.008, 0.02] if share == 1 else [0.002, 0.02, 0])
