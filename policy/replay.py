"""Replay: would this drop-in have denied anything that was recorded?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.fact_order import place_of
from policy.host_facts import HostFacts
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from policy.settings import Assignment, build_sandbox, parse_settings


@dataclass(frozen=True)
class Replayed:
    """The verdict on a drop-in: how many facts were judged and which of them would come out differently."""

    judged: int
    denials: tuple[Denial, ...]
    still_refused: tuple[Denial, ...] = ()
    """The facts that had been refused when recorded and would be with another errno: no reason against a drop-in."""

    @property
    def blocked(self) -> tuple[Denial, ...]:
        """The facts that succeeded when recorded and would be refused."""
        return tuple(denial for denial in self.denials if not denial.changes_errno)

    @property
    def changed(self) -> tuple[Denial, ...]:
        """The facts that had failed when recorded and would now fail with another errno."""
        return tuple(denial for denial in self.denials if denial.changes_errno)


def replay(profile: Profile, drop_in: Sequence[Assignment], host: HostFacts) -> Replayed:
    """Judge every fact of a profile under the unit's own settings followed by a drop-in's assignments.

    What the unit's own settings alone already deny by the model is left out: it was recorded under them, so the
    model must be wrong there, and the drop-in is not to blame.
    """
    unit = profile.header.unit
    own = build_sandbox(parse_settings(unit.assignments, host), host, unit)
    merged = build_sandbox(parse_settings((*unit.assignments, *drop_in), host), host, unit)
    denials = [denial for fact in profile.facts if (denial := merged.judge(fact)) and own.judge(fact) is None]
    denials.sort(key=lambda denial: place_of(denial.fact))
    still_refused = tuple(denial for denial in denials if denial.still_refused)
    return Replayed(len(profile.facts), tuple(denial for denial in denials if not denial.still_refused), still_refused)
