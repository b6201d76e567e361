"""System calls as the actor makes them: with plain numbers, and those that libc has no function for."""

from __future__ import annotations

import ctypes
import os
import signal
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long


def check(result: int) -> int:
    """Return the result of a C function; raise OSError for -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(number: int, *arguments: int) -> int:
    """Make a system call with plain numbers; -1 stands for a bad descriptor, pointer or flag."""
    padded = [*arguments, *([-1] * (6 - len(arguments)))]
    return check(LIBC.syscall(ctypes.c_long(number), *(ctypes.c_ulong(value & (1 << 64) - 1) for value in padded)))


def with_memory(number: int, contents: str, *arguments: int | str) -> None:
    """Make a system call of which some arguments point to memory: ``*`` is the address of these bytes (in hex)."""
    buffer = ctypes.create_string_buffer(bytes.fromhex(contents), 4096)
    call(number, *(ctypes.addressof(buffer) if value == "*" else int(value) for value in arguments))


def protected(first: int, second: int) -> None:
    """Map anonymous memory with one protection and change it to another."""
    LIBC.mmap.restype = ctypes.c_void_p
    address = LIBC.mmap(None, ctypes.c_size_t(4096), first, 0x22, -1, ctypes.c_long(0))
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    if second >= 0:
        check(LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), second))


def shared_memory(flags: int) -> None:
    """Attach a new segment of SysV shared memory."""
    identifier = check(LIBC.shmget(0, ctypes.c_size_t(4096), 0o1700))
    LIBC.shmat.restype = ctypes.c_void_p
    address = LIBC.shmat(identifier, None, flags)
    number = ctypes.get_errno()
    check(LIBC.shmctl(identifier, 0, None))
    if address == ctypes.c_void_p(-1).value:
        raise OSError(number, "shmat")


def unreadable_segment() -> None:
    """Attach a segment that nobody has a permission for."""
    identifier = check(LIBC.shmget(0, ctypes.c_size_t(4096), 0o1000))
    LIBC.shmat.restype = ctypes.c_void_p
    address = LIBC.shmat(identifier, None, 0)
    number = ctypes.get_errno()
    LIBC.shmctl(identifier, 0, None)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(number, "shmat")


def foreign_architecture() -> None:
    """Make the 32-bit system call getpid (20) from 64-bit code."""
    code = bytes.fromhex("b814000000cd80c3")  # mov eax, 20; int 0x80; ret
    LIBC.mmap.restype = ctypes.c_void_p
    address = LIBC.mmap(None, ctypes.c_size_t(4096), 7, 0x62, -1, ctypes.c_long(0))  # MAP_32BIT
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    ctypes.memmove(address, code, len(code))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    if result < 0:
        raise OSError(-result, "getpid")


def cloned(flags: int, number: int = 56) -> None:
    """Make a child process with namespaces of its own: clone(2) on x86-64."""
    child = LIBC.syscall(ctypes.c_long(number), ctypes.c_ulong(flags | signal.SIGCHLD), None, None, None, None)
    if child == 0:
        os._exit(0)
    check(child)
    os.waitpid(child, 0)


def cloned_3(flags: int) -> None:
    """The same by clone3(2)."""
    arguments = struct.pack("=QQQQQQQQ", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    child = LIBC.syscall(ctypes.c_long(435), arguments, ctypes.c_size_t(64))
    if child == 0:
        os._exit(0)
    check(child)
    os.waitpid(child, 0)


def entered(name: str, kind: int) -> None:
    """Enter a namespace again in which the process is."""
    descriptor = os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    check(LIBC.setns(descriptor, kind))
