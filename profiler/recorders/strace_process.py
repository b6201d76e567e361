"""Starting and ending strace: attached to processes of a machine, or with a command as its child.

strace never outlives us, and what it traced goes on: the kernel kills it when the thread that started it ends. A fork
forgets that, hence it is asked for twice: for nsenter, which leads into a twin, and for strace inside of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from profiler import run
from profiler.machine import Machine
from profiler.recorders import strace_command

PIPE_BYTES = 1 << 20
"""The size of the pipe and of one reading: the most that a pipe holds without privileges (proc(5), pipe-max-size)."""

# Bytes, and the seconds that the reader waits after a reading that was smaller, for a pipe of PIPE_BYTES. After a few
# lines it is soon back, to look at what the service uses while it is there; in a storm of calls it wakes up less often.
_WAITS = ((1 << 12, 0.002), (1 << 14, 0.008), (1 << 18, 0.02))

# Asked to end, strace waits for each process to stop, and for ever for one inside vfork() whose child it holds itself.
# Killed after this time it is as good: the kernel lets all of them go.
_DETACH_SECONDS = 1.0
_COMMAND_SECONDS = 30.0  # for a command to end when asked to
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


class _Gathering(io.FileIO):
    """A pipe that is read in large pieces.

    strace writes every line by itself. Who reads each at once wakes up for each, and strace and the service wait for
    that; a moment's patience costs nothing, because the pipe holds much more than comes in that time.
    """

    _wait = 0.0

    def __init__(self, reading: int) -> None:
        super().__init__(reading)
        # A pipe that could not be made large fills up sooner.
        self._share = min(1.0, fcntl.fcntl(reading, fcntl.F_GETPIPE_SZ) / PIPE_BYTES)
        self.hurry = threading.Event()
        """Set when nothing more will be written, so that there is nothing to wait for."""

    def readinto(self, buffer: Any) -> int | None:
        """Read what there is, after a short wait if there was little the last time."""
        if self._wait:
            self.hurry.wait(self._wait)
        count: int | None = super().readinto(buffer)
        share = self._share
        self._wait = next((seconds * share for most, seconds in _WAITS if (count or 0) <= most * share), 0.0)
        return count


def hurry(stream: IO[bytes]) -> None:
    """Have what is left of a trace read at once: strace has ended."""
    raw = getattr(stream, "raw", None)
    if isinstance(raw, _Gathering):
        raw.hurry.set()


def attach(machine: Machine, pids: Sequence[int]) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start strace on these processes; return it, with its messages as ``stderr``, and the stream of the trace.

    It is not attached yet when this returns.
    """
    reading, writing = os.pipe()
    stream = _stream(reading)
    try:
        traced = [word for pid in pids for word in ("-p", str(pid))]
        inside = [*_DIES_WITH_US, *strace_command.arguments("/proc/self/fd/1"), *traced]
        return run.start([*_DIES_WITH_US, *machine.command(inside)], stdout=writing), stream
    except BaseException:
        stream.close()
        raise
    finally:
        os.close(writing)


def start_command(machine: Machine, command: Sequence[str]) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start a command under strace, with our streams and environment; return strace and the stream of the trace."""
    with _fifo(machine) as (stream, inside):
        arguments = [*_DIES_WITH_US, *strace_command.arguments(inside), "--", *command]
        process = run.start(
            [*_DIES_WITH_US, *machine.command_here(arguments)],
            stdin=0,
            stdout=1,
            stderr=2,
            extra_environment=dict(os.environ),
            new_session=False,
        )
        _wait_for_writer(stream.fileno(), process)
    return process, stream


def _stream(reading: int) -> IO[bytes]:
    with contextlib.suppress(OSError):  # a user's pipes may have used up their share; it only smooths bursts
        fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return io.BufferedReader(_Gathering(reading), PIPE_BYTES)


def end(process: subprocess.Popen[bytes], *, command: bool, gently: bool = True) -> bool:
    """End strace, or the ``command`` that it runs, and wait for it; return whether it ended by itself when asked to."""
    tracer = _tracer(process)
    if gently and (tracer is not None or not command):
        with contextlib.suppress(psutil.NoSuchProcess):
            for target in _targets(tracer, command=command):
                target.send_signal(signal.SIGTERM if command else signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_COMMAND_SECONDS if command else _DETACH_SECONDS)
            return True
    started = psutil.Process(process.pid)
    family = [*started.children(recursive=True), started]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()
    psutil.wait_procs(family, timeout=_COMMAND_SECONDS)  # until then, strace still holds what it traced
    return False


def _targets(tracer: psutil.Process | None, *, command: bool) -> list[psutil.Process]:
    # None if strace has ended already, though not yet what it was started by, whose status will tell how.
    if tracer is None:
        return []
    return list(tracer.children()) if command else [tracer]


def _tracer(process: subprocess.Popen[bytes]) -> psutil.Process | None:
    # strace itself: what we started may be nsenter, which must not get the signal, because strace dies with it.
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid)
        for member in (started, *started.children(recursive=True)):
            if member.name() == "strace":
                return member
    return None


@contextlib.contextmanager
def _fifo(machine: Machine) -> Iterator[tuple[IO[bytes], str]]:
    # The reading end of a FIFO and its path in the machine, while it has a name. (The descriptor of a pipe, handed to
    # strace, would be inherited by the command.) The reading end stays open unless there is an error.
    directory = Path(tempfile.mkdtemp(prefix="unit-tailor-trace-", dir=machine.path("/tmp")))
    try:
        os.mkfifo(directory / "trace", 0o600)
        reading = os.open(directory / "trace", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        stream = _stream(reading)
        try:
            yield stream, f"/tmp/{directory.name}/trace"
        except BaseException:
            stream.close()
            raise
        os.set_blocking(reading, True)
    finally:
        shutil.rmtree(directory)


def _wait_for_writer(fifo: int, process: subprocess.Popen[bytes]) -> None:
    # Until strace has opened the FIFO and written to it, or has ended without doing so; then reading ends by itself.
    poller = select.poll()
    poller.register(fifo, select.POLLIN)
    while not poller.poll(100) and process.poll() is None:
        pass
