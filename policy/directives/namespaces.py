"""Namespaces that a service may make, and those that it gets: systemd.exec(5), "Sandboxing"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.behaviour import (
    OK,
    CapabilityUsed,
    Fact,
    IpcUsed,
    KeyringUsed,
    Mounted,
    NamespaceUsed,
    PrivilegeGained,
    SignalSent,
    SystemCall,
)
from policy.directives.base import Directive, Evidence
from policy.directives.capabilities import used
from policy.directives.choice import Choice, parse_boolean
from policy.host_facts import HostFacts
from policy.level import Level
from policy.sandbox.namespaces import WITHIN_MAPPED_IDS
from policy.sandbox.sandbox import Sandbox

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
"""The words of RestrictNamespaces= (``namespace_flag_map`` in systemd's ``namespace-util.c``)."""

TIME_SINCE = 252
"""The oldest version in which ``time`` was seen to be understood; older ones are taken not to filter it."""

TIME_AMONG_ALL_SINCE = 258
"""Up to 252 at least, ``time`` is no part of "all": ``~user`` as first line refuses it as well, and a list of all the
others restricts nothing (seen in 252; NAMESPACE_FLAGS_ALL in ``namespace-util.h``)."""

CLONE3_SINCE = 251
"""The first version that answers ENOSYS to clone3(2), whose flags a filter cannot read."""


def known_kinds(host: HostFacts) -> frozenset[str]:
    """Return the kinds that the target's systemd can name, and so restrict."""
    return frozenset(kind for kind in KINDS if kind != "time" or host.systemd_version >= TIME_SINCE)


def all_kinds(host: HostFacts) -> frozenset[str]:
    """Return the kinds that make up "all", from which a first line with ``~`` subtracts."""
    return frozenset(kind for kind in KINDS if kind != "time" or host.systemd_version >= TIME_AMONG_ALL_SINCE)


@dataclass(frozen=True)
class RestrictNamespaces(Directive):
    """Refuses to make or enter namespaces of the kinds that are not listed.

    Facts are clone, clone3, unshare and setns with their flags. Any value makes clone3 fail with ENOSYS from 251. A
    clone3 without namespaces is not counted as denied for that: libc and every runtime fall back to clone(2), as
    kernels before 5.3 demand. One that asks for namespaces counts as denied.
    """

    since: ClassVar = {"": 233}
    needs: ClassVar = ("SECCOMP",)
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    about: ClassVar = (NamespaceUsed,)
    summary: ClassVar = "no new namespaces, or only of the listed kinds"
    denied_examples: ClassVar = {
        "yes": Fact(NamespaceUsed("unshare", ("user",))),
        "~user": Fact(NamespaceUsed("clone", ("user",))),
        "mnt": Fact(NamespaceUsed("unshare", ("net",))),
    }

    kept: frozenset[str] | None = None
    """The kinds that are left to the service; ``None``: no restriction."""

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Merge as ``config_parse_restrict_namespaces``: a boolean replaces, the first list replaces the default, later
        ones add or remove; a line with an unknown word is skipped."""
        everything = all_kinds(host)
        kept: frozenset[str] | None = None
        for assignment in (text.strip() for text in assignments):
            boolean = parse_boolean(assignment) if assignment else None
            words = frozenset(assignment.removeprefix("~").split())
            if not assignment:
                kept = None
            elif boolean is not None:
                kept = frozenset() if boolean else everything
            elif words <= known_kinds(host) and assignment.startswith("~"):
                kept = (everything if kept is None else kept) - words
            elif words <= known_kinds(host):
                kept = (kept or frozenset()) | words
        return cls(None if kept is None or kept >= everything else kept)

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose yes, then to keep the kinds that were used."""
        if not evidence.start_up_observed:
            return ()
        needed = frozenset(
            kind
            for fact in evidence.confined(NamespaceUsed)
            if isinstance(fact.behaviour, NamespaceUsed) and fact.outcome != "EPERM"
            for kind in fact.behaviour.kinds
        )
        return [cls(frozenset()), cls(needed & known_kinds(evidence.host))]

    def contribute(self, sandbox: Sandbox) -> None:
        """Load the filter on the flags."""
        kept = self.kept
        if kept is None:
            return
        host = sandbox.host
        refused = known_kinds(host) - kept

        def rule(fact: Fact) -> str:
            use = fact.behaviour
            if not isinstance(use, NamespaceUsed):
                return ""
            if use.call == "clone3":
                return "ENOSYS" if use.kinds and host.systemd_version >= CLONE3_SINCE else ""
            entered = use.call == "setns" and (not kept or not use.kinds)
            return "EPERM" if entered or refused & set(use.kinds) else ""

        name = type(self).__name__
        sandbox.filters.add(name, f"{name}={self.values()[-1]}", rule)

    def values(self) -> tuple[str, ...]:
        """Return ``yes``, or a reset and the kinds that are kept."""
        if self.kept is None:
            return ()
        return ("", " ".join(kind for kind in KINDS if kind in self.kept)) if self.kept else ("yes",)

    def intersected(self, own: Self) -> Self:
        """Keep only what both keep."""
        if own.kept is None or self.kept is None:
            return own if self.kept is None else self
        return type(self)(self.kept & own.kept)

    def strictness(self) -> int:
        """Return how many kinds are refused."""
        return 0 if self.kept is None else len(KINDS) - len(self.kept)

    def elements(self) -> tuple[str, ...]:
        """Return the kinds that are kept, if any are refused."""
        return tuple(kind for kind in KINDS if kind in (self.kept or frozenset()))

    @classmethod
    def possible_elements(cls, host: HostFacts) -> tuple[str, ...]:
        """Return all kinds of namespaces."""
        return tuple(sorted(all_kinds(host)))

    def without(self, element: str) -> Self:
        """Keep one less."""
        return type(self)((self.kept or frozenset()) - {element})


def _is_private(fact: Fact) -> bool:
    # Made with IPC_PRIVATE: it has no key.
    used = fact.behaviour
    return isinstance(used, IpcUsed) and not used.shared and used.name == "private"


class PrivateIPC(Choice):
    """Gives the service SysV IPC objects and POSIX message queues of its own.

    Facts are the objects that were used. Whether other services look for an object that this one made is not known,
    so it is proposed only to services that used none that has a key: IPC_PRIVATE makes one that nobody can look for.
    """

    since: ClassVar = {"yes": 248}
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    summary: ClassVar = "SysV IPC and message queues of its own"
    denied_examples: ClassVar = {"yes": Fact(IpcUsed("shm", "0x1234", shared=True))}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose it to services that use no such objects but their own without a key (compatible: none at all)."""
        used = evidence.confined(IpcUsed)
        found = evidence.level is not Level.COMPATIBLE and all(_is_private(fact) for fact in used)
        return super().candidates(evidence) if found or not used else ()

    def enforce(self, sandbox: Sandbox) -> None:
        """Give it an IPC namespace, with a mount of its own for the message queues."""
        sandbox.namespaces.ipc = (type(self).__name__, self.setting)
        sandbox.mounts.separate(type(self).__name__, self.setting)


class PrivateUsers(Choice):
    """Puts the service into a user namespace, outside of which its capabilities count for nothing.

    Facts are all uses of capabilities, changes of user or group, and signals to other users. Owners of files that are
    not mapped look like ``nobody``; a program that compares owners for itself cannot be judged. ``managed`` takes user
    numbers that systemd-nsresourced gives out, under which the service owns none of its files: it is read, taken for as
    strict as ``yes``, and never proposed.
    """

    since: ClassVar = {"yes": 232, "identity": 257, "full": 258, "managed": 260}
    order: ClassVar = ("no", "full", "identity", "managed", "yes")
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    levels: ClassVar = "strict also tries full and identity"
    summary: ClassVar = "capabilities that end at its own user namespace"
    denied_examples: ClassVar = {
        value: Fact(CapabilityUsed("CAP_NET_BIND_SERVICE", "bind to port 80"))
        for value in ("yes", "managed", "identity", "full")
    }

    @classmethod
    def normal_form(cls, word: str) -> str:
        """Return ``yes`` for ``self`` as well."""
        return "yes" if word == "self" else super().normal_form(word)

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose yes to services that stay one user from beginning to end and use no capability.

        At the level strict, full and identity to those that change between users, if all that their capabilities do is
        about users that are mapped.
        """
        if not evidence.start_up_observed or evidence.uses_rings:
            return ()
        if _stays_itself(evidence):
            return [cls("yes")]
        mapped = evidence.level is Level.STRICT and _stays_among_mapped_users(evidence)
        words = ("identity", "full") if mapped else ()
        return [cls(word) for word in words if word in cls.known_words(evidence.host)]

    def enforce(self, sandbox: Sandbox) -> None:
        """Give it a user namespace."""
        sandbox.namespaces.users = (type(self).__name__, self.setting)
        sandbox.namespaces.all_users_mapped = self.value in {"identity", "full"}
        sandbox.namespaces.groups_can_change = self.value == "full"


IDENTITY_CALLS = frozenset(
    name + suffix
    for name in ("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid")
    for suffix in ("", "32")
) | {"setgroups", "setgroups32", "capset", "chroot", "pivot_root", "mount", "chown", "fchown", "lchown", "fchownat"}
"""System calls of services that change who they are: a user namespace is not for them, even if they failed."""


def _stays_itself(evidence: Evidence) -> bool:
    calls = {fact.behaviour.name for fact in evidence.confined(SystemCall) if isinstance(fact.behaviour, SystemCall)}
    others = (PrivilegeGained, KeyringUsed, Mounted)
    users = {fact.user for fact in evidence.facts if not fact.exec_line.startswith(("+", "!"))}
    signals = any(
        isinstance(fact.behaviour, SignalSent) and fact.behaviour.other_user for fact in evidence.confined(SignalSent)
    )
    return (
        not used(evidence)
        and not calls & IDENTITY_CALLS
        and not any(evidence.confined(kind) for kind in others)
        and not _uses_namespaces(evidence)
        and len(users) <= 1
        and not signals
        and not evidence.unit.values("AmbientCapabilities")
    )


def _uses_namespaces(evidence: Evidence) -> bool:
    # A plain clone3() makes none: that is how the C library starts threads.
    facts = [fact.behaviour for fact in evidence.confined(NamespaceUsed)]
    return any(isinstance(one, NamespaceUsed) and (one.kinds or one.call == "setns") for one in facts)


OUTSIDE_CALLS = frozenset({"capset", "chroot", "pivot_root", "mount", "umount2", "bpf", "quotactl", "setpriority"})
"""Calls whose checks of capabilities are against the first user namespace, or may be."""

MAPPED_USERS = 65536
"""``PrivateUsers=identity`` maps the users below this number (systemd.exec(5))."""


def _stays_among_mapped_users(evidence: Evidence) -> bool:
    calls = {fact.behaviour.name for fact in evidence.confined(SystemCall) if isinstance(fact.behaviour, SystemCall)}
    others = (PrivilegeGained, KeyringUsed, Mounted, SignalSent)
    return (
        used(evidence) <= WITHIN_MAPPED_IDS
        and not calls & OUTSIDE_CALLS
        and not any(evidence.confined(kind) for kind in others)
        and not _uses_namespaces(evidence)
        and all(fact.user < MAPPED_USERS for fact in evidence.facts)
        and not evidence.unit.values("AmbientCapabilities")
    )


class PrivatePIDs(Choice):
    """Makes the service the first process of a PID namespace of its own.

    Facts are signals to other processes and look-ups of them in /proc. What it means to be process 1 (signals that
    are ignored, children to be reaped) cannot be judged, so it is not proposed.
    """

    since: ClassVar = {"yes": 257}
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    summary: ClassVar = "sees no processes but its own"
    never_because: ClassVar = "what it means to be process 1 (signals, children to be reaped) cannot be judged"
    denied_examples: ClassVar = {"yes": Fact(SignalSent("other"), outcome=OK)}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:  # noqa: ARG003  # nothing is proposed
        """Propose nothing."""
        return ()

    def enforce(self, sandbox: Sandbox) -> None:
        """Give it a PID namespace and its own /proc."""
        name = type(self).__name__
        sandbox.namespaces.process_ids = (name, self.setting)
        sandbox.mounts.separate_with_own_trees(name, self.setting, sandbox.host.systemd_version)
