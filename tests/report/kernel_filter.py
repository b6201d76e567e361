"""What the seccomp filters of a running process let through: taken from the kernel and run, not read from settings.

ptrace(2) hands out the filters of a process (PTRACE_SECCOMP_GET_FILTER, needs CAP_SYS_ADMIN and a kernel with
CONFIG_CHECKPOINT_RESTORE) as classic BPF, which is run here for every system call of x86-64.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence

from profiler.recorders.ebpf.descriptors import numbers

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_SECCOMP_GET_FILTER = 17, 0x4206, 0x4207, 0x420C
WALL = 0x40000000
X86_64 = 0xC000003E  # AUDIT_ARCH_X86_64, linux/audit.h
ALLOW, LOG = 0x7FFF0000, 0x7FFC0000  # linux/seccomp.h: the two answers after which the call is made

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant: struct sock_filter
Program = tuple[Instruction, ...]

PROBES = ((0,) * 6, (1,) * 6, (2,) * 6, (0xFFFFFFFF,) * 6)
"""Arguments a call is tried with; it counts as let through if one of these is. A family or a flag may be refused."""

_LIBC = ctypes.CDLL(None, use_errno=True)


def calls_let_through(pid: int) -> frozenset[str]:
    """Return the names of the system calls of x86-64 that all filters of a process let through.

    Raises OSError if the process cannot be traced or the kernel does not hand its filters out.
    """
    programs = tuple(filters_of(pid))
    return frozenset(name for number, name in numbers()["x86-64"].items() if _passes(programs, number))


def filters_of(pid: int) -> Iterator[Program]:
    """Yield the filters of a process; none if it has none. Raises OSError as above."""
    _ptrace(PTRACE_SEIZE, pid, 0, None)
    try:
        _ptrace(PTRACE_INTERRUPT, pid, 0, None)
        os.waitpid(pid, WALL)
        for index in range(1000):
            program = _filter(pid, index)
            if program is None:
                return
            yield program
    finally:
        _ptrace(PTRACE_DETACH, pid, 0, None)


def _filter(pid: int, index: int) -> Program | None:
    try:
        length = _ptrace(PTRACE_SECCOMP_GET_FILTER, pid, index, None)
    except OSError as error:
        # ENOENT: no further filter; EINVAL: the process has none at all.
        if error.errno in {2, 22}:
            return None
        raise
    buffer = ctypes.create_string_buffer(8 * length)
    _ptrace(PTRACE_SECCOMP_GET_FILTER, pid, index, buffer)
    return tuple(struct.iter_unpack("=HBBI", buffer.raw))


def _ptrace(request: int, pid: int, address: int, data: object) -> int:
    _LIBC.ptrace.restype = ctypes.c_long
    result = int(_LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(pid), ctypes.c_void_p(address), data))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _passes(programs: Sequence[Program], number: int) -> bool:
    return any(all(answer(program, number, probe) in {ALLOW, LOG} for program in programs) for probe in PROBES)


def answer(program: Program, number: int, arguments: Sequence[int] = PROBES[0]) -> int:
    """Run a classic BPF program over a struct seccomp_data (seccomp(2)) and return the action it ends with.

    Raises ValueError for an instruction that seccomp does not have.
    """
    data = struct.pack("=iIQ6Q", number, X86_64, 0, *arguments)
    accumulator = index = counter = 0
    memory = [0] * 16
    while True:
        code, jump_true, jump_false, constant = program[counter]
        counter += 1
        kind, operand = code & 0x07, index if code & 0x08 else constant
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            accumulator = int(struct.unpack_from("=I", data, constant)[0])
        elif kind in {0, 1}:  # BPF_LD, BPF_LDX of a constant or of scratch memory
            value = constant if code & 0xE0 == 0 else memory[constant]
            accumulator, index = (value, index) if kind == 0 else (accumulator, value)
        elif kind in {2, 3}:
            memory[constant] = accumulator if kind == 2 else index
        elif kind == 4:
            accumulator = _computed(code & 0xF0, accumulator, operand)
        elif code == 0x05:  # BPF_JMP | BPF_JA
            counter += constant
        elif kind == 5:
            counter += jump_true if _compared(code & 0xF0, accumulator, operand) else jump_false
        elif kind == 6:
            return (accumulator if code & 0x10 else constant) & 0xFFFF0000
        else:
            accumulator, index = (index, index) if code & 0x80 else (accumulator, accumulator)


def _computed(operation: int, left: int, right: int) -> int:
    match operation:
        case 0x00:
            return (left + right) & 0xFFFFFFFF
        case 0x40:
            return left | right
        case 0x50:
            return left & right
        case 0x60:
            return (left << right) & 0xFFFFFFFF
        case 0x70:
            return left >> right
        case 0xA0:
            return left ^ right
    raise ValueError(f"no such operation in a filter: {operation:#x}")


def _compared(operation: int, left: int, right: int) -> bool:
    match operation:
        case 0x10:
            return left == right
        case 0x20:
            return left > right
        case 0x30:
            return left >= right
        case 0x40:
            return bool(left & right)
    raise ValueError(f"no such comparison in a filter: {operation:#x}")
