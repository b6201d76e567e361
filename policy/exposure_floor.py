"""The floor: the exposure level that no drop-in can go below for what a service was recorded doing.

systemd-analyze(1) adds up weights, ``security_assessor_table`` in ``src/analyze/analyze-security.c``; the sum of the
weights of what is needed all the same, against the sum of all, is the lowest level that a recording allows. What no
recording can decide (User=, RootDirectory=, SupplementaryGroups=) counts as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from policy.behaviour import (
    OK,
    CapabilityUsed,
    Fact,
    MemoryMapped,
    NamespaceUsed,
    PrivilegeGained,
    SchedulingSet,
    SocketAddress,
    SocketOpened,
    SpecialModeSet,
    SystemCall,
)
from policy.exposure import (
    CALL_GROUPS,
    CAPABILITY_GROUPS,
    FAMILIES,
    INTERNET,
    INTERNET_WEIGHT,
    NAMESPACES,
    OTHER_FAMILIES_WEIGHT,
    WORDS,
)
from policy.host_facts import HostFacts
from policy.sandbox.sandbox import FILTERS_KEEP_PRIVILEGES
from policy.unit_settings import UnitSettings

ALL_WEIGHTS, ALL_WEIGHTS_AS_ROOT = 56460, 56160
"""Sums of all weights in systemd 255 to 262; SupplementaryGroups= and RemoveIPC= do not apply to root."""

LOOPBACK = ("127.", "::1")

WITHOUT_FILTERS = "NoNewPrivileges, which every filter of system calls implies together with User="

_FILTERED: Mapping[str, int] = {
    **CALL_GROUPS,
    **FAMILIES,
    "AF_INET": INTERNET_WEIGHT,
    "other families": OTHER_FAMILIES_WEIGHT,
    **{f"namespace {kind}": weight for kind, weight in NAMESPACES.items()},
    **{
        name: WORDS[name][0]
        for name in (
            *("NoNewPrivileges", "PrivateDevices", "ProtectClock", "ProtectHostname", "ProtectKernelLogs"),
            *("ProtectKernelModules", "ProtectKernelTunables", "LockPersonality", "MemoryDenyWriteExecute"),
            *("RestrictRealtime", "RestrictSUIDSGID"),
        )
    },
    "SystemCallArchitectures": 1000,
}
# What needs a filter, with its whole weight: systemd 252 counts a missing list of families as all families.


@dataclass(frozen=True)
class Floor:
    """The level, and the words for what makes it, heaviest first."""

    level: float
    because: tuple[str, ...]


def floor(facts: Iterable[Fact], unit: UnitSettings, host: HostFacts) -> Floor:
    """Return the floor for a service that does just this; what runs without the sandbox (``+``) asks nothing of it."""
    facts = [fact for fact in facts if not fact.exec_line.startswith("+")]
    done = [fact.behaviour for fact in facts if fact.outcome == OK]
    weights = {
        **_identity(unit, done),
        **_capabilities({one.capability for one in done if isinstance(one, CapabilityUsed)}),
        **_network(done),
        **_calls({one.name for one in done if isinstance(one, SystemCall)}, host),
        **_others(done),
    }
    if not unit.runs_as_root and host.systemd_version < FILTERS_KEEP_PRIVILEGES and "NoNewPrivileges" in weights:
        weights = {name: weight for name, weight in weights.items() if name not in _FILTERED}
        weights[WITHOUT_FILTERS] = sum(_FILTERED.values())
    total = ALL_WEIGHTS_AS_ROOT if unit.runs_as_root else ALL_WEIGHTS
    level = math.ceil(sum(weights.values()) * 100 / total) / 10
    return Floor(level, tuple(sorted(weights, key=lambda name: (-weights[name], name))))


def _identity(unit: UnitSettings, done: Sequence[object]) -> dict[str, int]:
    # RootDirectory= is set by no recording; DeviceAllow= costs its half because ProtectClock= adds an entry.
    weights = {"RootDirectory": 200, "DeviceAllow": 500}
    if unit.runs_as_root:
        weights["User"] = 2000
    if any(isinstance(one, CapabilityUsed) for one in done):
        weights["PrivateUsers"] = 1000
    return weights


def _capabilities(used: set[str]) -> dict[str, int]:
    return {"/".join(sorted(group & used)): weight for weight, group in CAPABILITY_GROUPS if group & used}


def _network(done: Sequence[object]) -> dict[str, int]:
    opened = {one.family for one in done if isinstance(one, SocketOpened)}
    met = {one.address for one in done if isinstance(one, SocketAddress) and one.family in INTERNET}
    weights = {family: FAMILIES[family] for family in opened & FAMILIES.keys()}
    if opened & INTERNET:
        weights["AF_INET"] = INTERNET_WEIGHT
    if opened & INTERNET or met:
        weights["PrivateNetwork"] = 2500
    if any(not address.startswith(LOOPBACK) for address in met):
        weights["IPAddressDeny"] = 1000
    if opened - INTERNET - FAMILIES.keys():
        weights["other families"] = OTHER_FAMILIES_WEIGHT
    return weights


def _calls(used: set[str], host: HostFacts) -> dict[str, int]:
    default = host.syscall_sets.get("@default", frozenset())
    return {
        group: weight * 9 // 10
        for group, weight in CALL_GROUPS.items()
        if (host.syscall_sets.get(group, frozenset()) - default) & used
    }


def _others(done: Sequence[object]) -> dict[str, int]:
    weights = {}
    for one in done:
        match one:
            case PrivilegeGained():
                weights["NoNewPrivileges"] = 1000
            case SpecialModeSet():
                weights["RestrictSUIDSGID"] = 1000
            case SchedulingSet(policy="SCHED_FIFO" | "SCHED_RR" | "SCHED_DEADLINE"):
                weights["RestrictRealtime"] = 500
            case MemoryMapped():
                weights["MemoryDenyWriteExecute"] = 100
            case NamespaceUsed(kinds=kinds):
                weights |= {f"namespace {kind}": NAMESPACES[kind] for kind in kinds if kind in NAMESPACES}
    return weights
