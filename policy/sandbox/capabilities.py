"""The capability bounding set: what execve takes away even from root (capabilities(7))."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy.behaviour import OK, UNKNOWN, CapabilityUsed, Fact, PrivilegeGained, SignalSent
from policy.sandbox.denial import Denial

REFUSED_WITH_EACCES = frozenset(
    {"CAP_NET_BIND_SERVICE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_IPC_OWNER", "CAP_LEASE"}
)
"""Capabilities whose absence shows as EACCES (bind(2), path_resolution(7), shmget(2), F_SETLEASE in fcntl(2)); the
others show as EPERM."""

REFUSALS = frozenset({"EPERM", "EACCES"})
"""Outcomes that say that the capability was not there when the fact was recorded."""

STANDS_IN_FOR = {
    "CAP_DAC_READ_SEARCH": frozenset({"CAP_DAC_OVERRIDE"}),
    "CAP_BPF": frozenset({"CAP_SYS_ADMIN"}),
    "CAP_PERFMON": frozenset({"CAP_SYS_ADMIN"}),
    "CAP_CHECKPOINT_RESTORE": frozenset({"CAP_SYS_ADMIN"}),
}
"""What the kernel accepts in place of a capability: ``generic_permission`` in fs/namei.c asks for both, and so do
``bpf_capable``, ``perfmon_capable`` and ``checkpoint_restore_ns_capable`` in include/linux/capability.h."""


_OF_SINGLE_CALLS = {
    ("CAP_SYS_NICE", "setpriority"): "EACCES",
    ("CAP_PERFMON", "perf_event_open"): "EACCES",
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"): "EPERM",
}


def refusal(capability: str, reason: str = "") -> str:
    """Return the errno of an operation for which this capability is missing; the reason begins with its call."""
    call = reason.partition(" ")[0].partition("(")[0]
    other = "EACCES" if capability in REFUSED_WITH_EACCES else "EPERM"
    return _OF_SINGLE_CALLS.get((capability, call), other)


@dataclass
class CapabilityBounds:
    """Which capabilities are outside the bounding set, and the setting that put each there.

    ``ambient`` are those that the processes get although User= is set, ``ambient_lost`` those that they got before
    AmbientCapabilities= was narrowed.
    """

    dropped: dict[str, tuple[str, str]] = field(default_factory=dict)
    ambient: frozenset[str] = frozenset()
    ambient_lost: dict[str, tuple[str, str]] = field(default_factory=dict)

    def drop(self, directive: str, setting: str, names: frozenset[str]) -> None:
        """Take capabilities out of the bounding set."""
        for name in sorted(names):
            self.dropped.setdefault(name, (directive, setting))

    def lose_ambient(self, directive: str, setting: str, names: frozenset[str]) -> None:
        """Stop giving capabilities to processes that are not root."""
        for name in sorted(names):
            self.ambient_lost.setdefault(name, (directive, setting))

    def judge(self, fact: Fact) -> Denial | None:
        """Deny the use of a dropped capability, and execve of a file that carries one (EPERM from execve itself).

        A use that failed with another errno had passed the check; one that was refused needed what was not there.
        """
        match fact.behaviour:
            case CapabilityUsed(capability=name, reason=reason) if fact.outcome not in REFUSALS:
                return self._judge_use(fact, name, reason)
            case SignalSent(other_user=True) if fact.succeeded:
                return self._judge_use(fact, "CAP_KILL")
            case PrivilegeGained(how="file-capabilities", capabilities=names) if fact.outcome in {OK, UNKNOWN}:
                lost = [name for name in names if name in self.dropped]
                note = "execve of a file with capabilities"
                return Denial(fact, *self.dropped[lost[0]], "EPERM", note) if lost else None
        return None

    def _judge_use(self, fact: Fact, name: str, reason: str = "") -> Denial | None:
        if name in self.dropped and STANDS_IN_FOR.get(name, frozenset({name})) <= self.dropped.keys():
            return Denial(fact, *self.dropped[name], refusal(name, reason))
        if name in self.ambient_lost and fact.user != 0:
            return Denial(fact, *self.ambient_lost[name], refusal(name, reason))
        return None
