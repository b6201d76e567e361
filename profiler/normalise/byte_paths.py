"""Paths as the kernel has them: bytes, absolute. pathlib would have to decode them first."""

from __future__ import annotations

import os


def directory_of(path: bytes) -> bytes:
    """Return the directory that holds the last name of an absolute path; ``/`` is its own."""
    return path.rpartition(b"/")[0] or b"/"


def name_of(path: bytes) -> bytes:
    """Return the last name of a path."""
    return path.rpartition(b"/")[2]


def printable(name: bytes) -> str:
    """Return a name as one line of text that holds nothing a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in os.fsdecode(name))


def is_file(name: bytes) -> bool:
    """Whether a descriptor's target is a file with a name: no pipe, memfd, SysV segment or shared anonymous memory."""
    return name.startswith(b"/") and not name.startswith((b"/memfd:", b"/SYSV", b"/[", b"/dev/zero (deleted)"))
