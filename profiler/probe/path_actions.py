"""How uses of paths are done again."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Callable

from policy.behaviour import OK, UNKNOWN, Access, DeviceNodeMade, FileKind, PathPair, PathUse
from profiler.probe.action import HERE, Action, Here, Need, NotProbed
from profiler.probe.executor import BUFFER

AF_UNIX, SOCK_STREAM, SOCK_DGRAM = 1, 1, 2
OPENING = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
NO_FOLLOW = 0x100  # AT_SYMLINK_NOFOLLOW
EMPTY_PATH = 0x1000  # AT_EMPTY_PATH
LONGEST_SOCKET_PATH = 107  # sockaddr_un of unix(7)
SEEN = 4096
"""Bytes of a file that are compared."""

VOLATILE = ("/proc", "/sys", "/dev", "/run")
BAD_POINTER = 1
MISSING = frozenset({"ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"})
"""Outcomes of uses of what is not there."""


def use_action(use: PathUse, user: int, outcome: str) -> Action | NotProbed:
    """Return how a use of a path by a user is done, in a scene in which it can come out as it did."""
    path = spelled(use)
    if use.access is Access.MAP_EXECUTE and use.kind not in {FileKind.REGULAR, FileKind.UNKNOWN}:
        return NotProbed("only regular files are mapped as code")
    if use.access in {Access.CONNECT, Access.BIND} and len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        return NotProbed("the path is too long for a socket")
    perform = _VERBS.get(use.access)
    if perform is None:
        perform = _creating(use.kind) if use.access is Access.CREATE else _removing(use.kind)
    if use.access is Access.CREATE and use.kind in {FileKind.CHARACTER, FileKind.BLOCK}:
        return NotProbed("the making of a device node is a fact of its own")
    volatile = any(path == top or path.startswith(f"{top}/") for top in VOLATILE)
    return Action(lambda here: perform(here, path), _needs(use, user, outcome), is_volatile=volatile)


def spelled(use: PathUse) -> str:
    """Return the path with which a use is done: as the service spelled it; other processes are given a number."""
    path = use.path if use.path.startswith("/proc/") else use.through or use.path
    if path.startswith("/proc/self/task/self"):
        return "/proc/thread-self" + path[len("/proc/self/task/self") :]
    for word, number in (("/proc/own", "/proc/self"), ("/proc/other", "/proc/1")):
        if path == word or path.startswith(f"{word}/"):
            return number + path[len(word) :]
    return path


def _needs(use: PathUse, user: int, outcome: str) -> tuple[Need, ...]:
    if use.path.startswith(("/proc/", "/sys/", "/dev/")) and not use.path.startswith("/dev/shm/"):
        return ()
    if use.access in {Access.CREATE, Access.BIND} and outcome in {OK, UNKNOWN}:
        return (Need("absent", (use.path, user)),)
    if outcome in MISSING:
        return (Need("missing", (use.path,)),)
    kind = FileKind.SOCKET if use.access is Access.CONNECT else use.kind
    return (Need("present", (use.path, kind.value, user, use.created_by_service)),)


def _look_up(here: Here, path: str) -> str:
    here.executor.call("newfstatat", HERE, path, BUFFER, 0 if _is_followed(here) else NO_FOLLOW)
    return ""


def _is_followed(here: Here) -> bool:
    return not (here.objects and stat.S_ISLNK(here.objects[0].get("mode", 0)))


def _read(here: Here, path: str) -> str:
    descriptor = here.executor.call("openat", HERE, path, os.O_RDONLY | OPENING, 0)
    found = b""
    try:
        # struct stat of x86-64: the mode is at 24
        here.executor.call("newfstatat", descriptor, "", BUFFER, EMPTY_PATH)
        mode = struct.unpack("<I", here.executor.peek(BUFFER + 24, 4))[0]
        if stat.S_ISDIR(mode):
            found = _names(here.executor.into_buffer("getdents64", descriptor, BUFFER, 0x8000))
        elif stat.S_ISREG(mode):
            found = here.executor.into_buffer("read", descriptor, BUFFER, SEEN)
    finally:
        here.executor.call("close", descriptor)
    return hashlib.sha256(found).hexdigest()[:12] if found else "empty"


def _names(entries: bytes) -> bytes:
    # struct linux_dirent64: inode, offset, length of the entry, type, name
    names = []
    place = 0
    while place < len(entries):
        length = struct.unpack_from("<H", entries, place + 16)[0]
        names.append(entries[place + 19 : place + length].split(b"\0")[0])
        place += length
    return b"/".join(sorted(name for name in names if name not in {b".", b".."}))


def _opening(flags: int) -> Callable[[Here, str], str]:
    def perform(here: Here, path: str) -> str:
        here.executor.call("close", here.executor.call("openat", HERE, path, flags | OPENING, 0o644))
        return ""

    return perform


def _creating(kind: FileKind) -> Callable[[Here, str], str]:
    def perform(here: Here, path: str) -> str:
        call = here.executor.call
        match kind:
            case FileKind.DIRECTORY:
                call("mkdirat", HERE, path, 0o755)
            case FileKind.SYMLINK:
                call("symlinkat", "/nowhere", HERE, path)
            case FileKind.FIFO:
                call("mknodat", HERE, path, stat.S_IFIFO | 0o600, 0)
            case FileKind.SOCKET:
                call("mknodat", HERE, path, stat.S_IFSOCK | 0o600, 0)
            case _:
                return _opening(os.O_WRONLY | os.O_CREAT | os.O_EXCL)(here, path)
        return ""

    return perform


def _removing(kind: FileKind) -> Callable[[Here, str], str]:
    def perform(here: Here, path: str) -> str:
        remove_directory = 0x200  # AT_REMOVEDIR
        mode = here.mode_of_kind()
        is_directory = stat.S_ISDIR(mode) if mode else kind is FileKind.DIRECTORY
        here.executor.call("unlinkat", HERE, path, remove_directory if is_directory else 0)
        return ""

    return perform


def _change(here: Here, path: str) -> str:
    if _is_followed(here):
        here.executor.call("fchmodat", HERE, path, here.mode())
    else:
        here.executor.call("utimensat", HERE, path, 0, NO_FOLLOW)
    return ""


def _truncate(here: Here, path: str) -> str:
    here.executor.call("truncate", path, here.size())
    return ""


def _ask_writable(here: Here, path: str) -> str:
    here.executor.call("faccessat", HERE, path, os.W_OK)
    return ""


def _execute(here: Here, path: str) -> str:
    # The file is looked at before the arguments, which cannot be read: so nothing is executed (execve(2), EFAULT).
    try:
        here.executor.call("execve", path, BAD_POINTER, BAD_POINTER)
    except OSError as error:
        if error.strerror != os.strerror(14):  # EFAULT
            raise
    return ""


def _map(here: Here, path: str) -> str:
    call = here.executor.call
    descriptor = call("openat", HERE, path, os.O_RDONLY | OPENING, 0)
    try:
        read_execute, private = 5, 2
        call("munmap", call("mmap", 0, 4096, read_execute, private, descriptor, 0), 4096)
    finally:
        call("close", descriptor)
    return ""


def _with_unix_socket(verb: str) -> Callable[[Here, str], str]:
    def perform(here: Here, path: str) -> str:
        call = here.executor.call
        address = struct.pack("<H", AF_UNIX) + os.fsencode(path)
        wrong_type = None
        for kind in (SOCK_STREAM, SOCK_DGRAM):
            descriptor = call("socket", AF_UNIX, kind | OPENING & ~os.O_NOCTTY, 0)
            try:
                call(verb, descriptor, address, len(address) + 1)
            except OSError as error:
                wrong_type = error
                if error.errno != 91:  # EPROTOTYPE
                    raise
            else:
                return ""
            finally:
                call("close", descriptor)
        assert wrong_type is not None
        raise wrong_type

    return perform


_VERBS: dict[Access, Callable[[Here, str], str]] = {
    Access.LOOKUP: _look_up,
    Access.READ: _read,
    Access.WRITE: _opening(os.O_WRONLY),
    Access.READ_WRITE: _opening(os.O_RDWR),
    Access.METADATA: _change,
    Access.TRUNCATE: _truncate,
    Access.WRITE_PROBE: _ask_writable,
    Access.EXECUTE: _execute,
    Access.MAP_EXECUTE: _map,
    Access.CONNECT: _with_unix_socket("connect"),
    Access.BIND: _with_unix_socket("bind"),
}


def pair_action(pair: PathPair, user: int, outcome: str) -> Action:
    """Return how two names are joined."""
    regular = FileKind.REGULAR.value
    # A fact does not tell who made the source; what is renamed or linked is mostly the service's own.
    source = Need("present", (pair.source, regular, user, True))
    has_target = pair.replaced or pair.operation == "exchange" or outcome == "EEXIST"
    target = Need("present", (pair.target, regular, user, True)) if has_target else Need("absent", (pair.target, user))
    needs = [target] if outcome in MISSING else [source, target]
    if pair.operation == "rename":
        needs.append(Need("renamed", (pair.source, pair.target)))

    def perform(here: Here) -> str:
        if pair.operation == "link":
            here.executor.call("linkat", HERE, pair.source, HERE, pair.target, 0)
        else:
            exchange = 2 if pair.operation == "exchange" else 0
            here.executor.call("renameat2", HERE, pair.source, HERE, pair.target, exchange)
            if exchange:
                here.executor.call("renameat2", HERE, pair.source, HERE, pair.target, exchange)
        return ""

    return Action(perform, tuple(needs))


def node_action(node: DeviceNodeMade, user: int, _outcome: str) -> Action:
    """Return how a device node is made."""
    kind = stat.S_IFBLK if node.kind is FileKind.BLOCK else stat.S_IFCHR
    major, _, minor = node.device.partition(":")

    def perform(here: Here) -> str:
        here.executor.call("mknodat", HERE, node.path, kind | 0o600, os.makedev(int(major), int(minor)))
        return ""

    return Action(perform, (Need("absent", (node.path, user)),))
