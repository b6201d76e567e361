"""Plain values about the machine for which a drop-in is made. Policy is handed them; profiler reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

CONTROL_GROUP_PROGRAMS = "BPF programs on control groups"
DEVICE_CONTROL = "control of devices by control group"
"""Mechanisms of the kernel that containers often lack, and of which systemd only logs that it cannot use them."""


@dataclass(frozen=True)
class HostFacts:
    """What the target machine knows and enforces.

    ``syscall_sets`` maps each ``@name`` to its fully expanded members, as ``systemd-analyze syscall-filter`` of the
    target prints them (``@known`` included). ``features`` are the words of ``systemctl --version`` with their sign:
    ``+SECCOMP``, ``-BPF_FRAMEWORK``.
    """

    systemd_version: int
    kernel: tuple[int, int] = (6, 1)
    architecture: str = "x86-64"
    syscall_sets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    features: frozenset[str] = frozenset()
    security_modules: frozenset[str] | None = None  # /sys/kernel/security/lsm; None: not known
    missing_libraries: frozenset[str] = frozenset()  # of those that systemd loads when it needs them: "libbpf"
    refused: Mapping[str, str] = field(default_factory=dict)  # mechanisms that cannot be used there, each with why
    unprivileged_port_start: int = 1024  # /proc/sys/net/ipv4/ip_unprivileged_port_start

    @cached_property
    def known_calls(self) -> frozenset[str]:
        """The names that its systemd can read: ``@known`` (from 247) and what else is in its sets."""
        return frozenset[str]().union(*self.syscall_sets.values())

    def expand(self, names: frozenset[str]) -> frozenset[str]:
        """Return plain system call names for a mixture of names and ``@sets``; unknown sets vanish."""
        expanded: set[str] = set()
        for name in names:
            expanded |= self.syscall_sets.get(name, frozenset()) if name.startswith("@") else {name}
        return frozenset(expanded)
