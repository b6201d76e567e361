"""The exposure level that systemd-analyze(1) computes, item by item, and which directive each item is about.

Source: ``security_assessor_table`` and ``assess`` in systemd's ``src/analyze/analyze-security.c``, versions 245 to 262;
judged as for a loaded unit, where implied capabilities are taken out and many directives imply PrivateMounts=. One
difference is on purpose: a setting that the target does not enforce counts as missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from policy.capability_names import ALL_CAPABILITIES
from policy.directives.base import Directive
from policy.directives.capabilities import AmbientCapabilities
from policy.directives.choice import Choice, parse_boolean
from policy.directives.devices import DeviceAllow
from policy.directives.identity import UMask
from policy.directives.namespaces import RestrictNamespaces
from policy.directives.network import RestrictAddressFamilies
from policy.directives.network_control import IPAddressAllow, IPAddressDeny
from policy.directives.system_calls import SystemCallArchitectures, SystemCallFilter
from policy.host_facts import HostFacts
from policy.sandbox.addresses import is_loopback
from policy.settings import build_sandbox
from policy.unit_settings import UnitSettings

CAPABILITY_GROUPS: tuple[tuple[int, frozenset[str]], ...] = tuple(
    (weight, frozenset(f"CAP_{name}" for name in names.split()))
    for weight, names in (
        (1500, "SETUID SETGID SETPCAP"),
        (1500, "SYS_ADMIN"),
        (1500, "SYS_PTRACE"),
        (1000, "CHOWN FSETID SETFCAP"),
        (1000, "DAC_OVERRIDE DAC_READ_SEARCH FOWNER IPC_OWNER"),
        (1000, "NET_ADMIN"),
        (1000, "SYS_MODULE"),
        (1000, "SYS_RAWIO"),
        (1000, "SYS_TIME"),
        (500, "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE"),
        (500, "KILL"),
        (500, "MKNOD"),
        (500, "NET_BIND_SERVICE NET_BROADCAST NET_RAW"),
        (500, "SYSLOG"),
        (500, "SYS_NICE SYS_RESOURCE"),
        (100, "MAC_ADMIN MAC_OVERRIDE"),
        (100, "SYS_BOOT"),
        (75, "LINUX_IMMUTABLE"),
        (50, "IPC_LOCK"),
        (50, "SYS_CHROOT"),
        (25, "BLOCK_SUSPEND"),
        (25, "BPF"),
        (25, "LEASE"),
        (25, "SYS_PACCT"),
        (25, "SYS_TTY_CONFIG"),
        (25, "WAKE_ALARM"),
    )
)
"""One item of the table each: one kept member makes the whole item count."""

CALL_GROUPS: Mapping[str, int] = {
    "@clock": 1000,
    "@debug": 1000,
    "@module": 1000,
    "@mount": 1000,
    "@raw-io": 1000,
    "@reboot": 1000,
    "@swap": 1000,
    "@privileged": 700,
    "@resources": 700,
    "@cpu-emulation": 250,
    "@obsolete": 250,
}
"""Weights of the groups of system calls; an allow-list with one member counts nine tenths."""

NAMESPACES: Mapping[str, int] = {
    "user": 1500,
    "cgroup": 500,
    "ipc": 500,
    "mnt": 500,
    "net": 500,
    "pid": 500,
    "uts": 100,
}
FAMILIES: Mapping[str, int] = {"AF_PACKET": 1000, "AF_NETLINK": 200, "AF_UNIX": 25}
INTERNET = frozenset({"AF_INET", "AF_INET6"})
INTERNET_WEIGHT, OTHER_FAMILIES_WEIGHT = 1500, 1250

WORDS: Mapping[str, tuple[int, int, Mapping[str, int]]] = {
    "PrivateDevices": (1000, 1, {}),
    "PrivateNetwork": (2500, 1, {}),
    "PrivateTmp": (1000, 1, {}),
    "PrivateUsers": (1000, 1, {}),
    "ProtectControlGroups": (1000, 1, {}),
    "ProtectKernelModules": (1000, 1, {}),
    "ProtectKernelTunables": (1000, 1, {}),
    "ProtectKernelLogs": (1000, 1, {}),
    "ProtectClock": (1000, 1, {}),
    "ProtectHome": (1000, 10, {"read-only": 5, "tmpfs": 1}),
    "ProtectHostname": (50, 1, {}),
    "ProtectSystem": (1000, 10, {"yes": 5, "full": 3}),
    "LockPersonality": (100, 1, {}),
    "MemoryDenyWriteExecute": (100, 1, {}),
    "NoNewPrivileges": (1000, 1, {}),
    "RestrictRealtime": (500, 1, {}),
    "RestrictSUIDSGID": (1000, 1, {}),
    "ProtectProc": (1000, 3, {"noaccess": 1}),
    "ProcSubset": (10, 1, {}),
}
"""Directives with one word: the weight, the range, and how bad the words are that are neither the default nor good."""

WITH_DEFAULT_DEPENDENCIES = frozenset({"PrivateTmp", "ProtectHome", "ProtectSystem"})
"""Items that are left out for units with DefaultDependencies=no; RootDirectory= is the fourth."""

IMPLIED_BY_DYNAMIC_USER = frozenset(
    {"ProtectSystem", "PrivateTmp", "RemoveIPC", "NoNewPrivileges", "RestrictSUIDSGID"},
)
"""What ``unit_patch_contexts`` sets for DynamicUser=yes (ProtectHome=read-only besides)."""

_IMPLYING_MOUNTS = (
    *("PrivateDevices", "PrivateTmp", "ProtectControlGroups", "ProtectKernelTunables", "ProtectKernelModules"),
    *("ProtectHome", "ProtectSystem"),
)


@dataclass(frozen=True)
class Cost:
    """One item of the table: its name as systemd-analyze prints it, the directive that it is about, its weight, how
    much of that is paid, and the elements of a list of which any one costs it."""

    item: str
    directive: str
    weight: int
    paid: int
    elements: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Exposure:
    """All items that apply to a unit."""

    items: tuple[Cost, ...]

    @property
    def level(self) -> float:
        """The overall level, 0.0 (perfect) to 10.0, rounded up as systemd-analyze does."""
        return math.ceil(sum(item.paid for item in self.items) * 100 / self.total) / 10

    @property
    def total(self) -> int:
        """The sum of all weights."""
        return sum(item.weight for item in self.items)

    def share(self, paid: int) -> float:
        """Return what so much of the weights is of the level."""
        return paid * 10 / self.total

    def of(self, directive: str) -> tuple[Cost, ...]:
        """Return the items about a directive; none if systemd-analyze does not look at it."""
        return tuple(item for item in self.items if item.directive == directive)


@dataclass(frozen=True)
class _Case:
    # What the items look at.
    settings: Mapping[str, Directive]
    host: HostFacts
    unit: UnitSettings

    def word(self, name: str) -> str:
        """Return the value of a directive with one word, its default included."""
        setting = self.settings[name]
        assert isinstance(setting, Choice)
        if self.unit.dynamic_user and setting.value == setting.default():
            if name == "ProtectHome":
                return "read-only"
            if name in IMPLIED_BY_DYNAMIC_USER:
                return setting.order[-1]
        return setting.value

    def is_set(self, name: str) -> bool:
        """Whether a directive with one word has another value than its default."""
        setting = self.settings[name]
        return isinstance(setting, Choice) and self.word(name) != setting.default()


def assess(settings: Mapping[str, Directive], host: HostFacts, unit: UnitSettings) -> Exposure:
    """Return the exposure of a unit with these settings; what the target does not enforce counts as not set."""
    enforced = {
        name: type(setting).parse((), host) if type(setting).unenforced(host) else setting
        for name, setting in settings.items()
    }
    case = _Case(enforced, host, unit)
    return Exposure(tuple(item for items in _ITEMS for item in items(case)))


def _paid(weight: int, badness: int, of: int) -> int:
    return math.ceil(weight * badness / of)


def _words(case: _Case) -> Iterator[Cost]:
    for name, (weight, scale, bad) in WORDS.items():
        if name in WITH_DEFAULT_DEPENDENCIES and not case.unit.default_dependencies:
            continue
        if name in {"ProtectProc", "ProcSubset"} and case.host.systemd_version < 247:
            continue
        badness = bad.get(case.word(name), 0) if case.is_set(name) else scale
        yield Cost(f"{name}=", name, weight, _paid(weight, badness, scale))
    keeps_keys_apart = case.word("KeyringMode") == "private"
    yield Cost("KeyringMode=", "KeyringMode", 1000, 0 if keeps_keys_apart else 1000)


def _mounts(case: _Case) -> Iterator[Cost]:
    unit = case.unit
    has_image = _is_elsewhere(unit.values("RootImage"))
    is_private = has_image or case.is_set("PrivateMounts") or any(map(case.is_set, _IMPLYING_MOUNTS))
    yield Cost("PrivateMounts=", "PrivateMounts", 1000, 0 if is_private else 1000)
    if unit.default_dependencies:
        has_root = has_image or _is_elsewhere(unit.values("RootDirectory"))
        yield Cost("RootDirectory=/RootImage=", "RootDirectory", 200, 0 if has_root else 200)


def _is_elsewhere(values: tuple[str, ...]) -> bool:
    return bool(values) and values[-1].strip() not in {"", "/"}


def _identity(case: _Case) -> Iterator[Cost]:
    unit = case.unit
    badness = 10 if unit.runs_as_root else 9 if unit.user == "nobody" else 0
    yield Cost("User=/DynamicUser=", "User", 2000, _paid(2000, badness, 10))
    if not unit.runs_as_root:
        yield Cost("SupplementaryGroups=", "SupplementaryGroups", 200, 200 if unit.values("SupplementaryGroups") else 0)
        yield Cost("RemoveIPC=", "RemoveIPC", 100, 0 if case.is_set("RemoveIPC") else 100)
    yield Cost("NotifyAccess=", "NotifyAccess", 1000, 1000 if unit.notify_access == "all" else 0)
    delegated = unit.values("Delegate")
    delegates = bool(delegated) and parse_boolean(delegated[-1].strip()) is not False
    yield Cost("Delegate=", "Delegate", 100, 100 if delegates else 0)
    mask = case.settings["UMask"]
    assert isinstance(mask, UMask)
    yield Cost("UMask=", "UMask", 100, _paid(100, _openness(mask.mask), 10))


def _openness(mask: int) -> int:
    for bit, badness in ((0o002, 10), (0o004, 5), (0o020, 2), (0o040, 1)):
        if not mask & bit:
            return badness
    return 0


def _capabilities(case: _Case) -> Iterator[Cost]:
    kept = ALL_CAPABILITIES - build_sandbox(case.settings, case.host, case.unit).capabilities.dropped.keys()
    for weight, group in CAPABILITY_GROUPS:
        if group == {"CAP_BPF"} and case.host.systemd_version < 255:
            continue
        yield Cost(_capability_item(group), "CapabilityBoundingSet", weight, weight if group & kept else 0, group)
    ambient = case.settings["AmbientCapabilities"]
    assert isinstance(ambient, AmbientCapabilities)
    yield Cost("AmbientCapabilities=", "AmbientCapabilities", 500, 500 if ambient.given else 0, ambient.given)


def _capability_item(group: frozenset[str]) -> str:
    names = [name.removeprefix("CAP_") for name in sorted(group)]
    return f"CapabilityBoundingSet=~CAP_{names[0] if len(names) == 1 else '(' + '|'.join(names) + ')'}"


def _calls(case: _Case) -> Iterator[Cost]:
    chosen, architectures = case.settings["SystemCallFilter"], case.settings["SystemCallArchitectures"]
    assert isinstance(chosen, SystemCallFilter)
    assert isinstance(architectures, SystemCallArchitectures)
    # "native" is good whatever stands beside it; the model always keeps it in the list.
    yield Cost("SystemCallArchitectures=", "SystemCallArchitectures", 1000, 0 if architectures.words else 1000)
    calls = chosen.calls
    # Of an allow-list systemd does not tell what has an answer of its own: it is denied (property_get_syscall_filter).
    listed = {name for name, answer in calls.entries if not (calls.allow_list and answer)} if calls else set()
    for group, weight in CALL_GROUPS.items():
        members = case.host.syscall_sets.get(group, frozenset())
        if calls is None:
            badness = 10
        elif calls.allow_list:
            badness = 9 if members & listed else 0
        else:
            badness = 10 if members - listed else 0
        yield Cost(f"SystemCallFilter=~{group}", "SystemCallFilter", weight, _paid(weight, badness, 10), members)


def _families(case: _Case) -> Iterator[Cost]:
    families = case.settings["RestrictAddressFamilies"]
    assert isinstance(families, RestrictAddressFamilies)
    listed, allows = families.families, families.allow_list

    def item(name: str, weight: int, members: frozenset[str]) -> Cost:
        is_listed = bool(listed & members)
        return Cost(
            f"RestrictAddressFamilies=~{name}",
            "RestrictAddressFamilies",
            weight,
            weight if is_listed == allows else 0,
            members,
        )

    yield item("AF_(INET|INET6)", INTERNET_WEIGHT, INTERNET)
    for family, weight in FAMILIES.items():
        yield item(family, weight, frozenset({family}))
    yield item("…", OTHER_FAMILIES_WEIGHT, listed - INTERNET - FAMILIES.keys())


def _namespaces(case: _Case) -> Iterator[Cost]:
    kinds = case.settings["RestrictNamespaces"]
    assert isinstance(kinds, RestrictNamespaces)
    for kind, weight in NAMESPACES.items():
        is_kept = kinds.kept is None or kind in kinds.kept
        yield Cost(
            f"RestrictNamespaces=~{kind}", "RestrictNamespaces", weight, weight if is_kept else 0, frozenset({kind})
        )


def _control(case: _Case) -> Iterator[Cost]:
    listed = case.settings["DeviceAllow"]
    assert isinstance(listed, DeviceAllow)
    is_closed = case.is_set("DevicePolicy") or case.is_set("PrivateDevices")
    has_entries = bool(listed.entries) or case.is_set("ProtectClock")  # which adds char-rtc
    badness = 10 if not is_closed else 5 if has_entries else 0
    yield Cost("DeviceAllow=", "DeviceAllow", 1000, _paid(1000, badness, 10))
    denied, allowed = case.settings["IPAddressDeny"], case.settings["IPAddressAllow"]
    assert isinstance(denied, IPAddressDeny)
    assert isinstance(allowed, IPAddressAllow)
    denies_all = {network.version for network in denied.networks if network.prefixlen == 0} == {4, 6}
    has_others = any(not is_loopback(str(network.network_address)) for network in allowed.networks)
    badness = 10 if not denies_all else 5 if has_others else 2 if allowed.networks else 0
    yield Cost("IPAddressDeny=", "IPAddressDeny", 1000, _paid(1000, badness, 10))


_ITEMS: tuple[Callable[[_Case], Iterator[Cost]], ...] = (
    _identity,
    _mounts,
    _words,
    _capabilities,
    _calls,
    _families,
    _namespaces,
    _control,
)
