# SPDX-License-Identifier: GPL-2.0-only
"""Traces processes with python-ptrace and writes what it sees as JSON, one list a line.

This program is a process of its own, started as ``python -I ptrace_child.py CONFIGURATION-FD EVENTS-FD``: python-ptrace
is GPL-2.0-only, and nothing else of unit-tailor, which is MIT, is combined with it. It knows no system call: what is to
be read of each is in the configuration, as are the processes or the command. Lines it writes::

    ["ready"]                                                       everything asked for is traced
    ["call", tid, time, architecture, number, [6 arguments], {what was read}, result or null, errno or 0]
    ["end", tid, time, status or null, signal or null]              a thread ended
    ["exec", tid, leader, time]                                     the thread goes on under its leader's id
    ["lost", kind, sample]                                          something could not be seen
    ["refused", errno, words]                                       it cannot trace; the end

It attaches with PTRACE_SEIZE, so when it ends, however it ends, everything that it traced runs on.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import struct
import sys
import time
from pathlib import Path
from typing import IO, Any

import ptrace.binding.func as library  # type: ignore[import-untyped]
from ptrace import PtraceError

sys.path.append(str(Path(__file__).resolve().parents[2]))  # behind everything else: "ptrace" is not our ptrace.py
from profiler.recorders.ptrace_memory import AT_ENTRY, Memory

# Newer than python-ptrace: linux/ptrace.h
SEIZE, INTERRUPT, LISTEN, GET_SYSCALL_INFO = 0x4206, 0x4207, 0x4208, 0x420E
EVENT_STOP = 128
OPTIONS = (
    library.PTRACE_O_TRACESYSGOOD
    | library.PTRACE_O_TRACEFORK
    | library.PTRACE_O_TRACEVFORK
    | library.PTRACE_O_TRACECLONE
    | library.PTRACE_O_TRACEEXEC
)
FORKED = {library.PTRACE_EVENT_FORK, library.PTRACE_EVENT_VFORK, library.PTRACE_EVENT_CLONE}
SYSCALL_STOP = signal.SIGTRAP | 0x80
WALL = 0x40000000
STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
ARCHITECTURES = {0xC000003E: "x86-64", 0x40000003: "x86"}
X32 = 0x40000000
RESTARTED = range(512, 517)  # ERESTARTSYS and its kin: the kernel makes the call once more

INFORMATION = ctypes.create_string_buffer(88)  # struct ptrace_syscall_info
ENTRY, EXIT = 1, 2


class Stop(Exception):
    """The recorder asked for the end."""


class Call:
    """A call that was entered."""

    def __init__(self, moment: float, architecture: str, number: int, arguments: list[int]) -> None:
        self.moment = moment
        self.architecture = architecture
        self.number = number
        self.arguments = arguments
        self.read: dict[str, Any] = {}
        self.plan: list[list[Any]] = []
        self.child: int | None = None  # that a fork made, told before it returns


class Tracer:
    """The traced threads, and what each is in the middle of."""

    def __init__(self, plans: dict[str, dict[str, list[list[Any]]]], events: IO[str]) -> None:
        self.plans = plans
        self.events = events
        self.calls: dict[int, Call] = {}
        self.threads: set[int] = set()
        self.memory = Memory(lambda kind, sample: self.write(["lost", kind, sample]))
        self.muted: set[int] = set()  # our own child, until it executes the command
        self.waiting = False
        self.asked_to_end = False

    # -- beginning and end

    def attach(self, pids: list[int]) -> None:
        """Trace all threads of these processes."""
        fresh = True
        while fresh:
            fresh = False
            for pid in pids:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    tid = int(task.name)
                    if tid in self.threads:
                        continue
                    try:
                        library.ptrace(SEIZE, tid, 0, OPTIONS)
                        library.ptrace(INTERRUPT, tid)
                    except PtraceError as error:
                        if error.errno == 3 and tid != pid:
                            continue
                        raise
                    self.threads.add(tid)
                    fresh = True

    def run(self, command: list[str]) -> int:
        """Start a command under our eyes and return its process id."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)
            os.close(reading)
            for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            try:
                os.execvp(command[0], command)
            except OSError as error:
                os.write(2, os.fsencode(f"{command[0]}: {error.strerror}\n"))
            os._exit(127)
        os.close(reading)
        self.muted.add(pid)
        library.ptrace(SEIZE, pid, 0, OPTIONS)
        library.ptrace(INTERRUPT, pid)
        self.threads.add(pid)
        os.write(writing, b"x")
        os.close(writing)
        return pid

    def detach(self) -> None:
        """Let go of everything; what does not stop in time is let go by the kernel when we end."""
        for tid in self.threads:
            with contextlib.suppress(PtraceError):
                library.ptrace(INTERRUPT, tid)
        deadline = time.monotonic() + 1
        while self.threads and time.monotonic() < deadline:
            try:
                tid, status = os.waitpid(-1, WALL | os.WNOHANG)
            except ChildProcessError:
                break
            if tid == 0:
                time.sleep(0.002)
                continue
            if not os.WIFSTOPPED(status):
                self.ended(tid, status)
                continue
            number, event = os.WSTOPSIG(status), status >> 16
            deliver = number if event == 0 and number not in {SYSCALL_STOP, signal.SIGTRAP} else 0
            with contextlib.suppress(PtraceError):
                library.ptrace_detach(tid, deliver)
            self.threads.discard(tid)
        for tid in list(self.calls):
            self.unfinished(tid)

    def loop(self, main: int | None = None) -> int:
        """Follow everything until nothing is left; return the status of ``main``."""
        result = 0
        while self.threads:
            try:
                tid, status = self.wait()
            except ChildProcessError:
                break
            if os.WIFSTOPPED(status):
                self.stopped(tid, os.WSTOPSIG(status), status >> 16)
            else:
                self.ended(tid, status)
                if tid == main:
                    result = os.waitstatus_to_exitcode(status)
        return result

    def wait(self) -> tuple[int, int]:
        """Wait for the next stop; only here may the recorder's wish to end come through, never within a line."""
        self.waiting = True
        try:
            if self.asked_to_end:
                raise Stop
            return os.waitpid(-1, WALL)
        finally:
            self.waiting = False

    def end(self, _number: int, _frame: object) -> None:
        """Take the signal to end."""
        self.asked_to_end = True
        if self.waiting:
            raise Stop

    # -- stops

    def stopped(self, tid: int, number: int, event: int) -> None:
        """Take a stop of a thread, and let it go on."""
        self.threads.add(tid)
        request, deliver = library.PTRACE_SYSCALL, 0
        try:
            if number == SYSCALL_STOP:
                self.system_call(tid)
            elif event == EVENT_STOP:
                if number in STOPPING:
                    request = LISTEN
            elif event in FORKED:
                self.forked(tid, library.ptrace_geteventmsg(tid))
            elif event == library.PTRACE_EVENT_EXEC:
                self.executed(tid, library.ptrace_geteventmsg(tid))
            elif event == 0:
                deliver = number
            library.ptrace(request, tid, 0, deliver)
        except PtraceError as error:
            if error.errno != 3:  # ESRCH: it was killed meanwhile, and its end will be told
                self.write(["lost", "process that could not be followed", f"{tid}: {error}"])

    def ended(self, tid: int, status: int) -> None:
        """Take the end of a thread."""
        self.unfinished(tid)
        self.threads.discard(tid)
        self.memory.forget(tid)
        if tid in self.muted:
            self.muted.discard(tid)
            return
        code = os.waitstatus_to_exitcode(status)
        killed = signal.Signals(-code).name if code < 0 and -code in set(signal.Signals) else None
        self.write(["end", tid, time.time(), code if code >= 0 else None, killed])

    def executed(self, leader: int, former: int) -> None:
        """Let the thread that called execve() go on under its leader's id, in the middle of that call."""
        self.memory.forget(leader)
        self.muted.discard(leader)
        if former == leader:
            return
        self.unfinished(leader)
        self.threads.discard(former)
        if former in self.calls:
            self.calls[leader] = self.calls.pop(former)
        self.write(["exec", former, leader, time.time()])

    def forked(self, tid: int, child: int) -> None:
        """Note whom a call made: should it never return, because its process is killed, the child is there still."""
        if tid in self.calls:
            self.calls[tid].child = child

    def unfinished(self, tid: int) -> None:
        """Tell a call that never returned."""
        call = self.calls.pop(tid, None)
        if call is not None and tid not in self.muted:
            self.tell(tid, call, call.child, 0)

    def system_call(self, tid: int) -> None:
        """Take the beginning or the end of a call."""
        size = library.ptrace(GET_SYSCALL_INFO, tid, ctypes.sizeof(INFORMATION), ctypes.addressof(INFORMATION))
        operation, machine = struct.unpack_from("=BxxxI", INFORMATION)
        if size < 24 or operation not in {ENTRY, EXIT}:
            return
        if operation == ENTRY:
            number, *arguments = struct.unpack_from("=7Q", INFORMATION, 24)
            self.unfinished(tid)
            self.entered(tid, Call(time.time(), *self.identity(machine, number), arguments))
            return
        call = self.calls.pop(tid, None)
        value, failed = struct.unpack_from("=qB", INFORMATION, 24)
        if call is None:  # the tracer attached in the middle of this call
            number = library.ptrace_getregs(tid).orig_rax
            call = Call(time.time(), *self.identity(machine, number), [])
            self.write(["lost", "beginning", f"{call.architecture} {call.number}"])
        if tid in self.muted:
            return
        if failed and -value in RESTARTED:
            self.tell(tid, call, None, 0)
            return
        if not failed:
            self.returned(tid, call, value)
        self.tell(tid, call, value, -value if failed else 0)

    @staticmethod
    def identity(machine: int, number: int) -> tuple[str, int]:
        """Return the architecture, and the number in its table."""
        architecture = ARCHITECTURES.get(machine, hex(machine))
        if architecture == "x86-64" and number & X32 and number < 2**32:
            return "x32", number - X32
        return architecture, number

    def entered(self, tid: int, call: Call) -> None:
        """Note a call, and read what its arguments point to."""
        self.calls[tid] = call
        call.plan = self.plans.get(call.architecture, {}).get(str(call.number), [])
        for step in call.plan:
            if step[0] in AT_ENTRY:
                self.read(tid, call, step, None)

    def returned(self, tid: int, call: Call, result: int) -> None:
        """Read what the kernel gave back."""
        for step in call.plan:
            if step[0] not in AT_ENTRY:
                self.read(tid, call, step, result)

    def read(self, tid: int, call: Call, step: list[Any], result: int | None) -> None:
        """Do one step of a plan."""
        key, found = self.memory.read(tid, call.arguments, step, result)
        call.read[key] = found

    # -- words

    def tell(self, tid: int, call: Call, result: int | None, error: int) -> None:
        """Write a call."""
        self.write(["call", tid, call.moment, call.architecture, call.number, call.arguments, call.read, result, error])

    def write(self, line: list[Any]) -> None:
        """Write a line; nothing stays in a buffer."""
        self.events.write(json.dumps(line, separators=(",", ":")) + "\n")
        self.events.flush()


def main() -> None:
    """Read the configuration, trace, and end with the command's status."""
    configuration_descriptor, events_descriptor = (int(word) for word in sys.argv[1:3])
    os.set_inheritable(configuration_descriptor, False)
    os.set_inheritable(events_descriptor, False)
    with os.fdopen(configuration_descriptor, encoding="utf-8", errors="surrogateescape") as stream:
        configuration = json.loads(stream.readline())
    events = os.fdopen(events_descriptor, "w", encoding="utf-8")
    tracer = Tracer(configuration["plans"], events)
    main_process = None
    command: list[str] = configuration["command"]
    try:
        if command:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # meant for the command, which gets it from the terminal
            main_process = tracer.run(command)
        else:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, tracer.end)
            tracer.attach(configuration["pids"])
    except (PtraceError, OSError) as error:
        tracer.write(["refused", error.errno or 0, str(error)])
        os._exit(1)
    tracer.write(["ready"])
    status = 0
    try:
        status = tracer.loop(main_process)
    except Stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        tracer.detach()
    sys.stdout.flush()
    os._exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
