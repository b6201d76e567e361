"""The recorder that uses python-ptrace: it needs no other program than Python, and is slow.

python-ptrace is GPL-2.0-only, so it runs in a process of its own (``ptrace_child.py``), which sends what it sees as
lines of JSON. Like the strace recorder it attaches to PID 1 with PTRACE_SEIZE, or starts a command; everything runs on
when it ends.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import psutil

from profiler import run
from profiler.errors import PermissionRefused, ToolError
from profiler.machine import Machine
from profiler.recorders.base import (
    ERRNO_NAMES,
    Availability,
    Losses,
    ProcessEnded,
    RawCall,
    RawEvent,
    ThreadSuperseded,
)
from profiler.recorders.ptrace_names import call_numbers
from profiler.recorders.ptrace_values import CallReader, is_read, plans

SLOW = "slow, about four times slower than strace: each call passes through one Python process"
"""What to tell whoever chooses this recorder."""

TRACER_ENDED = "the tracer ended before the recording did"
UNREADABLE_EVENT = "event of the tracer that could not be read"
UNKNOWN_CALL = "system call without a name"
UNREADABLE_ARGUMENTS = "call whose arguments could not be read"
UNTRACED_CHILD = "process that escapes the tracer (CLONE_UNTRACED)"
NO_BEGINNING = "call whose beginning was not seen"

_CHILD = Path(__file__).with_name("ptrace_child.py")
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
_ATTACH_SECONDS = 30.0
_DETACH_SECONDS = 10.0
_DRAIN_SECONDS = 600.0


class PtraceRecorder:
    """Records what ``pids`` of a machine and their future children do, or what ``command`` does.

    ``consume`` is called with each event, in a thread of its own; ``decode`` names the calls whose arguments are wanted
    (``None``: all that can be read). A context manager, used like ``StraceRecorder``.
    """

    def __init__(
        self,
        machine: Machine,
        consume: Callable[[RawEvent], None],
        *,
        pids: Sequence[int] = (1,),
        command: Sequence[str] = (),
        decode: frozenset[str] | None = None,
    ) -> None:
        self.losses = Losses()
        self.lines = 0
        self._machine = machine
        self._consume = consume
        self._command = tuple(command)
        self._pids = () if command else tuple(pids)
        self._reader = EventReader(self.losses, decode)
        self._decode = decode
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._refused: tuple[int, str] | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> PtraceRecorder:
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
        """Start the tracer and return when it traces every process asked for.

        Raises PermissionRefused if it may not, ToolError if it cannot run or a process is gone or traced already.
        """
        reading, writing = os.pipe()
        configuration_read, configuration_write = os.pipe()
        try:
            words = [sys.executable, "-I", str(_CHILD), str(configuration_read), str(writing)]
            self._process = run.start(
                [*_DIES_WITH_US, *self._machine.command_here([*_DIES_WITH_US, *words])],
                stdin=0 if self._command else None,
                stdout=1 if self._command else subprocess.PIPE,
                stderr=2 if self._command else subprocess.PIPE,
                extra_environment=dict(os.environ) if self._command else None,
                pass_fds=(configuration_read, writing),
                new_session=not self._command,
            )
        except BaseException:
            os.close(reading)
            os.close(configuration_write)
            raise
        finally:
            os.close(writing)
            os.close(configuration_read)
        self._thread = threading.Thread(target=self._follow, args=(os.fdopen(reading, "rb"),), daemon=True)
        self._thread.start()
        with contextlib.suppress(BrokenPipeError), os.fdopen(configuration_write, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(self._configuration()) + "\n")
        self._wait_until_traced()

    def stop(self) -> None:
        """End the recording: detach, and take what is left. Raises whatever ``consume`` raised."""
        process = self._process
        if process is None:
            return
        ended_before = process.poll() is not None
        if not ended_before:
            self._end(process)
        if not self._command and (ended_before or process.returncode):  # killed right before it was asked to end
            self.losses.add(TRACER_ENDED, f"status {process.returncode}")
        self._drain()
        self._process = None
        if self._failure is not None:
            raise self._failure

    def settle(self, quiet: float = 0.2, limit: float = 10.0) -> bool:
        """Wait until there has been nothing new for ``quiet`` seconds, at most ``limit``; return whether that came."""
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
        """Wait until the command and everything it started have ended; return its status (128 and more: a signal)."""
        if self._process is None or not self._command:
            raise ToolError("no command is being recorded")
        status = self._process.wait()
        self._drain()
        return status

    def _configuration(self) -> dict[str, Any]:
        return {"pids": list(self._pids), "command": list(self._command), "plans": plans(self._decode)}

    def _follow(self, stream: IO[bytes]) -> None:
        with stream:
            try:
                for event in self._reader.read(self._lines(stream)):
                    self._consume(event)
            except BaseException as error:
                self._failure = error
                while stream.read(1 << 16):  # or all traced processes would stand still
                    pass
        self._ready.set()

    def _lines(self, stream: IO[bytes]) -> Iterator[bytes]:
        for line in stream:
            if line.startswith(b'["ready"'):
                self._ready.set()
            elif line.startswith(b'["refused"'):
                _, number, words = json.loads(line)
                self._refused = (number, words)
            else:
                self.lines += 1
                yield line

    def _wait_until_traced(self) -> None:
        assert self._process is not None
        if not self._ready.wait(_ATTACH_SECONDS):
            self._process.kill()
            raise ToolError(f"the tracer did not attach to {self._machine.name} within {_ATTACH_SECONDS:g} s")
        if self._refused is not None or (
            self._process.poll() not in {None, 0} and not self.lines and not self._command
        ):
            self._process.wait()
            raise self._refusal()

    def _refusal(self) -> ToolError:
        number, words = self._refused or (0, "it ended at once")
        self._process = None
        what = " ".join(self._command[:1]) if self._command else f"processes of {self._machine.name}"
        if number == errno.EPERM:
            answer = availability(self._machine)
            return PermissionRefused(
                f"python-ptrace may not trace {what}: {answer.reason or 'somebody traces them already'}",
                hint=answer.remedy or "end that debugger or tracer first, then run: unit-tailor doctor",
            )
        return ToolError(f"python-ptrace cannot trace {what}: {words}", hint="run: unit-tailor doctor")

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        # What we started may be a program that leads into the machine: the signal is for the tracer inside of it.
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(process.pid)
            for member in (started, *started.children(recursive=True)):
                if (
                    str(_CHILD) in member.cmdline()
                    and "setpriv" not in member.name()
                    and "nsenter" not in member.name()
                ):
                    member.send_signal(signal.SIGTERM)
        try:
            process.wait(_DETACH_SECONDS)
        except subprocess.TimeoutExpired:
            run.end_group(process)

    def _drain(self) -> None:
        if self._thread is not None:
            self._thread.join(_DRAIN_SECONDS)
            if self._thread.is_alive():
                raise ToolError(f"the rest of the trace could not be read within {_DRAIN_SECONDS:g} s")
        for stream in (self._process.stdout, self._process.stderr) if self._process is not None else ():
            if stream is not None:
                stream.close()


class EventReader:
    """Reads the child's lines into events; what cannot be read is counted in ``losses``."""

    def __init__(self, losses: Losses, decode: frozenset[str] | None = None) -> None:
        self._losses = losses
        self._decode = decode

    def read(self, lines: Iterator[bytes]) -> Iterator[RawEvent]:
        """Yield the events of these lines."""
        for line in lines:
            try:
                event = self._event(json.loads(line))
            except (ValueError, TypeError, KeyError, IndexError, AttributeError, struct.error):
                self._losses.add(UNREADABLE_EVENT, line[:200].decode("ascii", "backslashreplace").rstrip())
                continue
            if event is not None:
                yield event

    def _event(self, parts: list[Any]) -> RawEvent | None:
        kind, *rest = parts
        if kind == "call":
            return self._call(*rest)
        if kind == "end":
            return ProcessEnded(rest[0], rest[1], rest[2], rest[3] or "")
        if kind == "exec":
            return ThreadSuperseded(rest[0], rest[2], rest[1])
        if kind == "lost":
            self._lost(*rest)
            return None
        raise ValueError(kind)

    def _lost(self, kind: str, sample: str) -> None:
        if kind != "beginning":
            self._losses.add(kind, sample)
            return
        architecture, number = sample.split()
        name = call_numbers().get(architecture, {}).get(int(number), "")
        if not name or self._wanted(name):
            self._losses.add(NO_BEGINNING, name or sample)

    def _wanted(self, name: str) -> bool:
        return self._decode is None or name in self._decode

    def _call(  # noqa: PLR0917
        self,
        pid: int,
        moment: float,
        architecture: str,
        number: int,
        registers: list[int],
        read: dict[str, Any],
        result: int | None,
        error: int,
    ) -> RawCall:
        name = call_numbers().get(architecture, {}).get(number)
        if name is None:
            self._losses.add(UNKNOWN_CALL, f"{architecture} {number}")
            name = f"syscall_{number:#x}"
            return RawCall(pid, moment, name, (), result, _name(error), None, architecture, True)
        undecoded = (not registers or not is_read(name, architecture)) and self._wanted(name)
        if undecoded and registers:
            self._losses.add(UNREADABLE_ARGUMENTS, f"{name} of {architecture}")
        reader = CallReader(name, registers, read)
        values = reader.values() if registers and self._wanted(name) and not undecoded else ()
        if name in {"clone", "clone3"} and values and "CLONE_UNTRACED" in repr(values[0]):
            self._losses.add(UNTRACED_CHILD, name)
        returned = -1 if error else result
        target = reader.result_target(result) if registers and not error else None
        return RawCall(pid, moment, name, values, returned, _name(error), target, architecture, undecoded)


def _name(error: int) -> str:
    return ERRNO_NAMES.get(error, f"errno {error}") if error else ""


def availability(machine: Machine) -> Availability:
    """Return whether python-ptrace can trace on this machine, and if not, why and what to type."""
    probe = "import ptrace.binding.func, sys; sys.exit(0 if sys.platform == 'linux' else 3)"
    try:
        completed = machine.run([sys.executable, "-I", "-c", probe], check=False, timeout=30)
    except ToolError as error:
        return Availability(False, error.message, error.hint)
    if completed.status:
        return Availability(
            False, "python-ptrace is not installed", f"run: {sys.executable} -m pip install 'python-ptrace>=0.9.8'"
        )
    if os.uname().machine != "x86_64":
        return Availability(False, "this recorder knows the system calls of x86-64 only", "use --engine strace")
    try:
        with PtraceRecorder(machine, lambda _: None, command=["/bin/true"]) as recorder:
            status = recorder.wait()
    except ToolError as error:
        return Availability(False, error.message, "in a container, start it with --cap-add SYS_PTRACE")
    if status or not recorder.lines:
        return Availability(False, "python-ptrace cannot trace here", "run it with sudo")
    return Availability(True)
