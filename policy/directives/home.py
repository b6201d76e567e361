"""ProtectHome= of systemd.exec(5), "Sandboxing"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.behaviour import WRITING, Access, Fact, FileKind, PathUse
from policy.directives.base import Evidence
from policy.directives.choice import Choice
from policy.directives.writable_paths import HOMES, used_by_users
from policy.sandbox.mount_entry import Mode, MountEntry, is_below
from policy.sandbox.read_only import HAPPENED
from policy.sandbox.sandbox import Sandbox

READ_ONLY_TMPFS_SINCE = 257
"""Up to 256 the tmpfs was writable for everybody, because ``append_static_mounts`` did not copy its options."""

_MODES = {"read-only": Mode.READ_ONLY, "tmpfs": Mode.TEMPORARY, "yes": Mode.INACCESSIBLE}


def _writes_in_homes(fact: Fact) -> bool:
    use = fact.behaviour
    return (
        isinstance(use, PathUse)
        and use.access in WRITING
        and fact.outcome in HAPPENED
        and any(is_below(use.path, home) for home in HOMES)
    )


@dataclass(frozen=True)
class ProtectHome(Choice):
    """Hides or write-protects /home, /root and /run/user.

    Facts: every use of a path below them, failed look-ups included, because an inaccessible directory answers EACCES
    where a missing name answered ENOENT. ``tmpfs`` keeps ENOENT. Home directories elsewhere are not covered.
    ``tmpfs`` and ``read-only`` are not ordered: neither denies all that the other denies.
    """

    since: ClassVar = {"yes": 214, "read-only": 214, "tmpfs": 238}
    order: ClassVar = ("no", "read-only", "tmpfs", "yes")
    ordered: ClassVar = False
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    summary: ClassVar = "hides or write-protects /home, /root and /run/user"
    denied_examples: ClassVar = {
        "read-only": Fact(PathUse("/root/.cache/state", Access.WRITE, FileKind.REGULAR)),
        "tmpfs": Fact(PathUse("/root/.netrc", Access.READ, FileKind.REGULAR)),
        "yes": Fact(PathUse("/root/.netrc", Access.READ, FileKind.REGULAR)),
    }

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose all values, unless file operations inside of an io_uring may have gone unseen, or the service acts
        for the users whose homes they are.

        Not tmpfs where the service writes below the homes: ReadWritePaths= would name what is not there, and the unit
        would not start.
        """
        if evidence.uses_rings or used_by_users(evidence):
            return []
        writes = any(map(_writes_in_homes, evidence.confined(PathUse)))
        return [one for one in super().candidates(evidence) if not (writes and one.value == "tmpfs")]

    def contribute(self, sandbox: Sandbox) -> None:
        """Mount over the homes; DynamicUser= implies at least read-only (``unit_patch_contexts``)."""
        if self.value != self.default():
            self.enforce(sandbox)
        elif sandbox.unit.dynamic_user:
            self._mount(sandbox, "read-only", "DynamicUser=yes")

    def enforce(self, sandbox: Sandbox) -> None:
        """Mount over each of the homes that exists."""
        self._mount(sandbox, self.value, self.setting)

    def _mount(self, sandbox: Sandbox, value: str, setting: str) -> None:
        name = type(self).__name__
        writable = value == "tmpfs" and sandbox.host.systemd_version < READ_ONLY_TMPFS_SINCE
        sandbox.mounts.separate(name, setting)
        for path in HOMES:
            sandbox.mounts.add(
                MountEntry(
                    path,
                    _MODES[value],
                    name,
                    setting,
                    ignore_missing=True,
                    read_only=value == "tmpfs" and not writable,
                    permissions=0o1777 if writable else 0o700 if path == "/root" else 0o755,
                    loses_writes=writable,
                )
            )
