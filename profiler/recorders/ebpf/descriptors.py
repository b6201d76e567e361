"""What the kernel's side reads of each system call: where its paths are, and which bits of its arguments matter.

Keys would be without number if addresses, sizes and descriptors were kept, so of every argument only what some
directive can depend on is. The layout is ``struct descriptor`` of protocol.h.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from functools import cache
from pathlib import Path

NUMBERS = Path(__file__).parent / "x86_64.numbers.json"
ARCHITECTURES = ("x86-64", "x86", "x32")
"""In the order of the tables: 1024 calls of each."""

PER_ARCHITECTURE = 1024


class Kind(IntEnum):
    """How a call is read; ``enum descriptor_kind``."""

    ARGUMENTS = 1
    PATHS = 2
    FILE = 3
    MAP = 4
    PROTECT = 5
    ADDRESS = 6
    MESSAGE = 7
    ACCEPT = 8
    CLONE = 9
    SIGNAL = 10
    SOCKETCALL = 11
    IOCTL = 12


class Flag(IntFlag):
    """What is special about a call; ``enum descriptor_flags``."""

    RETURNS_FILE = 1
    KEEP_RESULT = 2
    SKIP_EMPTY = 4
    STRUCT_OPEN_HOW = 8
    STRUCT_CLONE = 16
    STRUCT_SCHED = 32
    ONLY_FAILED = 64
    INCOMING = 128
    SENDING = 256
    MANY = 512
    FILE_DESCRIPTOR = 1024
    NOT_A_PATH = 2048
    STRUCT_CAPABILITIES = 4096


NO_FLAG = Flag(0)


@dataclass(frozen=True)
class Descriptor:
    """One call: positions of directory descriptors and strings (-1: none), and the masks of what is kept."""

    kind: Kind
    string: tuple[int, int] = (-1, -1)
    directory: tuple[int, int] = (-1, -1)
    keep: dict[int, int] = field(default_factory=dict)
    flags: Flag = NO_FLAG

    def pack(self) -> bytes:
        """Return the kernel's form."""
        masks = [self.keep.get(position, 0) for position in range(6)]
        return _LAYOUT.pack(self.kind, self.flags, *self.directory, *self.string, *masks)


_LAYOUT = struct.Struct("=HHbbbb6Q")
SIZE = _LAYOUT.size

_ALL = 0xFFFFFFFF
_WIDE = 0xFFFFFFFFFFFFFFFF
_MODE = 0o7777
_NODE = 0o177777
_AT = 0x1500  # AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH (linux/fcntl.h)
_OPEN = 0o3 | 0o100 | 0o200 | 0o1000 | 0o200000 | 0o400000 | 0o1000000 | 0o10000000 | 0o20000000
_NAMESPACES = 0x7E020000
_NEW_TIME = 0x80


def _path(string: int, directory: int = -1, keep: dict[int, int] | None = None, flags: Flag = NO_FLAG) -> Descriptor:
    return Descriptor(Kind.PATHS, (string, -1), (directory, -1), keep or {}, flags)


def _lookup(string: int, directory: int = -1, keep: dict[int, int] | None = None) -> Descriptor:
    return _path(string, directory, keep, Flag.SKIP_EMPTY)


def _two(strings: tuple[int, int], directories: tuple[int, int] = (-1, -1), flags_at: int = -1) -> Descriptor:
    keep = {flags_at: 0x1407} if flags_at >= 0 else {}
    return Descriptor(Kind.PATHS, strings, directories, keep)


def _arguments(**keep: int) -> Descriptor:
    return Descriptor(Kind.ARGUMENTS, keep={int(name[1:]): mask for name, mask in keep.items()})


_FILE = Descriptor(Kind.FILE, directory=(0, -1))
_IPC = _arguments(_0=_ALL)
_STATUS = ("stat", "lstat", "stat64", "lstat64", "readlink", "statfs", "statfs64")
_ATTRIBUTES = ("getxattr", "lgetxattr", "listxattr", "llistxattr")
_TIMES = ("utime", "utimes", "chown", "lchown", "chown32", "lchown32")
_SET_ATTRIBUTES = ("setxattr", "lsetxattr", "removexattr", "lremovexattr")

DESCRIPTORS: dict[str, Descriptor] = {
    # files
    "open": _path(0, keep={1: _OPEN, 2: _MODE}, flags=Flag.RETURNS_FILE),
    "creat": _path(0, keep={1: _MODE}, flags=Flag.RETURNS_FILE),
    "openat": _path(1, 0, {2: _OPEN, 3: _MODE}, Flag.RETURNS_FILE),
    "openat2": _path(1, 0, {2: _OPEN, 3: _MODE}, Flag.RETURNS_FILE | Flag.STRUCT_OPEN_HOW),
    "open_by_handle_at": Descriptor(Kind.PATHS, keep={2: _OPEN}, flags=Flag.RETURNS_FILE),
    "truncate": _path(0),
    "truncate64": _path(0),
    "access": _path(0, keep={1: 7}),
    "faccessat": _path(1, 0, {2: 7}),
    "faccessat2": _path(1, 0, {2: 7, 3: _AT}),
    **{name: _lookup(0) for name in (*_STATUS, *_ATTRIBUTES, "chdir", "chroot")},
    "newfstatat": _lookup(1, 0, {3: _AT}),
    "fstatat64": _lookup(1, 0, {3: _AT}),
    "statx": _lookup(1, 0, {2: _AT}),
    "readlinkat": _lookup(1, 0),
    "inotify_add_watch": _lookup(1, keep={2: 0x02000000}),
    "fanotify_mark": _lookup(4, 3, {1: 4}),
    "name_to_handle_at": _lookup(1, 0, {4: _AT}),
    "open_tree": _lookup(1, 0, {2: _AT}),
    "fspick": _lookup(1, 0),
    **{name: _path(0) for name in (*_TIMES, *_SET_ATTRIBUTES)},
    "chmod": _path(0, keep={1: _MODE}),
    "fchmodat": _path(1, 0, {2: _MODE}, Flag.FILE_DESCRIPTOR),
    "fchmodat2": _path(1, 0, {2: _MODE, 3: _AT}, Flag.FILE_DESCRIPTOR),
    "fchownat": _path(1, 0, {4: _AT}, Flag.FILE_DESCRIPTOR),
    "futimesat": _path(1, 0, flags=Flag.FILE_DESCRIPTOR),
    "utimensat": _path(1, 0, {3: _AT}, Flag.FILE_DESCRIPTOR),
    "utimensat_time64": _path(1, 0, {3: _AT}, Flag.FILE_DESCRIPTOR),
    "fchmod": Descriptor(Kind.FILE, directory=(0, -1), keep={1: _MODE}),
    **{name: _FILE for name in ("fchown", "fchown32", "fsetxattr", "fremovexattr")},
    "mkdir": _path(0, keep={1: _MODE}),
    "mkdirat": _path(1, 0, {2: _MODE}),
    "mknod": _path(0, keep={1: _NODE, 2: _ALL}),
    "mknodat": _path(1, 0, {2: _NODE, 3: _ALL}),
    "symlink": _path(1),
    "symlinkat": _path(2, 1),
    "unlink": _path(0),
    "rmdir": _path(0),
    "unlinkat": _path(1, 0),
    "rename": _two((0, 1)),
    "renameat": _two((1, 3), (0, 2)),
    "renameat2": _two((1, 3), (0, 2), 4),
    "link": _two((0, 1)),
    "linkat": Descriptor(Kind.PATHS, (1, 3), (0, 2), {4: _AT}, Flag.FILE_DESCRIPTOR),
    "execve": _path(0, flags=Flag.ONLY_FAILED),
    "execveat": _path(1, 0, {4: _AT}, Flag.ONLY_FAILED),
    "acct": _path(0),
    "swapon": _path(0),
    "swapoff": _path(0),
    "quotactl": _path(1),
    # mounts
    "mount": Descriptor(Kind.PATHS, (1, 0)),
    "umount": _path(0),
    "umount2": _path(0),
    "pivot_root": _two((0, 1)),
    "move_mount": _path(3, 2),
    "mount_setattr": _path(1, 0),
    "fsmount": _arguments(),
    # memory
    "mmap": Descriptor(Kind.MAP, directory=(4, -1), keep={2: 7, 3: 0x20}),
    "mmap2": Descriptor(Kind.MAP, directory=(4, -1), keep={2: 7, 3: 0x20}),
    "mprotect": Descriptor(Kind.PROTECT, keep={2: 7}),
    "pkey_mprotect": Descriptor(Kind.PROTECT, keep={2: 7}),
    # sockets
    "socket": _arguments(_0=0xFFFF, _1=0xF, _2=0xFFFF),
    "bind": Descriptor(Kind.ADDRESS, (1, -1)),
    "connect": Descriptor(Kind.ADDRESS, (1, -1)),
    "sendto": Descriptor(Kind.ADDRESS, (4, -1), flags=Flag.SENDING),
    "recvfrom": Descriptor(Kind.ADDRESS, (4, -1), flags=Flag.INCOMING),
    "sendmsg": Descriptor(Kind.MESSAGE, flags=Flag.SENDING),
    "recvmsg": Descriptor(Kind.MESSAGE, flags=Flag.INCOMING),
    "sendmmsg": Descriptor(Kind.MESSAGE, flags=Flag.SENDING | Flag.MANY),
    "recvmmsg": Descriptor(Kind.MESSAGE, flags=Flag.INCOMING | Flag.MANY),
    "recvmmsg_time64": Descriptor(Kind.MESSAGE, flags=Flag.INCOMING | Flag.MANY),
    "accept": Descriptor(Kind.ACCEPT, flags=Flag.INCOMING),
    "accept4": Descriptor(Kind.ACCEPT, flags=Flag.INCOMING),
    "socketcall": Descriptor(Kind.SOCKETCALL),
    # processes and the kernel
    "clone": Descriptor(Kind.CLONE, keep={0: _NAMESPACES}),
    "clone3": Descriptor(Kind.ARGUMENTS, keep={0: _NAMESPACES | _NEW_TIME}, flags=Flag.STRUCT_CLONE),
    "unshare": _arguments(_0=_NAMESPACES | _NEW_TIME),
    "setns": _arguments(_1=_NAMESPACES | _NEW_TIME),
    "personality": _arguments(_0=_ALL),
    "capset": Descriptor(Kind.ARGUMENTS, keep=dict.fromkeys((1, 2, 3, 4), _WIDE), flags=Flag.STRUCT_CAPABILITIES),
    "sched_setscheduler": _arguments(_1=_ALL),
    "sched_setattr": Descriptor(Kind.ARGUMENTS, keep={1: _ALL, 2: 1}, flags=Flag.STRUCT_SCHED),
    **{name: Descriptor(Kind.SIGNAL, (1, -1), keep={0: _ALL}) for name in ("kill", "tkill", "rt_sigqueueinfo")},
    **{name: Descriptor(Kind.SIGNAL, (2, -1), keep={0: _ALL}) for name in ("tgkill", "rt_tgsigqueueinfo")},
    "pidfd_send_signal": Descriptor(Kind.SIGNAL, (1, -1)),
    **{name: _arguments() for name in ("settimeofday", "stime", "adjtimex", "add_key", "request_key")},
    **{name: _arguments(_0=_ALL) for name in ("clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64")},
    **{name: _arguments(_0=_ALL) for name in ("timer_create", "timerfd_create", "keyctl")},
    "ioctl": Descriptor(Kind.IOCTL, directory=(0, -1), keep={1: _ALL}),
    # System V and POSIX IPC
    "shmget": Descriptor(Kind.ARGUMENTS, keep={0: _ALL, 2: 0o7000}, flags=Flag.KEEP_RESULT),
    "semget": Descriptor(Kind.ARGUMENTS, keep={0: _ALL, 2: 0o7000}, flags=Flag.KEEP_RESULT),
    "msgget": Descriptor(Kind.ARGUMENTS, keep={0: _ALL, 1: 0o7000}, flags=Flag.KEEP_RESULT),
    "shmat": _arguments(_0=_ALL, _2=0o100000),
    **{name: _IPC for name in ("shmctl", "semctl", "semop", "semtimedop", "msgsnd", "msgrcv", "msgctl")},
    "mq_open": _path(0, keep={1: 0o300}, flags=Flag.NOT_A_PATH),
}
"""By the name of the call. All others are noted by name and outcome."""

UNDECODED = {("x86", "mmap"), ("x86", "ipc"), ("x86", "fanotify_mark")}
"""Calls whose arguments stand elsewhere on that architecture, and are not read: known by name only."""

_ONLY_32_BIT = {"socketcall"}


@cache
def numbers() -> dict[str, dict[int, str]]:
    """Return the names of the system calls by number, for each architecture, and those of ``ioctls``."""
    read: dict[str, dict[str, str]] = json.loads(NUMBERS.read_text(encoding="utf-8"))
    return {table: {int(number): name for number, name in names.items()} for table, names in read.items()}


def name_of(index: int) -> tuple[str, str]:
    """Return architecture and name of the call with this index in the kernel's tables."""
    architecture = ARCHITECTURES[index // PER_ARCHITECTURE]
    number = index % PER_ARCHITECTURE
    return architecture, numbers()[architecture].get(number, f"syscall_{number}")


def packed() -> Iterator[tuple[int, bytes]]:
    """Yield index and kernel's form of every call that is read."""
    for base, architecture in enumerate(ARCHITECTURES):
        for number, name in numbers()[architecture].items():
            wanted = name in DESCRIPTORS and (architecture, name) not in UNDECODED
            if wanted and (name not in _ONLY_32_BIT or architecture == "x86"):
                yield base * PER_ARCHITECTURE + number, DESCRIPTORS[name].pack()
