"""The recorder that uses strace(1): it works everywhere, and what it sees it sees completely.

It wraps no Exec line. strace attaches to the machine's PID 1 for the time of a recording, so every process that
systemd forks is traced from its birth, while main process, notifications, PID files and sandbox stay what they are. It
attaches with PTRACE_SEIZE, so everything runs on untraced if strace ends, however it ends. A command given instead of
processes is traced as a child.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

import psutil

from profiler import run
from profiler.errors import PermissionRefused, ToolError
from profiler.machine import Machine
from profiler.recorders import strace_command
from profiler.recorders.base import Losses, RawEvent
from profiler.recorders.strace_lines import LineReader

STRACE_ENDED = "strace ended before the recording did"
STRACE_KILLED = "strace did not end when asked to and was killed"
COMMAND_ENDED = "the command did not end when asked to and was killed"

_ATTACH_SECONDS = 30.0
_DETACH_SECONDS = 60.0
_DRAIN_SECONDS = 600.0  # for a slow consumer to work off what the pipe still holds
_PIPE_BYTES = 1 << 20  # the most that a pipe holds without privileges (/proc/sys/fs/pipe-max-size)
_COMPLAINTS = 100  # lines of strace's own messages that are kept

# The kernel kills a program with this when the thread that started it ends; a fork forgets it, hence twice: for
# nsenter, which leads into a twin, and for strace inside of it. strace never outlives us, and its tracees go on.
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


class StraceRecorder:
    """Records what the processes ``pids`` of a machine and all their future children do, or what ``command`` does.

    ``consume`` is called with each event, in a thread of its own. While it is slow the traced processes wait; nothing
    is lost. Use it as a context manager, and let the thread that enters it outlive the recording (strace dies with
    it)::

        with StraceRecorder(machine, normaliser.take) as recorder:
            service.restart()
        recorder.losses

    ``decode`` names the calls whose arguments are wanted (``None``: all). ``keep`` is where the raw trace goes, gzipped
    and private; the file must not exist yet. It holds command lines and the beginnings of network messages.
    """

    def __init__(
        self,
        machine: Machine,
        consume: Callable[[RawEvent], None],
        *,
        pids: Sequence[int] = (1,),
        command: Sequence[str] = (),
        decode: frozenset[str] | None = None,
        keep: Path | None = None,
    ) -> None:
        self.losses = Losses()
        self._machine = machine
        self._consume = consume
        self._command = tuple(command)
        self._pids = () if command else tuple(pids)
        self._reader = LineReader(self.losses, decode=decode, native=strace_command.native_architecture())
        self._keep = keep
        self._process: subprocess.Popen[bytes] | None = None
        self._threads: list[threading.Thread] = []
        self._complaints: list[str] = []
        self._failure: BaseException | None = None

    @property
    def lines(self) -> int:
        """How many lines of trace have been read so far."""
        return self._reader.lines

    def __enter__(self) -> StraceRecorder:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
            return
        with contextlib.suppress(ToolError):  # the error under way matters more
            self.stop()

    def start(self) -> None:
        """Start strace and return when it traces every process asked for.

        Raises PermissionRefused if it may not, ToolError if strace is missing, a process is gone or already traced.
        """
        try:
            if self._command:
                self._start_command()
            else:
                self._start_attached()
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    def stop(self) -> None:
        """End the recording: detach, read what is left, and hand over the calls that never returned.

        Raises whatever ``consume`` raised, ToolError if the rest could not be read in time.
        """
        process = self._process
        if process is None:
            return
        if not self._command and process.poll() is not None:
            self.losses.add(STRACE_ENDED, "; ".join(self._complaints) or f"status {process.returncode}")
        elif process.poll() is None:
            self._end(signal.SIGTERM if self._command else signal.SIGINT)
        self._drain()
        if self._command and self._reader.running:
            self.losses.add(STRACE_ENDED, f"{len(self._reader.running)} processes were still running")
        self._process = None
        if self._failure is not None:
            raise self._failure

    def wait(self) -> int:
        """Wait until the command and everything it started have ended; return its status (negative: the signal).

        Raises ToolError if strace could not run it; strace has then said why on standard error.
        """
        if self._process is None or not self._command:
            raise ToolError("no command is being recorded")
        status = self._process.wait()
        self._drain()
        if not self.lines:
            raise ToolError(f"{self._command[0]} could not be run under strace (exit status {status})")
        return status

    def _start_attached(self) -> None:
        self._refuse_traced()
        reading, writing = os.pipe()
        with contextlib.suppress(OSError):  # a user's pipes may have used up their share; it only smooths bursts
            fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        stream = os.fdopen(reading, "rb", buffering=_PIPE_BYTES)
        try:
            traced = [word for pid in self._pids for word in ("-p", str(pid))]
            inside = [*_DIES_WITH_US, *strace_command.arguments("/proc/self/fd/1"), *traced]
            self._process = run.start([*_DIES_WITH_US, *self._machine.command(inside)], stdout=writing)
        finally:
            os.close(writing)
            self._read_in_thread(stream, self._read_trace)
        assert self._process.stderr is not None
        self._read_in_thread(self._process.stderr, self._read_complaints)
        self._wait_until_traced()

    def _start_command(self) -> None:
        # A FIFO, because a descriptor handed to strace would be inherited by the command.
        directory = Path(tempfile.mkdtemp(prefix="unit-tailor-", dir=self._machine.path("/tmp")))
        try:
            fifo = directory / "trace"
            os.mkfifo(fifo, 0o600)
            reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            stream = os.fdopen(reading, "rb", buffering=_PIPE_BYTES)
            inside = [*strace_command.arguments(f"/tmp/{directory.name}/trace"), "--", *self._command]
            try:
                self._process = run.start(
                    [*_DIES_WITH_US, *self._machine.command([*_DIES_WITH_US, *inside])],
                    stdin=0,
                    stdout=1,
                    stderr=2,
                    extra_environment=dict(os.environ),
                    new_session=False,
                )
                _wait_for_writer(reading, self._process)
            finally:
                self._read_in_thread(stream, self._read_trace)
        finally:
            shutil.rmtree(directory)

    def _read_in_thread(self, stream: IO[bytes], target: Callable[[IO[bytes]], None]) -> None:
        thread = threading.Thread(target=target, args=(stream,), name=f"strace {target.__name__}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read_trace(self, stream: IO[bytes]) -> None:
        os.set_blocking(stream.fileno(), True)
        with stream:
            try:
                for event in self._reader.read(self._kept(stream)):
                    self._consume(event)
                for event in self._reader.finish():
                    self._consume(event)
            except BaseException as error:
                self._failure = error
                while stream.read(_PIPE_BYTES):  # or all traced processes would stand still
                    pass

    def _kept(self, stream: IO[bytes]) -> Iterator[bytes]:
        if self._keep is None:
            yield from stream
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with (
            os.fdopen(os.open(self._keep, flags, 0o600), "wb") as file,
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as kept,
        ):
            for line in stream:
                kept.write(line)
                yield line

    def _read_complaints(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                if len(self._complaints) < _COMPLAINTS:
                    self._complaints.append(line.decode("utf-8", "backslashreplace").rstrip())

    def _refuse_traced(self) -> None:
        for pid in self._pids:
            tracers = self._tracers(pid)
            if not tracers:
                raise ToolError(f"cannot trace process {pid} of {self._machine.name}: no such process")
            if any(tracers):
                raise ToolError(
                    f"cannot trace process {pid} of {self._machine.name}: process {max(tracers)} traces it already",
                    hint="end that debugger or tracer first",
                )

    def _tracers(self, pid: int) -> list[int]:
        # The tracer of each thread (0: none), as the machine's own /proc shows it; empty if the process is gone.
        tracers = []
        for status in self._machine.path(f"/proc/{pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):  # the thread has just ended
                line = next(line for line in status.read_text().splitlines() if line.startswith("TracerPid:"))
                tracers.append(int(line.split()[1]))
        return tracers

    def _wait_until_traced(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _ATTACH_SECONDS
        while not all(all(self._tracers(pid)) for pid in self._pids):
            if self._process.poll() is not None:
                raise self._refusal()
            if time.monotonic() > deadline:
                raise ToolError(f"strace did not attach to {self._machine.name} within {_ATTACH_SECONDS:g} s")
            time.sleep(0.01)

    def _refusal(self) -> ToolError:
        # Why strace ended instead of attaching.
        for thread in self._threads:
            thread.join(10)
        said = "; ".join(line.removeprefix("strace: ") for line in self._complaints) or "it said nothing"
        if "Operation not permitted" in said:
            answer = strace_command.availability(self._machine, self._pids)
            return PermissionRefused(
                f"strace may not trace {self._machine.name}: {answer.reason or said}",
                hint=answer.remedy or "run: unit-tailor doctor",
            )
        return ToolError(f"strace could not trace {self._machine.name}: {said}", hint="run: unit-tailor doctor")

    def _end(self, number: int) -> None:
        # Ask strace to end (a command: ask the command), and insist.
        process = self._process
        if process is None or process.poll() is not None:
            return
        tracer = self._tracer()
        if tracer is not None and number != signal.SIGKILL:
            with contextlib.suppress(psutil.NoSuchProcess):
                for target in tracer.children() if self._command else [tracer]:
                    target.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_DETACH_SECONDS)
                return
            self.losses.add(COMMAND_ENDED if self._command else STRACE_KILLED)
        family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(_DETACH_SECONDS)

    def _tracer(self) -> psutil.Process | None:
        # strace itself: what we started may be nsenter, which must not get the signal, because strace dies with it.
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(self._process.pid)
            for process in (started, *started.children(recursive=True)):
                if process.name() == "strace":
                    return process
        return None

    def _drain(self) -> None:
        for thread in self._threads:
            thread.join(_DRAIN_SECONDS)
            if thread.is_alive():
                raise ToolError(f"the rest of the trace could not be read within {_DRAIN_SECONDS:g} s")
        self._threads.clear()
        for line in self._complaints:
            self.losses.add("complaint of strace", line)


def _wait_for_writer(fifo: int, process: subprocess.Popen[bytes]) -> None:
    # Until strace has opened the FIFO and written to it, or has ended without doing so; then reading ends by itself.
    poller = select.poll()
    poller.register(fifo, select.POLLIN)
    while not poller.poll(100) and process.poll() is None:
        pass
