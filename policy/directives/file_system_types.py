"""RestrictFileSystems= of systemd.exec(5), "Sandboxing"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.behaviour import Access, Fact, FileKind, PathUse
from policy.directives.base import Directive, Evidence
from policy.host_facts import CONTROL_GROUP_PROGRAMS, HostFacts
from policy.level import Level
from policy.sandbox.file_system_types import TYPE_AT, type_at
from policy.sandbox.sandbox import Sandbox


def _names(line: str) -> frozenset[str]:
    return frozenset(line.split())


GROUPS: Mapping[str, frozenset[str]] = {
    "@basic-api": _names("cgroup cgroup2 devpts devtmpfs mqueue proc sysfs"),
    "@auxiliary-api": _names("binfmt_misc configfs efivarfs fusectl hugetlbfs rpc_pipefs securityfs"),
    "@common-block": _names("btrfs erofs exfat ext4 f2fs iso9660 ntfs3 squashfs udf vfat xfs"),
    "@historical-block": _names("ext2 ext3 minix"),
    "@network": _names("afs ceph cifs gfs gfs2 ncp ncpfs nfs nfs4 ocfs2 orangefs pvfs2 smb3 smbfs"),
    "@privileged-api": _names("bpf debugfs pstore tracefs"),
    "@security": _names("apparmorfs selinuxfs smackfs"),
    "@temporary": _names("ramfs tmpfs"),
    "@application": _names("aufs fuse overlay"),
}
"""The groups of ``systemd-analyze filesystems`` (``filesystem_sets`` in systemd's ``filesystems.c``)."""

LOADED_BEFORE_FILTER_SINCE = 255
"""Up to 254 it is set up behind SystemCallFilter=, which then has to let bpf(2) through."""

OFFERED = ("@privileged-api", "@security")
"""Groups that are proposed if nothing of them was used: each is at a place of its own, so that a path tells."""


@dataclass(frozen=True)
class RestrictFileSystems(Directive):
    """Refuses to open files on file systems of some types.

    Facts: opened paths at the places where file systems of the kernel are always mounted. What type a path elsewhere
    is on is not known from a recording: a list that allows is judged for the known places only, and only lists that
    deny groups at such places are proposed. It takes the BPF module among the kernel's security modules.
    """

    since: ClassVar = {"": 250}
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    levels: ClassVar = "not at compatible"
    summary: ClassVar = "no files on file systems of these types"
    needs: ClassVar = ("BPF_FRAMEWORK",)
    loads: ClassVar = ("libbpf",)
    mechanism: ClassVar = CONTROL_GROUP_PROGRAMS
    about: ClassVar = (PathUse,)
    denied_examples: ClassVar = {
        "~@privileged-api": Fact(PathUse("/sys/kernel/debug/gpio", Access.READ, FileKind.REGULAR)),
        "@basic-api": Fact(PathUse("/sys/kernel/tracing/trace", Access.READ, FileKind.REGULAR)),
    }

    allow_list: bool = False
    words: frozenset[str] = frozenset()

    @classmethod
    def unenforced(cls, host: HostFacts) -> str:
        """Add kernels without the BPF security module."""
        lacks = host.security_modules is not None and "bpf" not in host.security_modules
        return super().unenforced(host) or ("bpf is not among the security modules of the kernel" if lacks else "")

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Merge as ``config_parse_restrict_filesystems``: the first line decides between the two kinds."""
        allow_list = False
        words: frozenset[str] | None = None
        for assignment in (text.strip() for text in assignments if host.systemd_version >= 250):
            if not assignment:
                allow_list, words = False, None
                continue
            inverted = assignment.startswith("~")
            named = _types(frozenset(assignment.removeprefix("~").split()))
            if words is None:
                allow_list, words = not inverted, frozenset()
            words = words | named if inverted != allow_list else words - named
        return cls(allow_list, words or frozenset())

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose the groups of the kernel's rarer interfaces that nothing was opened on."""
        host = evidence.host
        known = "+BPF_FRAMEWORK" in host.features and host.security_modules is not None
        own = evidence.unit.values("RestrictFileSystems")
        if not known or own or not evidence.start_up_observed or evidence.uses_rings:
            return []
        if evidence.level is Level.COMPATIBLE or host.systemd_version < LOADED_BEFORE_FILTER_SINCE:
            return []
        used = {type_at(fact.behaviour.path) for fact in evidence.of(PathUse) if isinstance(fact.behaviour, PathUse)}
        denied = frozenset().union(*(GROUPS[group] for group in OFFERED if not GROUPS[group] & used))
        return [cls(False, denied)] if denied else []

    def contribute(self, sandbox: Sandbox) -> None:
        """Set up the program."""
        if self.allow_list or self.words:
            name = type(self).__name__
            refused = frozenset(kind for kind in TYPE_AT.values() if (kind in self.words) != self.allow_list)
            sandbox.file_system_types.refuse(refused, name, f"{name}={self.values()[-1]}")

    def values(self) -> tuple[str, ...]:
        """Return a reset and the types, whole groups by their names."""
        if not self.words:
            return ()
        rest, written = self.words, []
        for group, members in GROUPS.items():
            if members <= rest:
                written.append(group)
                rest -= members
        return ("", ("" if self.allow_list else "~") + " ".join((*written, *sorted(rest))))

    def intersected(self, own: Self) -> Self:
        """Leave a unit's own list alone."""
        return own if own.words or own.allow_list else self


def _types(words: frozenset[str]) -> frozenset[str]:
    return frozenset(kind for word in words for kind in (GROUPS.get(word, ()) if word.startswith("@") else (word,)))
