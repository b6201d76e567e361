"""The capability bounding set: what execve takes away even from root (capabilities(7))."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy.behaviour import CapabilityUsed, Fact, PrivilegeGained
from policy.sandbox.denial import Denial

REFUSED_WITH_EACCES = frozenset({"CAP_NET_BIND_SERVICE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"})
"""Capabilities whose absence shows as EACCES (bind(2), path_resolution(7)); all others show as EPERM."""


@dataclass
class CapabilityBounds:
    """Which capabilities are outside the bounding set, and the setting that put each there."""

    dropped: dict[str, tuple[str, str]] = field(default_factory=dict)

    def drop(self, directive: str, setting: str, names: frozenset[str]) -> None:
        """Take capabilities out of the bounding set."""
        for name in sorted(names):
            self.dropped.setdefault(name, (directive, setting))

    def judge(self, fact: Fact) -> Denial | None:
        """Deny the use of a dropped capability, and execve of a file that carries one (EPERM from execve itself)."""
        match fact.behaviour:
            case CapabilityUsed(capability=name) if name in self.dropped:
                return Denial(fact, *self.dropped[name], "EACCES" if name in REFUSED_WITH_EACCES else "EPERM")
            case PrivilegeGained(how="file-capabilities", capabilities=names):
                lost = [name for name in names if name in self.dropped]
                return Denial(fact, *self.dropped[lost[0]], "EPERM", "execve of a file with capabilities") if lost else None
        return None
