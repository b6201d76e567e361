"""A program that makes system calls which seccomp filters, capabilities and no_new_privs can refuse.

Each action runs in a child of its own, so that a killed one is seen as such. Prints a JSON object of outcomes: ``ok``,
the name of an errno, or ``SIGSYS``. Runs inside of a unit's sandbox; standard library only.
"""

# Each action is one call of the kernel, made as plainly as can be:
# ruff: noqa: PTH101, PTH102
from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True)
_PAGE = 4096
_READ, _WRITE, _EXECUTE = 1, 2, 4


def _call(number: int, *arguments: object) -> int:
    result: int = _LIBC.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _long(number: int) -> ctypes.c_ulong:
    return ctypes.c_ulong(number)


def _map(protection: int) -> int:
    _LIBC.mmap.restype = ctypes.c_void_p
    address = _LIBC.mmap(None, ctypes.c_size_t(_PAGE), protection, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, _long(0))
    if address is None or address == ctypes.c_void_p(-1).value:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(address)


def _protect(address: int, protection: int) -> None:
    _call(10, ctypes.c_void_p(address), ctypes.c_size_t(_PAGE), protection)


def _clone3(flags: int) -> None:
    arguments = ctypes.create_string_buffer(struct.pack("8Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0))
    if _call(435, arguments, ctypes.c_size_t(64)) == 0:
        os._exit(0)
    os.wait()


def _setns(kind: int) -> None:
    descriptor = os.open("/proc/self/ns/uts", os.O_RDONLY)
    _call(308, descriptor, kind)


def _schedule(policy: int, priority: int) -> None:
    _call(144, 0, policy, ctypes.create_string_buffer(struct.pack("i", priority)))


def _schedule_attributes(policy: int, priority: int) -> None:
    attributes = ctypes.create_string_buffer(struct.pack("IIQiIQQQ", 48, policy, 0, 0, priority, 0, 0, 0))
    _call(314, 0, attributes, 0)


def _openat2() -> None:
    how = ctypes.create_string_buffer(struct.pack("3Q", os.O_RDONLY, 0, 0))
    os.close(_call(437, -100, b"/etc/hostname", how, ctypes.c_size_t(24)))


def _bind() -> None:
    with socket.socket(socket.AF_INET) as end:
        end.bind(("127.0.0.1", 81))


def _foreign_architecture() -> None:
    address = _map(_READ | _WRITE)
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov $20, %eax (getpid of i386); int $0x80; ret
    ctypes.memmove(address, code, len(code))
    _protect(address, _READ | _EXECUTE)
    if ctypes.CFUNCTYPE(ctypes.c_int)(address)() <= 0:
        raise OSError(errno.ENOSYS, "no such architecture")


def _set_user_id_program() -> None:
    said = subprocess.run(["/srv/calls/id", "-u"], stdout=subprocess.PIPE, check=True).stdout
    if said.strip() != b"0":
        raise OSError(errno.EPERM, "no transition")


def _file_with_capabilities() -> None:
    said = subprocess.run(
        ["/srv/calls/capable", "CapEff", "/proc/self/status"], stdout=subprocess.PIPE, check=True
    ).stdout
    if not int(said.split()[1], 16) & 1 << 13:
        raise OSError(errno.EPERM, "no transition")


def _socket(family: int, kind: int) -> None:
    socket.socket(family, kind, 0).close()


ACTIONS: dict[str, Callable[[], object]] = {
    "socket AF_UNIX": lambda: _socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "socket AF_INET": lambda: _socket(socket.AF_INET, socket.SOCK_STREAM),
    "socket AF_INET6": lambda: _socket(socket.AF_INET6, socket.SOCK_STREAM),
    "socket AF_NETLINK": lambda: _socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "socket AF_PACKET": lambda: _socket(socket.AF_PACKET, socket.SOCK_RAW),
    "unshare user": lambda: _call(272, 0x10000000),
    "unshare net": lambda: _call(272, 0x40000000),
    "unshare mnt": lambda: _call(272, 0x00020000),
    "unshare uts": lambda: _call(272, 0x04000000),
    "unshare time": lambda: _call(272, 0x00000080),
    "unshare nothing": lambda: _call(272, 0x400),
    "setns anything": lambda: _setns(0),
    "setns uts": lambda: _setns(0x04000000),
    "clone3": lambda: _clone3(0),
    "clone3 uts": lambda: _clone3(0x04000000),
    "personality 0": lambda: _call(135, _long(0)),
    "personality query": lambda: _call(135, _long(0xFFFFFFFF)),
    "personality other": lambda: _call(135, _long(0x0040000)),
    "mmap write execute": lambda: _map(_READ | _WRITE | _EXECUTE),
    "mprotect execute": lambda: _protect(_map(_READ | _WRITE), _READ | _EXECUTE),
    "mprotect keep execute": lambda: _protect(_map(_READ | _EXECUTE), _EXECUTE),
    "schedule fifo": lambda: _schedule(1, 1),
    "schedule other": lambda: _schedule(0, 0),
    "schedule batch": lambda: _schedule(3, 0),
    "schedule other, reset on fork": lambda: _schedule(0x40000000, 0),
    "schedule by attributes fifo": lambda: _schedule_attributes(1, 1),
    "chmod set-uid": lambda: os.chmod("/srv/calls/own", 0o4755),
    "chmod sticky": lambda: os.chmod("/srv/calls/own", 0o1755),
    "mkdir set-gid": lambda: os.mkdir(f"/srv/calls/new/{os.getpid()}", 0o2755),
    "openat2": _openat2,
    "uname": os.uname,
    "mlock": lambda: _call(149, ctypes.create_string_buffer(16), ctypes.c_size_t(16)),
    "reboot": lambda: _call(169, 0, 0, 0, None),
    "add_key": lambda: _call(248, b"user", b"a", b"b", ctypes.c_size_t(1), -2),
    "io_uring_setup": lambda: _call(425, 0, None),
    "chown to itself": lambda: os.chown("/srv/calls/own", os.getuid(), os.getgid()),
    "bind low port": _bind,
    "chown to others": lambda: os.chown("/srv/calls/own", 33, 33),
    "read what is of others": lambda: os.close(os.open("/srv/calls/private", os.O_RDONLY)),
    "set user": lambda: os.setuid(33),
    "set groups": lambda: os.setgroups([33]),
    "chroot": lambda: os.chroot("/"),
    "raise priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    "signal to others": lambda: os.kill(int(sys.argv[1]), 0),
    "make a device": lambda: os.mknod(f"/srv/calls/new/n{os.getpid()}", 0o020600, os.makedev(1, 3)),
    "set-uid program": _set_user_id_program,
    "program with capabilities": _file_with_capabilities,
    "foreign architecture": _foreign_architecture,
}


def outcome(action: Callable[[], object]) -> str:
    """Do one thing in a child and return what came of it."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            action()
        except OSError as error:
            code = min(error.errno or 0, 254)
        os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    code = os.WEXITSTATUS(status)
    return errno.errorcode[code] if code else "ok"


if __name__ == "__main__":
    print(json.dumps({name: outcome(action) for name, action in ACTIONS.items()}))
