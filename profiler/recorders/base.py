"""What every recorder delivers, and how it says whether it is available."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import NamedTuple

ERRNO_NAMES = dict(errno.errorcode) | {11: "EAGAIN", 35: "EDEADLK", 95: "EOPNOTSUPP"}
"""Errnos by number (asm-generic/errno.h); of two names for one number the one that the kernel and strace use."""


@dataclass(frozen=True)
class Descriptor:
    """A file descriptor argument with what the tracer says it refers to (``None`` if it said nothing).

    ``number`` is -100 for AT_FDCWD. ``target`` is the decoration as bytes: an absolute path, or ``pipe:[7948]``,
    ``socket:[12]``, ``anon_inode:...``. ``deleted`` when the tracer marked the file as unlinked.
    """

    number: int
    target: bytes | None = None
    deleted: bool = False


@dataclass(frozen=True)
class Struct:
    """A structure argument: field name to value; fields without a name are numbered from "0"."""

    fields: dict[str, Value]


@dataclass(frozen=True)
class Symbol:
    """A symbolic argument as the tracer wrote it: ``O_RDONLY|O_CLOEXEC``, ``SIGCHLD``, ``makedev(0x1, 0x3)``."""

    text: str

    @property
    def flags(self) -> frozenset[str]:
        """The names joined by ``|``."""
        return frozenset(part.strip() for part in self.text.split("|"))


Value = int | bytes | Descriptor | Struct | Symbol | tuple["Value", ...] | None
"""An argument: number, string contents, descriptor, structure, symbol, array, or ``None`` for NULL."""


class RawCall(NamedTuple):
    """One system call as a tracer saw it, entry and exit joined. A tuple, because there are millions of them.

    ``time`` is seconds since the epoch at entry. ``result`` is ``None`` if nobody saw it end. ``error`` is the errno's
    name. ``architecture`` as systemd spells it. ``pid`` is the *thread* id in the machine's PID namespace.
    ``line`` is the raw text, for evidence and for complaints.
    """

    pid: int
    time: float
    name: str
    arguments: tuple[Value, ...] = ()
    result: int | None = None
    error: str = ""
    result_target: Descriptor | None = None
    architecture: str = "x86-64"
    undecoded: bool = False  # known by name only: the arguments could not be read


@dataclass(frozen=True)
class ProcessEnded:
    """A thread exited or was killed (``+++ exited`` and ``+++ killed``)."""

    pid: int
    time: float
    status: int | None = None
    killed_by: str = ""


@dataclass(frozen=True)
class ThreadSuperseded:
    """execve by a thread that is not the leader: ``pid`` goes on under the leader's id (``+++ superseded by``)."""

    pid: int
    time: float
    leader: int


RawEvent = RawCall | ProcessEnded | ThreadSuperseded


@dataclass
class Losses:
    """What a recorder could not read or keep, per kind, with a sample for each."""

    counts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, sample: str = "") -> None:
        """Count one loss of this kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.samples.setdefault(kind, sample)


@dataclass(frozen=True)
class Availability:
    """Whether a recorder can work here; if not, why, and what to type; if it can, what it will not see here."""

    available: bool
    reason: str = ""
    remedy: str = ""
    lost: str = ""
