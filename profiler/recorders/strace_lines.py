"""The lines that ``strace -f -xx -y -ttt`` writes to its output, read into raw events.

The grammar, over bytes; a line that does not match as a whole is counted as a loss::

    line    := PID TIME ( call | begun | resumed | ended | signal | mode )
    call    := NAME "(" arguments ") = " result
    begun   := NAME "(" arguments " <unfinished ...>"      also <detached ...> and <pid changed to PID ...>
    resumed := "<... NAME resumed>" arguments ") = " result
    result  := ( NUMBER [ decoration ] [ ERRNO ] | "?" [ ERRNO ] ) [ "(" text ")" ]
    ended   := "+++ exited with N +++" | "+++ killed by SIGNAL +++" | "+++ superseded by execve in pid PID +++"
    signal  := "--- SIGNAL {...} ---"
    mode    := "[ Process PID=PID runs in 32 bit mode. ]"

Everything that the traced program chose (paths, arguments, names) is hexadecimal and cannot forge a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from profiler.recorders.base import Descriptor, Losses, ProcessEnded, RawCall, RawEvent, ThreadSuperseded, Value
from profiler.recorders.strace_values import Unreadable, arguments, descriptor

UNREADABLE_LINE = "line that does not match the grammar of strace"
UNREADABLE_ARGUMENTS = "call whose arguments could not be read"
UNKNOWN_CALL = "system call that this strace does not know"
NO_BEGINNING = "call whose beginning was not seen"
UNTRACED_CHILD = "process that escapes the tracer (CLONE_UNTRACED)"
UNCERTAIN_ARCHITECTURE = "process whose architecture is uncertain"
CUT_LINE = "line cut short"

_HEAD = rb"([0-9]{1,10}) +([0-9]{1,12}\.[0-9]{1,9}) "
_RESULT = (
    rb" *= (?:(0x[0-9a-f]{1,16}|0[0-7]{1,22}|-?(?:0|[1-9][0-9]{0,19}))"
    rb"(?:<((?:\\x[0-9a-f][0-9a-f])*+)>(\(deleted\))?)?|\?)"
    rb"(?: (E[A-Z0-9_]+)| \(errno ([0-9]{1,20})\))?(?: \(.*\)| /\*.*\*/| <unavailable>)*\n\Z"
)
_NAME = rb"([a-z_][a-z0-9_]*|\?\?\?)"
_BEFORE = re.compile(_HEAD)
_CALL = re.compile(_HEAD + _NAME + rb"\((.*)\)" + _RESULT)
_RESUMED = re.compile(_HEAD + rb"<\.\.\. " + _NAME + rb" resumed>(.*)\)" + _RESULT)
_ZERO = ord("0")
_GOES_ON = b" ...>\n"
_SUSPENDED = rb"(.*) <(?:unfinished|detached|pid changed to [0-9]+) \.\.\.>\n\Z"
_BEGUN = re.compile(_HEAD + _NAME + rb"\(" + _SUSPENDED)
_BEGUN_AGAIN = re.compile(_HEAD + rb"<\.\.\. " + _NAME + rb" resumed>" + _SUSPENDED)
_ENDED = re.compile(
    _HEAD
    + rb"\+\+\+ (?:exited with ([0-9]{1,10})|killed by ([A-Z0-9_+]+)(?: \(core dumped\))?"
    + rb"|superseded by execve in pid ([0-9]{1,10})) \+\+\+\n\Z"
)
_SIGNAL = re.compile(_HEAD + rb"--- (?:stopped by )?[A-Z0-9_+]+(?: \{.*\})? ---\n\Z")
_MODE = re.compile(_HEAD + rb"\[ Process PID=[0-9]+ runs in ([A-Za-z0-9 -]+) mode\. \]\n\Z")

_CUT = re.compile(_HEAD + _NAME + rb"\(")

_UNFINISHED = b" <unfinished ...>"  # in front of ") = ?" when a process died, or execve ended a thread, inside a call
_UNKNOWN_NAME = b"???"  # the process was gone before the tracer could read which call it was entering
_FORKS = (b"clone", b"clone3", b"fork", b"vfork")

# Services repeat themselves to the byte. How many calls are known by their text, and how long a text may be: memory
# stays flat whatever a service does.
_KNOWN_CALLS = 4096
_KNOWN_BYTES = 1024

# strace's names of the modes that a process can run in (PERSONALITY_NAMES in src/linux/*/arch_defs.h), per machine.
_MODES = {
    "x86-64": {b"64 bit": "x86-64", b"32 bit": "x86", b"x32": "x32"},
    "arm64": {b"64 bit": "arm64", b"32 bit": "arm"},
    "s390x": {b"64 bit": "s390x", b"32 bit": "s390"},
    "ppc64-le": {b"64 bit": "ppc64-le", b"32 bit": "ppc-le"},
}


class _Begun(NamedTuple):
    # A call that was entered and has not come back yet.
    time: float
    name: bytes
    text: bytes


class _Result(NamedTuple):
    # The last five groups of _CALL and _RESUMED.
    number: bytes | None
    target: bytes | None
    deleted: bytes | None
    error: bytes | None
    error_number: bytes | None


_NO_RESULT = _Result(None, None, None, None, None)

# What a RawCall says beside who made the call and when.
_Known = tuple[str, tuple[Value, ...], int | None, str, Descriptor | None, str, bool]


class LineReader:
    """Reads trace lines into events. Keeps only what is open: a little per thread, nothing per line.

    ``decode`` names the calls whose arguments are wanted (``None``: all); the others are delivered by name and result
    alone, at a fraction of the cost. ``native`` is the machine's architecture as systemd spells it. What cannot be
    read is counted in ``losses``; ``lines`` counts all lines.
    """

    def __init__(self, losses: Losses, *, decode: frozenset[str] | None = None, native: str = "x86-64") -> None:
        self.losses = losses
        self.lines = 0
        self._decode = decode
        self._native = native
        self._begun: dict[int, _Begun] = {}
        self._architectures: dict[int, str] = {}  # of each thread that was seen and has not ended
        self._inherited: dict[int, str] = {}  # of each new thread that was not seen yet
        self._names: dict[bytes, tuple[str, bool]] = {}
        self._known: dict[bytes, _Known] = {}  # by the line behind its time
        self._cut = b""  # the last line, if it has no end

    @property
    def running(self) -> frozenset[int]:
        """The threads that were seen and have not ended."""
        return frozenset(self._architectures)

    def read(self, lines: Iterable[bytes]) -> Iterator[RawEvent]:
        """Yield the events of these lines (each with its newline), in the order in which they ended."""
        match, known, new = _BEFORE.match, self._known.get, tuple.__new__
        for line in lines:
            self.lines += 1
            if (before := match(line)) and (call := known(line[before.end() :])):
                thread, time = before.groups()
                pid = int(thread)
                if pid not in self._begun and self._architectures.get(pid) == self._native:
                    yield new(RawCall, (pid, float(time), *call))
                    continue
            yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[RawEvent]:
        # One that was not read before, to the byte.
        begun = self._begun
        if line.endswith(_GOES_ON) and (match := _BEGUN.match(line)):
            pid = int(match[1])
            if pid in begun:
                yield from self._never_returned(pid)
            if pid not in self._architectures:
                self._architecture(pid)
            begun[pid] = _Begun(float(match[2]), match[3], match[4])
        elif match := _CALL.match(line):
            thread, time, name, text, *result = match.groups()
            pid = int(thread)
            if pid in begun:
                yield from self._never_returned(pid)
            if name != _UNKNOWN_NAME:
                call = self._call(pid, float(time), name, text, result)
                self._remember(line[match.start(3) :], name, call)
                yield call
        elif match := _RESUMED.match(line):
            thread, time, name, text, *result = match.groups()
            pid = int(thread)
            if pid in begun and begun[pid].name == name != _UNKNOWN_NAME:
                beginning = begun.pop(pid)
                yield self._call(pid, beginning.time, name, beginning.text + text, result)
            else:
                yield from self._resumed(pid, match)
        else:
            yield from self._other(line)

    def finish(self, *, detached: bool = False) -> Iterator[RawEvent]:
        """Yield the calls that never returned, with no result: the recording ended while they were blocked.

        strace prints a call in two pieces, so when it is ended (``detached``) the last line may lack its end; without
        that, a line cut short is a loss. Its call is delivered by its name alone.
        """
        if self._cut:
            match = _CUT.match(self._cut)
            if match is not None and match[3] != _UNKNOWN_NAME:
                yield from self._never_returned(int(match[1]))
                yield self._call(int(match[1]), float(match[2]), match[3], None, _NO_RESULT)
            if match is None or not detached:
                self.losses.add(CUT_LINE, _sample(self._cut))
            self._cut = b""
        for pid in list(self._begun):
            yield from self._never_returned(pid)

    def _other(self, line: bytes) -> Iterator[RawEvent]:
        # Every line that is neither a call nor the beginning or the end of one.
        if match := _ENDED.match(line):
            yield from self._ended(match)
        elif match := _MODE.match(line):
            self._mode(int(match[1]), match[3])
        elif match := _BEGUN_AGAIN.match(line):
            begun = self._begun.get(int(match[1]))
            if begun is not None:
                self._begun[int(match[1])] = begun._replace(text=begun.text + match[4])
        elif not _SIGNAL.match(line):
            if line.endswith(b"\n"):
                self.losses.add(UNREADABLE_LINE, _sample(line))
            else:
                self._cut = line

    def _resumed(self, pid: int, match: re.Match[bytes]) -> Iterator[RawEvent]:
        # The end of a call that is not the one last begun, or of one that nobody knows.
        _, time, name, _, *result = match.groups()
        begun = self._begun.get(pid)
        if begun is not None and begun.name == name:
            del self._begun[pid]
            return
        yield from self._never_returned(pid)  # the end of one after the beginning of another: a line was lost
        if name != _UNKNOWN_NAME:  # the tracer attached in the middle of this call
            if self._wanted(name)[1]:
                self.losses.add(NO_BEGINNING, _sample(match[0]))
            yield self._call(pid, float(time), name, None, result)

    def _ended(self, match: re.Match[bytes]) -> Iterator[RawEvent]:
        thread, time, status, killed_by, superseding = match.groups()
        pid = int(thread)
        yield from self._never_returned(pid)
        architecture = self._architectures.pop(pid, self._native)
        if superseding is None:
            yield ProcessEnded(
                pid, float(time), int(status) if status else None, killed_by.decode() if killed_by else ""
            )
            return
        # The thread that called execve goes on under its leader's id, in the middle of that execve.
        old = int(superseding)
        self._architectures[pid] = self._architectures.pop(old, architecture)
        if old in self._begun:
            self._begun[pid] = self._begun.pop(old)
        yield ThreadSuperseded(old, float(time), pid)

    def _never_returned(self, pid: int) -> Iterator[RawEvent]:
        begun = self._begun.pop(pid, None)
        if begun is not None and begun.name != _UNKNOWN_NAME:
            yield self._call(pid, begun.time, begun.name, begun.text, _NO_RESULT)

    def _call(self, pid: int, time: float, name: bytes, text: bytes | None, result: Iterable[bytes | None]) -> RawCall:
        # ``text`` is None if the beginning of the call was not seen.
        number, target, deleted, error, error_number = result
        label, wanted = self._names.get(name) or self._wanted(name)
        architecture = self._architectures.get(pid) or self._architecture(pid)
        returned = None if number is None else int(number) if number[0] != _ZERO else _number(number)
        if error is not None and error.startswith(b"ERESTART"):  # interrupted; the kernel makes the call once more
            returned, error = None, None
        values: tuple[Value, ...] = ()
        undecoded = text is None
        if wanted and text is not None:
            if name in _FORKS:
                self._forked(text, returned, architecture)
            values, undecoded = self._values(name, text, number is None)
        elif not wanted and name.startswith(b"syscall_0x"):
            undecoded = True
        elif name in _FORKS:
            self._forked(text or b"", returned, architecture)
        return RawCall(
            pid,
            time,
            label,
            values,
            returned,
            error.decode() if error is not None else f"errno {int(error_number)}" if error_number is not None else "",
            descriptor(returned, target, deleted is not None) if target is not None and returned is not None else None,
            architecture,
            undecoded,
        )

    def _remember(self, text: bytes, name: bytes, call: RawCall) -> None:
        # So that the same again need not be read again. Not what has effects of its own: forks, and losses to count.
        if name in _FORKS or call.undecoded or call.architecture != self._native or len(text) > _KNOWN_BYTES:
            return
        if len(self._known) >= _KNOWN_CALLS:
            self._known.clear()
        self._known[text] = call[2:]

    def _wanted(self, name: bytes) -> tuple[str, bool]:
        # A call's name as text, and whether its arguments are wanted.
        label = name.decode("ascii")
        if name.startswith(b"syscall_0x"):  # a number without a name; not kept, a program can make up any number
            self.losses.add(UNKNOWN_CALL, label)
            return label, False
        return self._names.setdefault(name, (label, self._decode is None or label in self._decode))

    def _values(self, name: bytes, text: bytes, partial: bool) -> tuple[tuple[Value, ...], bool]:
        # The arguments, and whether they could not be read.
        text = text.removesuffix(_UNFINISHED)
        if text.startswith(b"<... resuming interrupted "):  # restart_syscall, which has no arguments
            return (), False
        try:
            return arguments(text, partial), False
        except Unreadable:
            self.losses.add(UNREADABLE_ARGUMENTS, _sample(name + b"(" + text))
            return (), True

    def _forked(self, text: bytes, child: int | None, architecture: str) -> None:
        if b"CLONE_UNTRACED" in text:
            self.losses.add(UNTRACED_CHILD, _sample(text))
        if child is not None and child > 0 and child not in self._architectures:
            self._inherited[child] = architecture

    def _mode(self, pid: int, name: bytes) -> None:
        architecture = _MODES.get(self._native, {}).get(name)
        if architecture is None:
            self.losses.add(UNCERTAIN_ARCHITECTURE, _sample(name))
        self._inherited.pop(pid, None)
        self._architectures[pid] = architecture or self._native

    def _architecture(self, pid: int) -> str:
        # strace announces a mode only when it differs from the one that it expected, so a new process without an
        # announcement runs in its parent's mode. Its parent's call may not have returned yet.
        if pid in self._architectures:
            return self._architectures[pid]
        found = {self._inherited.pop(pid)} if pid in self._inherited else self._forking()
        if len(found) > 1:
            self.losses.add(UNCERTAIN_ARCHITECTURE, f"process {pid}: {', '.join(sorted(found))}")
        self._architectures[pid] = found.pop() if len(found) == 1 else self._native
        return self._architectures[pid]

    def _forking(self) -> set[str]:
        # The modes of the processes that are creating a process at this moment.
        parents = (pid for pid, begun in self._begun.items() if begun.name in _FORKS)
        return {self._architectures.get(pid, self._native) for pid in parents}


def _number(text: bytes) -> int:
    # Results are decimal, hexadecimal (addresses) or octal (umask).
    if text.startswith(b"0") and len(text) > 1:
        return int(text, 16 if text.startswith(b"0x") else 8)
    return int(text)


def _sample(line: bytes) -> str:
    return line[:300].decode("ascii", "backslashreplace").rstrip("\n")
