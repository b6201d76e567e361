"""Who a service is and can become: systemd.exec(5), "Security", "Sandboxing" and "User/Group Identity"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.behaviour import (
    Access,
    Fact,
    IpcUsed,
    KeyringUsed,
    PathUse,
    PersonalityChanged,
    PrivilegeGained,
    SpecialModeSet,
    SystemCall,
)
from policy.directives.base import Directive, Evidence
from policy.directives.choice import Choice
from policy.host_facts import HostFacts
from policy.level import Level
from policy.sandbox.sandbox import Sandbox


class NoNewPrivileges(Choice):
    """Stops execve from giving privileges: set-uid, set-gid and file capabilities have no effect.

    Facts are programs after whose execve the ids or capabilities had really changed. systemd implies it for services
    with User= that have any system call filter (up to 254).
    """

    since: ClassVar = {"yes": 187}
    manual: ClassVar = "systemd.exec(5), Security"
    summary: ClassVar = "no privileges from set-uid programs"
    denied_examples: ClassVar = {"yes": Fact(PrivilegeGained("/usr/bin/sudo", "set-uid"))}

    def enforce(self, sandbox: Sandbox) -> None:
        """Set no_new_privs."""
        sandbox.privileges.no_new_privileges = (type(self).__name__, self.setting)


class RestrictSUIDSGID(Choice):
    """Refuses to set the set-uid and set-gid bits, and openat2(2) altogether.

    Facts are modes in chmod, mkdir, mknod, open and their kin, and openat2, whose mode a filter cannot read: it fails
    with ENOSYS from 246, and no fact shows whether a program has something to fall back to. fchmodat2(2), which
    fails in the same way where libseccomp does not know it, is not judged: libc falls back to fchmodat.
    """

    since: ClassVar = {"yes": 242}
    needs: ClassVar = ("SECCOMP",)
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    summary: ClassVar = "no new set-uid or set-gid files"
    denied_examples: ClassVar = {"yes": Fact(SpecialModeSet("chmod", 0o4755))}

    def enforce(self, sandbox: Sandbox) -> None:
        """Load the filter on the mode."""
        refuses_openat2 = sandbox.host.systemd_version >= 246

        def rule(fact: Fact) -> str:
            match fact.behaviour:
                case SpecialModeSet(mode=mode) if mode & 0o6000:
                    return "EPERM"
                case SystemCall(name="openat2") if refuses_openat2:
                    return "ENOSYS"
            return ""

        sandbox.filters.add(type(self).__name__, self.setting, rule)


class LockPersonality(Choice):
    """Refuses to change the execution domain, and to ask for it with 0xffffffff.

    Facts are personality(2) with its argument. The argument of a unit with Personality= is not known to the model.
    """

    since: ClassVar = {"yes": 235}
    needs: ClassVar = ("SECCOMP",)
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    summary: ClassVar = "no other execution domain"
    denied_examples: ClassVar = {"yes": Fact(PersonalityChanged(0x0040000))}

    def enforce(self, sandbox: Sandbox) -> None:
        """Load the filter on the argument."""
        sandbox.filters.add(type(self).__name__, self.setting, _personality_filter)


def _personality_filter(fact: Fact) -> str:
    return "EPERM" if isinstance(fact.behaviour, PersonalityChanged) and fact.behaviour.value != 0 else ""


class KeyringMode(Choice):
    """Gives the service a session keyring of its own. That is the default for system services.

    Facts are uses of keyrings, but not whose keyring it was: nothing is proposed to services that use any, and nothing
    is judged.
    """

    since: ClassVar = {"inherit": 235, "shared": 235, "private": 235}
    order: ClassVar = ("inherit", "shared", "private")
    ordered: ClassVar = False
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    summary: ClassVar = "a keyring of its own"
    denied_examples: ClassVar = {}
    boost_only: ClassVar = True

    @classmethod
    def default(cls) -> str:
        """Return the default of the system manager."""
        return "private"

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose the default to services that use no keyring, in case the unit says otherwise."""
        return () if evidence.of(KeyringUsed) or not evidence.start_up_observed else [cls("private")]

    def values(self) -> tuple[str, ...]:
        """Return the word, the default as well: it is only written where the unit says something else."""
        return (self.value,)

    def enforce(self, sandbox: Sandbox) -> None:
        """Nothing that can be judged."""


class RemoveIPC(Choice):
    """Removes the SysV and POSIX IPC objects of the service's user when it stops; without User= it has no effect.

    Facts are the objects that were used. Objects of other services under the same user go as well, which no recording
    shows, so it is proposed only to services with a user of their own (DynamicUser=, which implies it) or none in use.
    """

    since: ClassVar = {"yes": 232}
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    levels: ClassVar = "not at compatible, because others could notice"
    summary: ClassVar = "leaves no IPC objects behind"
    denied_examples: ClassVar = {"yes": Fact(IpcUsed("shm", "0x1234", shared=True))}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose it to services with User= that use no IPC objects, unless others are not to notice anything."""
        if evidence.unit.runs_as_root or evidence.of(IpcUsed) or evidence.level is Level.COMPATIBLE:
            return ()
        return super().candidates(evidence)

    def enforce(self, sandbox: Sandbox) -> None:
        """Take away what was there before the service started."""
        sandbox.namespaces.removed_ipc = (type(self).__name__, self.setting)


PRIVATE_MASK = 0o077


def makes_files(evidence: Evidence) -> bool:
    """Whether the service, or systemd for its output, makes anything that has permissions."""
    made = any(
        isinstance(fact.behaviour, PathUse) and fact.behaviour.access in {Access.CREATE, Access.BIND}
        for fact in evidence.of(PathUse)
    )
    written = any(
        value.startswith(("file:", "append:", "truncate:"))
        for name in ("StandardOutput", "StandardError")
        for value in evidence.unit.values(name)
    )
    return made or written or bool(evidence.of(IpcUsed))


@dataclass(frozen=True)
class UMask(Directive):
    """The permission bits that new files do not get.

    Who else must read the logs and sockets of a service does not show in its own recording, so it is proposed only to
    services that make no files at all.
    """

    since: ClassVar = {"": 1}
    manual: ClassVar = "systemd.exec(5), Process Properties"
    levels: ClassVar = "not at compatible, because others could notice"
    summary: ClassVar = "new files that others cannot read"
    denied_examples: ClassVar = {}
    boost_only: ClassVar = True

    mask: int = 0o022

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:  # noqa: ARG003  # the same in all versions
        """Take the last value that is an octal number of at most 7777."""
        mask = cls.mask
        for assignment in (text.strip() for text in assignments):
            if assignment and set(assignment) <= set("01234567") and int(assignment, 8) <= 0o7777:
                mask = int(assignment, 8)
        return cls(mask)

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose to leave the rights to the service's own user, if it makes nothing that has any."""
        unseen = not evidence.start_up_observed or evidence.uses_rings or evidence.level is Level.COMPATIBLE
        return () if unseen or makes_files(evidence) else [cls(PRIVATE_MASK)]

    def contribute(self, sandbox: Sandbox) -> None:
        """Nothing that can be judged."""

    def intersected(self, own: Self) -> Self:
        """Take away what either takes away."""
        return type(self)(self.mask | own.mask)

    def values(self) -> tuple[str, ...]:
        """Return the mask, or nothing for the default."""
        return () if self.mask == type(self).mask else (f"{self.mask:04o}",)
