"""Whether the eBPF recorder can work on this kernel; if not, why, and what to type."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from profiler.errors import ToolError
from profiler.recorders.base import Availability
from profiler.recorders.ebpf import control_groups
from profiler.recorders.ebpf.library import possible_processors
from profiler.recorders.ebpf.loading import Programs, load

OLDEST_KERNEL = (5, 17)
"""The first with bpf_loop(), by which paths are followed."""

WITHOUT_CAPABILITIES = "the kernel shows its capability checks neither by a tracepoint nor to programs at functions"
"""What is lost then: which capabilities were needed, so that all that were held count."""

_STRACE = "use: --engine strace"
_LOCKDOWN = Path("/sys/kernel/security/lockdown")


def availability(*, needs_groups: bool = True) -> Availability:
    """Return whether recordings can be made; ``needs_groups``: of units, which are told by control group.

    The last check is the proof: the programs are handed to the kernel, and taken back.
    """
    for check in (_machine, _kernel, _types, _groups if needs_groups else _nothing, _loads):
        answer = check()
        if not answer.available:
            return answer
    return Availability(True)


def _nothing() -> Availability:
    return Availability(True)


def _machine() -> Availability:
    if platform.machine() == "x86_64":
        return Availability(True)
    return Availability(False, f"there are no eBPF programs for {platform.machine()}", _STRACE)


def _kernel() -> Availability:
    match = re.match(r"(\d+)\.(\d+)", platform.release())
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version >= OLDEST_KERNEL:
        return Availability(True)
    needed = ".".join(map(str, OLDEST_KERNEL))
    return Availability(False, f"the kernel is {platform.release()}, older than {needed}", _STRACE)


def _types() -> Availability:
    if Path("/sys/kernel/btf/vmlinux").exists():
        return Availability(True)
    return Availability(
        False,
        "the kernel does not describe its types (no /sys/kernel/btf/vmlinux)",
        f"use a kernel with CONFIG_DEBUG_INFO_BTF=y, or {_STRACE}",
    )


def _groups() -> Availability:
    if control_groups.mount_point(Path("/proc/self/mountinfo").read_text(encoding="utf-8")) is not None:
        return Availability(True)
    remedy = "run: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified"
    return Availability(False, "control groups of version 2 are not mounted", remedy)


def _loads() -> Availability:
    try:
        loaded = load(_smallest)
    except ToolError as error:
        if _is_confidential():
            return Availability(False, "the kernel is locked down (confidentiality)", _STRACE)
        return Availability(False, error.message, error.hint)
    loaded.programs.close()
    if loaded.sees_capabilities:
        return Availability(True)
    return Availability(True, lost=f"{WITHOUT_CAPABILITIES} (kernel {platform.release()}; Linux 6.14 does)")


def _smallest(programs: Programs) -> None:
    programs.set_entries({"scratches": 2 * possible_processors(), "ring": os.sysconf("SC_PAGESIZE")})


def _is_confidential() -> bool:
    try:
        return "[confidentiality]" in _LOCKDOWN.read_text(encoding="ascii")
    except OSError:
        return False
