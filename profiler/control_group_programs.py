"""Whether the kernel lets BPF programs be put on control groups: IPAddressDeny= and others are made of them.

Containers often may not, and systemd then only writes a line to its log (``bpf_firewall_supported`` in
``bpf-firewall.c``, which this follows: load the smallest program there is, then attach it to nothing).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

_SYSTEM_CALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}
# The number of bpf(2) on each machine, as syscalls(2) and the kernel's tables have it.

_PROG_LOAD, _PROG_ATTACH = 5, 8
_CGROUP_SKB, _INET_EGRESS, _ALLOW_MULTI = 8, 1, 2
_ALLOWS_EVERYTHING = struct.pack("<BBhi", 0xB7, 0, 0, 1) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # r0 = 1; exit
_ATTRIBUTES = 128  # bytes of ``union bpf_attr``, as far as it matters here; the kernel takes zeros at its end


def refusal() -> str:
    """Return in words why no program can be put on a control group; empty if one can be, or if that is not known.

    Not known: without root's user id, which systemd has, and on machines whose number of bpf(2) is not known.
    """
    if os.geteuid() != 0 or platform.machine() not in _SYSTEM_CALL:
        return ""
    instructions = ctypes.create_string_buffer(_ALLOWS_EVERYTHING, len(_ALLOWS_EVERYTHING))
    licence = ctypes.create_string_buffer(b"MIT")
    program, number = _bpf(
        _PROG_LOAD, struct.pack("=IIQQ", _CGROUP_SKB, 2, ctypes.addressof(instructions), ctypes.addressof(licence))
    )
    if number:
        return f"the kernel takes no BPF program from us: {os.strerror(number)}"
    try:
        _, number = _bpf(_PROG_ATTACH, struct.pack("=IIII", 0xFFFFFFFF, program, _INET_EGRESS, _ALLOW_MULTI))
    finally:
        os.close(program)
    return "" if number == errno.EBADF else f"the kernel has no BPF programs on control groups: {os.strerror(number)}"


def _bpf(command: int, attributes: bytes) -> tuple[int, int]:
    # Returns what bpf(2) returned, and its errno or 0.
    library = ctypes.CDLL(None, use_errno=True)
    union = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    result = library.syscall(_SYSTEM_CALL[platform.machine()], command, union, _ATTRIBUTES)
    return result, ctypes.get_errno() if result < 0 else 0
