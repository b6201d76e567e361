"""A program that does one thing after another and says what came of each. Runs inside of a unit's sandbox.

Takes a JSON list of operations, ``[verb, path, path...]``, in its first argument and prints a JSON list of outcomes:
``ok``, the name of an errno, or ``ok:DIGEST`` where content was read. Standard library only.
"""

# Each verb is one call of the kernel, made as plainly as can be:
# ruff: noqa: PTH101, PTH116, PTH208, PTH211
from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import mmap
import os
import socket
import stat
import sys
from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True)


def _content(path: str) -> bytes:
    if stat.S_ISDIR(os.stat(path).st_mode):
        return "\0".join(sorted(os.listdir(path))).encode()
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(descriptor, 65536)
    finally:
        os.close(descriptor)


def _access(path: str, mode: int) -> None:
    if _LIBC.access(os.fsencode(path), mode):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _socket(verb: str, path: str) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        getattr(end, verb)(path)


def _execute(path: str) -> None:
    child = os.fork()
    if child == 0:
        try:
            os.execv(path, [path])
        except OSError as error:
            os._exit(100 + min(error.errno or 0, 120))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status > 100:
        raise OSError(status - 100, "execve")


def _map_execute(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        mmap.mmap(descriptor, 1, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC).close()
    finally:
        os.close(descriptor)


def _open(path: str, flags: int) -> None:
    os.close(os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0o644))


def _node(path: str, kind: int, major: int, minor: int) -> None:
    os.mknod(path, 0o600 | kind, os.makedev(major, minor))


VERBS: dict[str, Callable[..., bytes | None]] = {
    "lookup": lambda path: os.stat(path) and None,
    "read": _content,
    "open": lambda path: _open(path, os.O_RDONLY),
    "write": lambda path: _open(path, os.O_WRONLY),
    "write-creating": lambda path: _open(path, os.O_WRONLY | os.O_CREAT),
    "read-write": lambda path: _open(path, os.O_RDWR),
    "create": lambda path: _open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    "mkdir": os.mkdir,
    "symlink": lambda path: os.symlink("x", path),
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "chmod": lambda path: os.chmod(path, stat.S_IMODE(os.stat(path).st_mode)),
    "utime": os.utime,
    "setxattr": lambda path: os.setxattr(path, "user.probe", b"1"),
    "truncate": lambda path: os.truncate(path, 0),
    "writable": lambda path: _access(path, os.W_OK),
    "connect": lambda path: _socket("connect", path),
    "bind": lambda path: _socket("bind", path),
    "execute": _execute,
    "map-execute": _map_execute,
    "rename": os.rename,
    "link": os.link,
    "mknod-null": lambda path: _node(path, stat.S_IFCHR, 1, 3),
    "mknod-disk": lambda path: _node(path, stat.S_IFBLK, 8, 0),
}


def outcome(operation: list[str]) -> str:
    """Do one operation and return what came of it."""
    verb, *arguments = operation
    try:
        result = VERBS[verb](*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "ok" if result is None else f"ok:{hashlib.sha256(result).hexdigest()[:12]}"


if __name__ == "__main__":
    print(json.dumps([outcome(operation) for operation in json.loads(sys.argv[1])]))
