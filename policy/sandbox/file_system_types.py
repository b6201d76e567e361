"""Which types of file systems a service may open files on (systemd ``restrict-fs.bpf.c``, hook ``lsm/file_open``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from policy.behaviour import OK, UNKNOWN, Access, Fact, FileKind, PathUse
from policy.sandbox.denial import Denial
from policy.sandbox.mount_entry import is_below

TYPE_AT: Mapping[str, str] = {
    "/proc": "proc",
    "/sys": "sysfs",
    "/sys/fs/bpf": "bpf",
    "/sys/fs/cgroup": "cgroup2",
    "/sys/fs/pstore": "pstore",
    "/sys/fs/selinux": "selinuxfs",
    "/sys/fs/smackfs": "smackfs",
    "/sys/kernel/config": "configfs",
    "/sys/kernel/debug": "debugfs",
    "/sys/kernel/debug/tracing": "tracefs",
    "/sys/kernel/security": "securityfs",
    "/sys/kernel/security/apparmor": "apparmorfs",
    "/sys/kernel/tracing": "tracefs",
    "/sys/firmware/efi/efivars": "efivarfs",
    "/dev": "devtmpfs",
    "/dev/pts": "devpts",
    "/dev/mqueue": "mqueue",
    "/dev/hugepages": "hugetlbfs",
}
"""Where systemd mounts the kernel's own file systems (``mount_table`` in ``mount-setup.c``, units for the rest)."""

_OPENING = frozenset({Access.READ, Access.WRITE, Access.READ_WRITE, Access.CREATE, Access.EXECUTE, Access.MAP_EXECUTE})


def type_at(path: str) -> str:
    """Return the type of the file system that a path is on, an empty string where only the machine knows it."""
    places = [place for place in TYPE_AT if path == place or is_below(path, place)]
    return TYPE_AT[max(places, key=len)] if places else ""


@dataclass
class FileSystemTypes:
    """The types that are refused, and the setting that refuses them."""

    refused: dict[str, tuple[str, str]] = field(default_factory=dict)

    def refuse(self, types: frozenset[str], directive: str, setting: str) -> None:
        """Refuse files on these types."""
        for kind in types:
            self.refused.setdefault(kind, (directive, setting))

    def judge(self, fact: Fact) -> Denial | None:
        """Deny opening (EPERM). Device nodes, sockets and FIFOs are opened by the kernel after the same hook."""
        use = fact.behaviour
        if not self.refused or not isinstance(use, PathUse) or fact.outcome not in {OK, UNKNOWN}:
            return None
        if use.access not in _OPENING or (use.access is Access.CREATE and use.kind is not FileKind.REGULAR):
            return None
        blamed = self.refused.get(type_at(use.path))
        return Denial(fact, *blamed, "EPERM") if blamed else None
