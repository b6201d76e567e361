"""PrivateTmp= of systemd.exec(5), "Sandboxing"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.behaviour import WRITING, Access, Fact, FileKind, PathUse
from policy.directives.base import Evidence
from policy.directives.choice import Choice
from policy.level import Level
from policy.sandbox.mount_entry import Mode, MountEntry, is_below
from policy.sandbox.sandbox import Sandbox

TEMPORARY_DIRECTORIES = ("/tmp", "/var/tmp")

_FOREIGN = Fact(PathUse("/tmp/.X11-unix/X0", Access.CONNECT, FileKind.SOCKET))


def _is_made_here(fact: Fact) -> bool:
    use = fact.behaviour
    return (
        isinstance(use, PathUse)
        and use.access in WRITING
        and any(is_below(use.path, top) for top in TEMPORARY_DIRECTORIES)
    )


@dataclass(frozen=True)
class PrivateTmp(Choice):
    """Gives the service a /tmp and /var/tmp of its own.

    Facts: uses of names in these directories that the service did not make itself in the same recording. Not judged:
    whether other processes look for what the service leaves there, content that is meant to outlive the service, and
    listings of the directories. ``disconnected`` (a tmpfs) is proposed to services that make nothing there: no fact
    shows how large files may become that would be in memory then.
    """

    since: ClassVar = {"yes": 1, "disconnected": 257}
    order: ClassVar = ("no", "yes", "disconnected")
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    levels: ClassVar = "compatible leaves it to services that make nothing in /tmp, and does without disconnected"
    summary: ClassVar = "hides the files of others in /tmp and /var/tmp"
    denied_examples: ClassVar = {"yes": _FOREIGN, "disconnected": _FOREIGN}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose disconnected to services that make nothing in the directories, then yes; nothing if file operations
        inside of an io_uring may have gone unseen, or if others may look for what the service makes (compatible)."""
        if not evidence.start_up_observed or evidence.uses_rings:
            return []
        makes_something = any(map(_is_made_here, evidence.confined(PathUse)))
        if evidence.level is Level.COMPATIBLE:
            return [] if makes_something else [cls("yes")]
        words = ("yes",) if makes_something else ("disconnected", "yes")
        return [cls(word) for word in words if word in cls.known_words(evidence.host)]

    def contribute(self, sandbox: Sandbox) -> None:
        """Mount fresh directories; DynamicUser= does so by itself (``unit_patch_contexts``)."""
        if self.value != self.default():
            self.enforce(sandbox)
        elif sandbox.unit.dynamic_user:
            self._mount(sandbox, "DynamicUser=yes")

    def enforce(self, sandbox: Sandbox) -> None:
        """Mount fresh directories over both."""
        self._mount(sandbox, self.setting)

    def _mount(self, sandbox: Sandbox, setting: str) -> None:
        name = type(self).__name__
        sandbox.mounts.separate(name, setting)
        sandbox.mounts.add(*(MountEntry(path, Mode.PRIVATE_TMP, name, setting) for path in TEMPORARY_DIRECTORIES))
