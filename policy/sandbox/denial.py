"""The answer of a sandbox that says no: which setting is to blame and what the service would see instead."""

from __future__ import annotations

from dataclasses import dataclass

from policy.behaviour import Fact, PathPair, PathUse

KILLED = "SIGSYS"
"""The outcome of a call that a seccomp filter answers by ending the process."""

SILENT = frozenset({"empty", "fewer", "lost", "unseen"})
"""The outcomes of calls that succeed and do something else than before (see ``hidden`` and ``mount_table``)."""


@dataclass(frozen=True)
class Denial:
    """A recorded fact would come out differently: ``outcome`` is the errno's name or ``SIGSYS``.

    ``setting`` is the line to blame as it stands in a unit file, ``ProtectSystem=strict``; ``directive`` its name.
    """

    fact: Fact
    directive: str
    setting: str
    outcome: str
    note: str = ""

    @property
    def changes_errno(self) -> bool:
        """Whether the recorded call failed already, and only its errno would change."""
        return not self.fact.succeeded

    @property
    def still_refused(self) -> bool:
        """Whether a use of the file system was refused before and is refused still, only with another errno.

        No setting is relaxed for that: a service that may not write its cache under /usr gets no writable /usr.
        """
        refused_before = self.fact.outcome in {"EACCES", "EPERM"} and isinstance(
            self.fact.behaviour, PathUse | PathPair
        )
        return refused_before and self.outcome in {"EACCES", "EPERM", "EROFS"}
