"""System calls that Python's ``os`` does not have (before 3.12): mounts and namespaces, with the errno kept."""

from __future__ import annotations

import ctypes
import os
from enum import IntFlag

_LIBC = ctypes.CDLL(None, use_errno=True)
_SET_CHILD_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_DETACH = 2  # MNT_DETACH of umount2(2)


class Namespace(IntFlag):
    """Namespaces that a process can leave or enter: unshare(2), setns(2), values of linux/sched.h."""

    MOUNT = 0x00020000
    NETWORK = 0x40000000


class MountFlag(IntFlag):
    """Flags of mount(2), values of linux/mount.h."""

    READ_ONLY = 0x1
    NO_SUID = 0x2
    NO_DEVICES = 0x4
    NO_EXECUTION = 0x8
    REMOUNT = 0x20
    BIND = 0x1000
    RECURSIVE = 0x4000
    SLAVE = 1 << 19


PLAIN = MountFlag(0)


def unshare(namespaces: Namespace) -> None:
    """Move this process into new namespaces. Raises OSError: EPERM without CAP_SYS_ADMIN."""
    _check(_LIBC.unshare(int(namespaces)), "unshare")


def enter(descriptor: int, namespace: Namespace) -> None:
    """Move this process into the namespace that a descriptor of /proc/PID/ns refers to. Raises OSError."""
    _check(_LIBC.setns(descriptor, int(namespace)), "setns")


def mount(source: str, target: str, file_system: str, flags: MountFlag = PLAIN, data: str = "") -> None:
    """Mount a file system, or change a mount, as mount(2) does. Raises OSError that names the target."""
    result = _LIBC.mount(
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(file_system),
        ctypes.c_ulong(int(flags)),
        os.fsencode(data) if data else None,
    )
    _check(result, target)


def unmount(target: str) -> None:
    """Take away what is mounted at ``target``, now or as soon as nobody uses it. Raises OSError."""
    _check(_LIBC.umount2(os.fsencode(target), _DETACH), target)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, in place of PID 1. Raises OSError."""
    _check(_LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def _check(result: int, subject: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), subject)
