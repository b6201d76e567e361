"""Paths as the kernel has them: bytes, absolute. pathlib would have to decode them first."""

from __future__ import annotations


def directory_of(path: bytes) -> bytes:
    """Return the directory that holds the last name of an absolute path; ``/`` is its own."""
    return path.rpartition(b"/")[0] or b"/"


def name_of(path: bytes) -> bytes:
    """Return the last name of a path."""
    return path.rpartition(b"/")[2]
