"""The whole sandbox of a service: all mechanisms together, and the one question to them."""

from __future__ import annotations

from dataclasses import dataclass, field

from policy.behaviour import Fact
from policy.host_facts import HostFacts
from policy.sandbox.capabilities import CapabilityBounds
from policy.sandbox.denial import Denial
from policy.sandbox.devices import DeviceControl
from policy.sandbox.mount_table import MountTable
from policy.sandbox.namespaces import PrivateNamespaces
from policy.sandbox.network import NetworkControl
from policy.sandbox.privileges import Privileges
from policy.sandbox.seccomp import SystemCallFilters
from policy.unit_settings import UnitSettings


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

    def judge(self, fact: Fact) -> Denial | None:
        """Return why this fact would come out differently here, or ``None`` if it would not.

        The order is the kernel's: seccomp at entry, then name look-up in the mount table, then the checks of the
        operation itself. An Exec line with the ``+`` prefix runs without all of it, but in the private mount
        namespace all the same (systemd ``exec-invoke.c:apply_mount_namespace``).
        """
        if fact.exec_line.startswith("+"):
            return self.mounts.judge_privileged(fact)
        for mechanism in (
            self.filters,
            self.namespaces,
            self.mounts,
            self.devices,
            self.privileges,
            self.capabilities,
            self.network,
        ):
            denial = mechanism.judge(fact)
            if denial is not None:
                return denial
        return None
