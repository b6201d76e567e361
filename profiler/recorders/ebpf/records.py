"""What the kernel's side sends: one record for each distinct behaviour, when it is first seen."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from profiler.recorders.base import ERRNO_NAMES
from profiler.recorders.ebpf.descriptors import ARCHITECTURES, PER_ARCHITECTURE, name_of

CALLS = PER_ARCHITECTURE * len(ARCHITECTURES)
_LAYOUT = struct.Struct("=Q6Qq4Q14I8H16s")
_ADDRESS = struct.Struct("=Q")


class RecordKind(IntEnum):
    """What a record says; ``enum event_kind`` of protocol.h."""

    CALL = 1
    ARGUMENTS = 2
    PATHS = 3
    ADDRESS = 4
    EXECUTED = 5
    CAPABILITY = 6
    SIGNAL = 7
    JOINED = 8
    RING = 9


class Mark(IntFlag):
    """What is special about a record; ``enum event_flags``."""

    FIRST = 1
    OWN_MOUNTS = 2
    ABSOLUTE_0 = 4
    ABSOLUTE_1 = 8
    BASE_0 = 16
    BASE_1 = 32
    RESULT = 64
    CREATED = 128
    DELETED = 256
    PSEUDO = 512
    NULL_0 = 1024
    NULL_1 = 2048
    NO_NEW_PRIVILEGES = 4096
    OWN_TARGET = 8192
    FOREIGN = 16384
    UNREADABLE = 32768


@dataclass(frozen=True)
class Place:
    """A path from the top of its mount tree; ``root`` is the part of it that lies above the process's own root."""

    path: bytes
    root: bytes = b"/"


@dataclass(frozen=True)
class KernelRecord:
    """One distinct behaviour.

    ``epoch`` is what user space had set it to, ``line`` the number of the Exec process that it descends from (0: none),
    ``pid`` and ``leader`` thread and process in the machine's PID namespace, ``line_leader`` the process with which the
    line began. ``strings`` are as the service gave them, ``bases`` what relative ones start from; ``found`` is the file
    that came of it. ``error`` is the errno's name, empty for a success, ``ERESTART`` for a call that was interrupted.
    """

    kind: RecordKind
    time: float
    architecture: str
    call: str
    error: str
    result: int
    arguments: tuple[int, ...]
    extra: tuple[int, ...]
    marks: Mark
    epoch: int
    line: int
    user: int
    mode: int
    device: int
    pid: int
    leader: int
    line_leader: int
    program: str
    strings: tuple[bytes | None, bytes | None] = (None, None)
    bases: tuple[Place | None, Place | None] = (None, None)
    found: Place | None = None

    @property
    def addresses(self) -> tuple[int, ...]:
        """The return addresses in a CAPABILITY record."""
        data = self.strings[0] or b""
        return tuple(value for (value,) in _ADDRESS.iter_unpack(data[: len(data) & ~7]) if value)


def parse(data: bytes, clock_offset: float) -> KernelRecord:
    """Return the record in these bytes; ``clock_offset`` seconds turn the kernel's clock into seconds since the epoch.

    Raises struct.error or ValueError for bytes that are no record.
    """
    fields = _LAYOUT.unpack_from(data)
    kind, flags, epoch, line, user, call, error, mode, device, used, pid, leader, line_leader, _ = fields[12:26]
    lengths, roots = fields[26:31], fields[31:34]
    marks = Mark(flags)
    parts = []
    at = _LAYOUT.size
    if len(data) < at + used or sum(lengths) != used:
        raise ValueError(f"a record of {len(data)} bytes that says {used} and {lengths}")
    for length in lengths:
        parts.append(data[at : at + length])
        at += length
    if call >= CALLS:
        raise ValueError(f"a call with the index {call}")
    architecture, name = name_of(call)
    return KernelRecord(
        RecordKind(kind),
        fields[0] / 1e9 + clock_offset,
        architecture,
        name,
        _error_name(error),
        fields[7],
        fields[1:7],
        fields[8:12],
        marks,
        epoch,
        line,
        user,
        mode,
        device,
        pid,
        leader,
        line_leader,
        fields[34].split(b"\0", 1)[0].decode("utf-8", "backslashreplace"),
        (
            None if Mark.NULL_0 in marks else parts[0],
            None if Mark.NULL_1 in marks else parts[1],
        ),
        (
            _place(parts[2], roots[0]) if Mark.BASE_0 in marks else None,
            _place(parts[3], roots[1]) if Mark.BASE_1 in marks else None,
        ),
        _place(parts[4], roots[2]) if Mark.RESULT in marks and Mark.PSEUDO not in marks else None,
    )


def _place(path: bytes, root: int) -> Place:
    return Place(path or b"/", path[:root] or b"/")


def _error_name(number: int) -> str:
    if not number:
        return ""
    if number >= 512:  # ERESTARTSYS and its kin (linux/errno.h): the call was interrupted, and comes again or never
        return "ERESTART"
    return ERRNO_NAMES.get(number, f"E{number}")
