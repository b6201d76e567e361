"""The whole sandbox of a service: all mechanisms together, and the one question to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from policy.behaviour import (
    BEHAVIOURS,
    Behaviour,
    CapabilityUsed,
    DeviceNodeMade,
    Fact,
    MemoryMapped,
    PathUse,
    PrivilegeGained,
    SignalSent,
    SocketAddress,
    SystemCall,
)
from policy.host_facts import HostFacts
from policy.sandbox.capabilities import CapabilityBounds
from policy.sandbox.denial import Denial
from policy.sandbox.devices import DeviceControl
from policy.sandbox.file_system_types import FileSystemTypes
from policy.sandbox.mount_table import MountTable
from policy.sandbox.namespaces import PrivateNamespaces
from policy.sandbox.network import NetworkControl
from policy.sandbox.privileges import Privileges
from policy.sandbox.seccomp import POINTERS, SystemCallFilters
from policy.unit_settings import UnitSettings

_SUBJECTS: Mapping[str, tuple[type[Behaviour], ...]] = {
    "filters": tuple(kind for kind in BEHAVIOURS if kind not in POINTERS),
    "namespaces": BEHAVIOURS,
    "mounts": BEHAVIOURS,
    "devices": (PathUse, DeviceNodeMade),
    "privileges": (PrivilegeGained, MemoryMapped),
    "capabilities": (CapabilityUsed, PrivilegeGained, SignalSent),
    "network": (SocketAddress,),
    "file_system_types": (PathUse,),
}
# The mechanisms in the kernel's order, and the behaviours that each has anything to say about.

_ASKED = {kind: tuple(name for name, subjects in _SUBJECTS.items() if kind in subjects) for kind in BEHAVIOURS}

FILTERS_KEEP_PRIVILEGES = 255
"""The first version that filters the calls of a service with User= without no_new_privs: before it, what set-uid
programs gain and a filter exclude each other (``context_has_no_new_privileges`` in ``execute.c``)."""

_NO_START = "the unit does not start (228/SECCOMP): the answer is the one of the whole list anyway"


@dataclass
class Sandbox:
    """What systemd sets up for a unit's settings; directives contribute to it before it is asked."""

    host: HostFacts
    unit: UnitSettings
    filters: SystemCallFilters = field(default_factory=SystemCallFilters)
    privileges: Privileges = field(default_factory=Privileges)
    namespaces: PrivateNamespaces = field(default_factory=PrivateNamespaces)
    mounts: MountTable = field(default_factory=MountTable)
    devices: DeviceControl = field(default_factory=DeviceControl)
    capabilities: CapabilityBounds = field(default_factory=CapabilityBounds)
    network: NetworkControl = field(default_factory=NetworkControl)
    file_system_types: FileSystemTypes = field(default_factory=FileSystemTypes)

    def __post_init__(self) -> None:
        self.privileges.implied_by = self._filter_that_implies_no_new_privileges
        self.mounts.capabilities = self.capabilities

    def judge(self, fact: Fact) -> Denial | None:
        """Return why this fact would come out differently here, or ``None`` if it would not.

        The order is the kernel's: seccomp at entry, then name look-up in the mount table, then the checks of the
        operation itself. An Exec line with the ``+`` prefix runs without all of it, but in the private mount
        namespace all the same (systemd ``exec-invoke.c:apply_mount_namespace``).
        """
        if fact.exec_line.startswith("+"):
            return self.mounts.judge_privileged(fact)
        if self._failure is not None:
            return Denial(fact, *self._failure, "EACCES", _NO_START)
        for ask in self._asked[type(fact.behaviour)]:
            denial = ask(fact)
            if denial is not None:
                return denial
        return None

    @cached_property
    def _failure(self) -> tuple[str, str] | None:
        return self.filters.failure

    @cached_property
    def _asked(self) -> Mapping[type[Behaviour], tuple[Callable[[Fact], Denial | None], ...]]:
        return {kind: tuple(getattr(self, name).judge for name in names) for kind, names in _ASKED.items()}

    def _filter_that_implies_no_new_privileges(self) -> tuple[str, str] | None:
        """Return the filter for whose sake systemd sets no_new_privs on a service with User=, if there is one.

        Up to 254 any filter does (``context_has_no_new_privileges`` in ``execute.c``); from 255 systemd keeps
        CAP_SYS_ADMIN while it loads the filters, unless they refuse the calls to drop it afterwards
        (``seccomp_allows_drop_privileges`` in ``exec-invoke.c``).
        """
        if self.unit.runs_as_root or "CAP_SYS_ADMIN" in self.capabilities.ambient:
            return None
        if self.host.systemd_version < FILTERS_KEEP_PRIVILEGES:
            loaded = self.filters.filters
            return (loaded[0].directive, loaded[0].setting) if loaded else None
        for name in ("capget", "capset", "prctl"):
            denial = self.filters.judge(Fact(SystemCall(name, self.host.architecture)))
            if denial is not None:
                return denial.directive, denial.setting
        return None
