"""Device control: which device nodes a service may open or make (systemd.resource-control(5), DevicePolicy=).

A BPF program at the cgroup answers open(2), access(2) and mknod(2) of device nodes by type, major and minor number
(``src/core/bpf-devices.c``); stat and chmod never ask it. Permissions of the node are checked before it
(``inode_permission`` in the kernel's ``fs/namei.c``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from policy.behaviour import Access, DeviceNodeMade, Fact, FileKind, PathUse
from policy.sandbox.denial import Denial
from policy.sandbox.device_groups import group_has
from policy.sandbox.read_only import BEFORE_LOOKUP

_ASKED_BEFORE = BEFORE_LOOKUP | {"ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EROFS", "EEXIST"}
# Errnos of checks that come before device control.

_RIGHTS = {
    Access.READ: "r",
    Access.WRITE: "w",
    Access.READ_WRITE: "rw",
    Access.WRITE_PROBE: "w",
}

CLOSED_NODES = {
    "/dev/null": "1:3",
    "/dev/zero": "1:5",
    "/dev/full": "1:7",
    "/dev/random": "1:8",
    "/dev/urandom": "1:9",
    "/dev/tty": "5:0",
    "/dev/ptmx": "5:2",
}
"""What DevicePolicy=closed allows besides the list (``bpf_devices_allow_list_static``), with Linux's fixed numbers."""


@dataclass(frozen=True)
class DeviceRule:
    """One allowed node or group: ``/dev/x``, ``char-name``, ``block-name``; rights are letters of ``rwm``.

    A ``/dev/block/M:m`` or ``/dev/char/M:m`` path stands for the numbers.
    """

    node: str
    rights: str

    def allows(self, kind: FileKind, path: str, device: str, rights: str) -> bool:
        """Whether this rule allows these rights on a node."""
        return set(rights) <= set(self.rights) and self.covers(kind, path, device)

    def covers(self, kind: FileKind, path: str, device: str) -> bool:
        """Whether the rule is about this node."""
        type_, _, name = self.node.partition("-")
        if type_ in {"char", "block"}:
            wanted = FileKind.CHARACTER if type_ == "char" else FileKind.BLOCK
            return kind is wanted and _group_matches(name, kind, path, device)
        for prefix, prefix_kind in (("/dev/char/", FileKind.CHARACTER), ("/dev/block/", FileKind.BLOCK)):
            if self.node.startswith(prefix):
                return kind is prefix_kind and device == self.node.removeprefix(prefix)
        return path == self.node or (bool(device) and device == CLOSED_NODES.get(self.node))


def _group_matches(name: str, kind: FileKind, path: str, device: str) -> bool:
    if name == "*":
        return True
    answer = group_has(name, kind, device)
    # Drivers whose major number is given out at boot (rtc, hidraw) name their nodes after the group.
    return fnmatchcase(path.rpartition("/")[2], f"{name.rstrip('*')}*") if answer is None else answer


@dataclass
class DeviceControl:
    """The policy (``auto``, ``closed``, ``strict``), who asked for it, and the rules."""

    policy: str = "auto"
    blame: tuple[str, str] = ("", "")
    implied_by: tuple[str, str] | None = None
    rules: list[DeviceRule] = field(default_factory=list)
    listed_by: tuple[str, str] = ("", "")
    _rules_if_restricted: list[DeviceRule] = field(default_factory=list)

    def restrict(self, policy: str, directive: str, setting: str) -> None:
        """Set DevicePolicy= itself."""
        self.policy, self.blame = policy, (directive, setting)

    def imply_closed(self, directive: str, setting: str) -> None:
        """Turn ``auto`` into ``closed`` for the sake of another directive (``unit_patch_contexts``)."""
        self.implied_by = self.implied_by or (directive, setting)

    def allow(self, directive: str, setting: str, rule: DeviceRule) -> None:
        """Add a rule. With the policy ``auto`` the first one closes everything else."""
        self.rules.append(rule)
        self.listed_by = (directive, setting)

    def allow_if_restricted(self, rule: DeviceRule) -> None:
        """Add a rule that does not switch device control on by itself."""
        self._rules_if_restricted.append(rule)

    @property
    def restricted_by(self) -> tuple[str, str] | None:
        """The directive and setting that switch device control on, or ``None``."""
        if self.policy != "auto":
            return self.blame
        return self.implied_by or (self.listed_by if self.rules else None)

    def allows(self, kind: FileKind, path: str, device: str, rights: str) -> bool:
        """Whether the node may be used with these rights."""
        if self.restricted_by is None:
            return True
        if device == "0:0":
            return True  # the nodes that cover inaccessible devices, and whiteouts
        rules = [*self.rules, *self._rules_if_restricted]
        if self.policy != "strict":
            rules += [DeviceRule(node, "rwm") for node in CLOSED_NODES]
            rules += [DeviceRule("/dev/pts/ptmx", "rw"), DeviceRule("char-pts", "rw")]
        return any(rule.allows(kind, path, device, rights) for rule in rules)

    def judge(self, fact: Fact) -> Denial | None:
        """Deny opening and making of device nodes that are not allowed (EPERM)."""
        blame = self.restricted_by
        if blame is None or fact.outcome in _ASKED_BEFORE:
            return None
        match fact.behaviour:
            case PathUse(kind=FileKind.CHARACTER | FileKind.BLOCK, access=access) as use if access in _RIGHTS:
                spellings = {use.path, use.through or use.path}
                allowed = any(self.allows(use.kind, path, use.device, _RIGHTS[access]) for path in spellings)
            case DeviceNodeMade() as made:
                allowed = self.allows(made.kind, made.path, made.device, "m")
            case _:
                return None
        return None if allowed or fact.outcome == "EPERM" else Denial(fact, *blame, "EPERM")
