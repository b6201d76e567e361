"""PrivateDevices= of systemd.exec(5) and the device list of systemd.resource-control(5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.behaviour import (
    Access,
    DeviceNodeMade,
    Fact,
    FileKind,
    PathPair,
    PathUse,
    SocketAddress,
    SocketOpened,
)
from policy.directives.base import Directive, Evidence
from policy.directives.choice import Choice
from policy.host_facts import DEVICE_CONTROL, HostFacts
from policy.level import Level
from policy.path_encoding import (
    InexpressiblePath,
    MalformedWords,
    UnknownSpecifier,
    encode_path,
    expand_specifiers,
    simplify,
    split_words,
    system_specifiers,
)
from policy.sandbox.devices import DeviceControl, DeviceRule
from policy.sandbox.mount_entry import Mode, MountEntry
from policy.sandbox.read_only import HAPPENED
from policy.sandbox.sandbox import Sandbox

_RAW_IO_CALLS = frozenset(
    {
        "ioperm",
        "iopl",
        "pciconfig_iobase",
        "pciconfig_read",
        "pciconfig_write",
        "s390_pci_mmio_read",
        "s390_pci_mmio_write",
    }
)

_DISK = Fact(PathUse("/dev/sda", Access.READ, FileKind.BLOCK, device="8:0"))

_RIGHTS = {Access.READ: "r", Access.WRITE: "w", Access.READ_WRITE: "rw", Access.WRITE_PROBE: "w"}


@dataclass(frozen=True)
class PrivateDevices(Choice):
    """Gives the service a /dev with pseudo-devices only.

    Facts: uses of other names in /dev, making of device nodes, raw I/O calls, execution from /dev. A listing of /dev
    shows fewer names and counts as denied.
    """

    since: ClassVar = {"yes": 209}
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    summary: ClassVar = "leaves only pseudo-devices such as null and random in /dev"
    denied_examples: ClassVar = {"yes": _DISK}

    def enforce(self, sandbox: Sandbox) -> None:
        """Mount a fresh /dev, load the filter, drop the capabilities, close the device list."""
        name = type(self).__name__
        sandbox.mounts.separate(name, self.setting)
        sandbox.mounts.add(MountEntry("/dev", Mode.PRIVATE_DEVICES, name, self.setting))
        calls = sandbox.host.syscall_sets.get("@raw-io") or _RAW_IO_CALLS
        sandbox.filters.deny_calls(name, self.setting, calls)
        sandbox.capabilities.drop(name, self.setting, frozenset({"CAP_MKNOD", "CAP_SYS_RAWIO"}))
        sandbox.filters.add(name, self.setting, _refuses_device_nodes)
        if DEVICE_CONTROL not in sandbox.host.refused:
            sandbox.devices.imply_closed(name, self.setting)


def _refuses_device_nodes(fact: Fact) -> str:
    """EPERM for mknod of a device: no filter does this, but without CAP_MKNOD it is the same. 0:0 is a whiteout."""
    made = isinstance(fact.behaviour, DeviceNodeMade) and fact.behaviour.device != "0:0"
    return "EPERM" if made and fact.outcome in HAPPENED else ""


@dataclass(frozen=True)
class DevicePolicy(Choice):
    """Closes the device list: ``closed`` leaves the pseudo-devices and DeviceAllow=, ``strict`` only DeviceAllow=.

    Facts: opened and made device nodes. It is proposed only where PrivateDevices= cannot be had, which implies
    ``closed``.
    """

    since: ClassVar = {"closed": 208, "strict": 208}
    mechanism: ClassVar = DEVICE_CONTROL
    order: ClassVar = ("auto", "closed", "strict")
    manual: ClassVar = "systemd.resource-control(5), Options"
    levels: ClassVar = "strict proposes strict"
    summary: ClassVar = "refuses device nodes that are not listed"
    denied_examples: ClassVar = {"closed": _DISK, "strict": _DISK}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose closed, unless PrivateDevices=yes says the same; at the level strict nothing but the list first."""
        if not evidence.start_up_observed or not devices_denied(evidence):
            return []
        return [cls(word) for word in (("strict", "closed") if evidence.level is Level.STRICT else ("closed",))]

    def enforce(self, sandbox: Sandbox) -> None:
        """Set the policy."""
        sandbox.devices.restrict(self.value, type(self).__name__, self.setting)


def _may_be_device(fact: Fact) -> bool:
    use = fact.behaviour
    if isinstance(use, PathPair):
        return use.source.startswith("/dev") or use.target.startswith("/dev")
    if not isinstance(use, PathUse):
        return not isinstance(use, SocketAddress | SocketOpened)
    return use.path.startswith("/dev") or bool(use.through) or use.kind in {FileKind.CHARACTER, FileKind.BLOCK}


def devices_denied(evidence: Evidence) -> bool:
    """Whether PrivateDevices=yes would change any fact, so that a device list has to stand in for it."""
    if devices_denied not in evidence.memory:
        sandbox = Sandbox(evidence.host, evidence.unit)
        PrivateDevices("yes").contribute(sandbox)
        evidence.memory[devices_denied] = any(
            sandbox.judge(fact) is not None for fact in evidence.facts if _may_be_device(fact)
        )
    return bool(evidence.memory[devices_denied])


@dataclass(frozen=True)
class DeviceAllow(Directive):
    """Lists the device nodes that may be opened and made; with DevicePolicy=auto the first entry closes all others.

    Facts: opened and made device nodes with their numbers. A node that is plugged in later needs its group's name
    (``char-...``), which a recording cannot show. Groups whose numbers are given out at boot are matched by the names
    of their nodes.
    """

    since: ClassVar = {"": 208}
    mechanism: ClassVar = DEVICE_CONTROL
    manual: ClassVar = "systemd.resource-control(5), Options"
    exception_of: ClassVar = ("DevicePolicy",)
    about: ClassVar = (PathUse, DeviceNodeMade)
    summary: ClassVar = "lists the device nodes that may be used"
    denied_examples: ClassVar = {"/dev/null rw": _DISK}

    entries: tuple[tuple[str, str], ...] = ()
    """Node or group, with ``%`` as in the unit file, and rights; in order."""

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:  # noqa: ARG003  # the same in all versions
        """Merge as ``config_parse_device_allow``: an empty line resets, bad lines are ignored."""
        entries: list[tuple[str, str]] = []
        for assignment in assignments:
            if not assignment.strip():
                entries = []
            elif (entry := _parse_entry(assignment)) is not None:
                entries.append(entry)
        return cls(tuple(entries))

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose the nodes that were used beyond the closed set, where PrivateDevices= cannot be had."""
        if not evidence.start_up_observed:
            return []
        return [cls(used_nodes(evidence) if devices_denied(evidence) else ())]

    def contribute(self, sandbox: Sandbox) -> None:
        """Add the rules."""
        name = type(self).__name__
        for node, rights in self.entries:
            try:
                path = expand_specifiers(node, system_specifiers(sandbox.unit.name))
            except UnknownSpecifier:
                continue
            sandbox.devices.allow(name, f"{name}={node} {rights}", DeviceRule(path, rights))

    def values(self) -> tuple[str, ...]:
        """Return a reset and one line for each node."""
        lines = tuple(f"{_encode(node)} {rights}" for node, rights in self.entries)
        return ("", *lines) if lines else ()

    def intersected(self, own: Self) -> Self:
        """Keep what the unit's own list allows as well; a unit without a list allows everything."""
        if not own.entries:
            return self
        control = DeviceControl(rules=[DeviceRule(node, rights) for node, rights in own.entries])
        kept = [
            (node, "".join(right for right in rights if _allowed_by(control, node, right)))
            for node, rights in self.entries
        ]
        # An empty list would switch the list off where the policy is auto.
        return type(self)(tuple(entry for entry in kept if entry[1]) or own.entries)

    def at_least_as_strict_as(self, other: Self) -> bool:
        """Whether no node gets more rights; no list at all allows everything where DevicePolicy= is auto."""
        if not self.entries or not other.entries:
            return self == other or not other.entries
        rights = dict(other.entries)
        return all(set(wanted) <= set(rights.get(node, "")) for node, wanted in self.entries)

    def strictness(self) -> int:
        """Return 1 for any list: lists have no order."""
        return 1 if self.entries else 0

    def elements(self) -> tuple[str, ...]:
        """Return the nodes."""
        return tuple(node for node, _ in self.entries)

    def without(self, element: str) -> Self:
        """Leave one node out."""
        return type(self)(tuple(entry for entry in self.entries if entry[0] != element))


def _allowed_by(control: DeviceControl, node: str, right: str) -> bool:
    if any(rule.node == node and right in rule.rights for rule in control.rules):
        return True
    return any(control.allows(kind, node, "", right) for kind in (FileKind.CHARACTER, FileKind.BLOCK))


def _parse_entry(assignment: str) -> tuple[str, str] | None:
    try:
        words = split_words(assignment)
    except MalformedWords:
        return None
    if len(words) > 2:
        return None
    node, rights = words[0], words[1] if len(words) == 2 else "rwm"
    is_group = node.startswith(("char-", "block-"))
    if not is_group and not node.startswith(("/dev/", "/run/systemd/inaccessible/")):
        return None
    if set(rights) - set("rwm"):
        return None
    return (node if is_group else simplify(node)), "".join(right for right in "rwm" if right in rights)


def _encode(node: str) -> str:
    """Return a node as it is written, where ``%`` is doubled already."""
    if not node.startswith("/"):
        return node
    return encode_path(node, "DeviceAllow").replace("%%", "%")


NULL = "/dev/null"
"""systemd's own child opens it for standard input (``setup_input`` in ``exec-invoke.c``)."""


def used_nodes(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """Return the device nodes that were opened or made beyond the closed set, with the rights that were used.

    At the level strict those of the closed set as well: DevicePolicy=strict does not give them.
    """
    closed = DeviceControl("closed")
    closed.restrict("closed", "DevicePolicy", "DevicePolicy=closed")
    rights: dict[str, set[str]] = {NULL: set("rw")} if evidence.level is Level.STRICT else {}
    for kind, path, device, wanted in _device_uses(evidence):
        is_given = evidence.level is not Level.STRICT and closed.allows(kind, path, device, wanted)
        if is_given or not _expressible(path):
            continue
        rights.setdefault(path, set()).update(wanted)
    return tuple(
        (path.replace("%", "%%"), "".join(right for right in "rwm" if right in rights[path])) for path in sorted(rights)
    )


def _device_uses(evidence: Evidence) -> Iterable[tuple[FileKind, str, str, str]]:
    for fact in (*evidence.confined(PathUse), *evidence.confined(DeviceNodeMade)):
        if fact.outcome not in HAPPENED:
            continue
        match fact.behaviour:
            case PathUse(kind=FileKind.CHARACTER | FileKind.BLOCK, access=access) as use if access in _RIGHTS:
                yield use.kind, use.path, use.device, _RIGHTS[access]
            case DeviceNodeMade() as made:
                kind = "char" if made.kind is FileKind.CHARACTER else "block"
                yield made.kind, f"/dev/{kind}/{made.device}", made.device, "m"


def _expressible(path: str) -> bool:
    try:
        encode_path(path, "DeviceAllow")
    except InexpressiblePath:
        return False
    return path.startswith("/dev/")
