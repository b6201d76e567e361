"""The recorder that uses strace(1): it works everywhere, and what it sees it sees completely.

It wraps no Exec line. strace attaches to the machine's PID 1 for the time of a recording, so every process that
systemd forks is traced from its birth, while main process, notifications, PID files and sandbox stay what they are. It
attaches with PTRACE_SEIZE, so everything runs on untraced if strace ends, however it ends. A command given instead of
processes is traced as a child.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from profiler import run
from profiler.errors import PermissionRefused, ToolError
from profiler.machine import Machine
from profiler.recorders import strace_command, strace_process
from profiler.recorders.base import Losses, RawEvent
from profiler.recorders.strace_lines import LineReader

STRACE_ENDED = "strace ended before the recording did"
COMMAND_KILLED = "the command did not end when asked to and was killed"
COMPLAINT = "complaint of strace"

_ATTACH_SECONDS = 30.0
_DRAIN_SECONDS = 600.0  # for a slow consumer to work off what the pipe still holds
_COMPLAINTS = 100  # lines of strace's own messages that are kept
_NICENESS = 10  # of the thread that reads, see nice(2)
_KILLED = {-signal.SIGKILL, 128 + signal.SIGKILL}
# A process that was killed at its birth, before it made any call, or that was born while strace let all others go.
_HARMLESS = re.compile(r"strace: (?:Exit|Stop) of unknown pid \d+ ignored")


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
        self._kept: gzip.GzipFile | None = None
        self._closing = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._threads: list[threading.Thread] = []
        self._streams: list[IO[bytes]] = []
        self._complaints: list[str] = []
        self._failure: BaseException | None = None
        self._detaching = False

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
        with contextlib.suppress(Exception):  # the error under way matters more
            self.stop()

    def start(self) -> None:
        """Start strace and return when it traces every process asked for.

        Raises PermissionRefused if it may not, ToolError if strace is missing, a process is gone or already traced.
        """
        try:
            self._open_kept()
            if self._command:
                self._process, stream = strace_process.start_command(self._machine, self._command)
                self._read_in_thread(stream, self._read_trace)
            else:
                self._start_attached()
        except BaseException:
            self._end(gently=False)
            self._drain()
            raise

    def settle(self, quiet: float = 0.2, limit: float = 10.0) -> bool:
        """Wait until strace has had nothing new for ``quiet`` seconds, at most ``limit``; return whether that came.

        A client has its answer before strace has seen the end of the call that sent it.
        """
        deadline = time.monotonic() + limit
        seen, since = self.lines, time.monotonic()
        while time.monotonic() < deadline:
            if self.lines != seen:
                seen, since = self.lines, time.monotonic()
            elif time.monotonic() - since >= quiet:
                return True
            time.sleep(quiet / 10)
        return False

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

    def stop(self) -> None:
        """End the recording: detach, read what is left, and hand over the calls that never returned.

        A command that still runs is ended. Raises whatever ``consume`` raised, ToolError if the rest could not be read
        in time.
        """
        process = self._process
        if process is None:
            return
        if not self._command and process.poll() is not None:
            self.losses.add(STRACE_ENDED, f"status {process.returncode}")
        self._end(gently=True)
        self._drain()
        if self._command and self._reader.running:
            self.losses.add(STRACE_ENDED, f"{len(self._reader.running)} processes were still running")
        self._process = None
        if self._failure is not None:
            raise self._failure

    def _start_attached(self) -> None:
        strace_command.refuse_traced(self._machine, self._pids)
        self._process, stream = strace_process.attach(self._machine, self._pids)
        assert self._process.stderr is not None
        self._read_in_thread(stream, self._read_trace)
        self._read_in_thread(self._process.stderr, self._read_complaints)
        deadline = time.monotonic() + _ATTACH_SECONDS
        while not all(all(strace_command.tracers(self._machine, pid)) for pid in self._pids):
            if self._process.poll() is not None:
                raise self._refusal()
            if time.monotonic() > deadline:
                raise ToolError(f"strace did not attach to {self._machine.name} within {_ATTACH_SECONDS:g} s")
            time.sleep(0.01)

    def _read_in_thread(self, stream: IO[bytes], target: Callable[[IO[bytes]], None]) -> None:
        self._streams.append(stream)
        thread = threading.Thread(target=target, args=(stream,), name=f"strace {target.__name__}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read_trace(self, stream: IO[bytes]) -> None:
        _give_way()
        with stream:
            try:
                lines = stream if self._kept is None else self._keep_lines(stream, self._kept)
                for event in self._reader.read(lines):
                    self._consume(event)
                for event in self._reader.finish(detached=self._detaching):
                    self._consume(event)
            except BaseException as error:
                self._failure = error
                while stream.read(strace_process.PIPE_BYTES):  # or all traced processes would stand still
                    pass

    def _open_kept(self) -> None:
        if self._keep is None:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.fdopen(os.open(self._keep, flags, 0o600), "wb")
        except OSError as error:
            raise ToolError(
                f"cannot create {self._keep}: {error.strerror}", hint="choose a file that does not exist yet"
            ) from None
        self._closing.callback(file.close)
        self._kept = self._closing.enter_context(gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0))

    def _keep_lines(self, stream: IO[bytes], kept: gzip.GzipFile) -> Iterator[bytes]:
        for line in stream:
            kept.write(line)
            yield line

    def _read_complaints(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                if len(self._complaints) < _COMPLAINTS:
                    self._complaints.append(line.decode("utf-8", "backslashreplace").rstrip())

    def _refusal(self) -> ToolError:
        # Why strace ended instead of attaching.
        for thread in self._threads:
            thread.join(_ATTACH_SECONDS)
        said = "; ".join(line.removeprefix("strace: ") for line in self._complaints) or "it said nothing"
        if "Operation not permitted" in said:
            answer = strace_command.availability(self._machine, self._pids)
            return PermissionRefused(
                f"strace may not trace {self._machine.name}: {answer.reason or said}",
                hint=answer.remedy or "run: unit-tailor doctor",
            )
        return ToolError(f"strace could not trace {self._machine.name}: {said}", hint="run: unit-tailor doctor")

    def _end(self, *, gently: bool) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._detaching = not self._command
        ended = strace_process.end(self._process, command=bool(self._command), gently=gently)
        if self._command and not ended:
            self.losses.add(COMMAND_KILLED, run.pasteable(self._command))
        if not self._command and ended and self._process.returncode in _KILLED:
            self.losses.add(STRACE_ENDED, f"status {self._process.returncode}")  # by somebody else, just before

    def _drain(self) -> None:
        for stream in self._streams:
            strace_process.hurry(stream)
        self._streams.clear()
        for thread in self._threads:
            thread.join(_DRAIN_SECONDS)
            if thread.is_alive():
                raise ToolError(f"the rest of the trace could not be read within {_DRAIN_SECONDS:g} s")
        self._threads.clear()
        self._closing.close()
        for line in self._complaints:
            if not _HARMLESS.fullmatch(line):
                self.losses.add(COMPLAINT, line)
        self._complaints.clear()


def _give_way() -> None:
    # This thread can lag behind by a whole pipe; strace and the service cannot, and take turns on every call.
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):
        os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, thread, _NICENESS)
