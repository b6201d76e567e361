"""Whose the System V IPC objects of the machine are, and what their modes allow (sysvipc(7), /proc/sysvipc)."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Thread

from profiler.normalise.credentials import Credentials

READ, WRITE, EXECUTE = 4, 2, 1

_CLONE_NEWIPC = 0x08000000  # linux/sched.h
_LARGEST = 16 * 1024 * 1024  # bytes of a table that are read: about 100,000 objects


@dataclass(frozen=True)
class IpcOwner:
    """Owner, creator, their groups, and the mode (nine bits) of an object."""

    user: int
    creator: int
    group: int
    creator_group: int
    mode: int

    def is_owner(self, credentials: Credentials) -> bool:
        """Whether the caller owns or made the object, by the effective user id, which counts here."""
        return credentials.user.effective in {self.user, self.creator}

    def allows(self, credentials: Credentials, wanted: int) -> bool:
        """Whether the mode alone allows this access (ipcperms() of Linux ipc/util.c)."""
        granted = self.mode
        if self.is_owner(credentials):
            granted >>= 6
        elif credentials.in_group(self.group) or credentials.in_group(self.creator_group):
            granted >>= 3
        return not wanted & ~granted


def look_up(root: bytes, kind: str, number: int, viewers: Sequence[int]) -> IpcOwner | None:
    """Return the owner of ``shm``, ``msg`` or ``sem`` object, as the first living one of some processes sees it.

    ``root`` is where the machine's root is seen from here. ``None`` if there is no such object (any more), or it
    cannot be seen.
    """
    for viewer in viewers:
        namespace = root + b"/proc/%d/ns/ipc" % viewer
        with contextlib.suppress(OSError):
            descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return in_table(_table(descriptor, kind), number)
            finally:
                os.close(descriptor)
    return None


def in_table(table: bytes, number: int) -> IpcOwner | None:
    """Return the owner of an object that a file of /proc/sysvipc lists; columns are told by the names above them."""
    lines = table.splitlines()
    names = lines[0].split() if lines else []
    for line in lines[1:]:
        row = dict(zip(names, line.split(), strict=False))
        if row.get(b"shmid", row.get(b"msqid", row.get(b"semid"))) == b"%d" % number:
            user, creator, group, creator_group = (int(row[name]) for name in (b"uid", b"cuid", b"gid", b"cgid"))
            return IpcOwner(user, creator, group, creator_group, int(row[b"perms"], 8) & 0o777)
    return None


def _table(namespace: int, kind: str) -> bytes:
    # The file shows the namespace of whoever opens it. A thread that ends right away enters that of the service:
    # no other thread moves (setns(2)).
    found: list[bytes] = []

    def read() -> None:
        if ctypes.CDLL(None).setns(namespace, _CLONE_NEWIPC):
            return
        with contextlib.suppress(OSError), open(f"/proc/sysvipc/{kind}", "rb") as file:  # noqa: PTH123
            found.append(file.read(_LARGEST))

    thread = Thread(target=read, name="ipc-namespace")
    thread.start()
    thread.join()
    return found[0] if found else b""
