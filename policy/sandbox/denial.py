"""The answer of a sandbox that says no: which setting is to blame and what the service would see instead."""

from __future__ import annotations

from dataclasses import dataclass

from policy.behaviour import Fact

KILLED = "SIGSYS"
"""The outcome of a call that a seccomp filter answers by ending the process."""


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
