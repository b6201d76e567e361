"""Whose an object is, and what its mode allows."""

from __future__ import annotations

import stat
from dataclasses import dataclass

from policy.behaviour import FileKind

_KINDS = {
    stat.S_IFREG: FileKind.REGULAR,
    stat.S_IFDIR: FileKind.DIRECTORY,
    stat.S_IFLNK: FileKind.SYMLINK,
    stat.S_IFCHR: FileKind.CHARACTER,
    stat.S_IFBLK: FileKind.BLOCK,
    stat.S_IFIFO: FileKind.FIFO,
    stat.S_IFSOCK: FileKind.SOCKET,
}


def kind_of(mode: int) -> FileKind:
    """Return the type in an st_mode."""
    return _KINDS.get(stat.S_IFMT(mode), FileKind.UNKNOWN)


@dataclass(frozen=True)
class Owner:
    """Owner, group and mode (with type) of an object at some time."""

    user: int
    group: int
    mode: int

    @property
    def kind(self) -> FileKind:
        """The type of the object."""
        return kind_of(self.mode)
