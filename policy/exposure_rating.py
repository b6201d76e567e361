"""What a decision makes of a unit's exposure level: before, after, and how low it can go."""

from __future__ import annotations

from dataclasses import dataclass

from policy.behaviour import SocketAddress, SocketOpened
from policy.decide import Decision
from policy.directives.base import Evidence
from policy.exposure import INTERNET, Exposure, assess
from policy.exposure_floor import Floor, floor

HEAVIEST_SHOWN = 6


@dataclass(frozen=True)
class Rating:
    """The levels of a unit: under its own settings, with what was decided, and the two floors.

    ``kind`` says in words what kind of service it is, ``kind_floor`` how low the best of that kind can go: the user it
    starts as and the networks it reaches count, nothing else. ``floor`` counts all that was recorded.
    """

    before: Exposure
    after: Exposure
    kind: str
    kind_floor: Floor
    floor: Floor

    def __str__(self) -> str:
        change = f"exposure: {self.before.level} with the unit's own settings, {self.after.level} with these"
        return f"{change}; {self.floors}"

    @property
    def floors(self) -> str:
        """The two floors in words."""
        because = list(self.floor.because[:HEAVIEST_SHOWN])
        more = len(self.floor.because) - len(because)
        reasons = ", ".join(because) + (f" and {more} more" if more else "")
        return (
            f"{self.kind} can reach {self.kind_floor.level} at best,"
            f" one that does what this one did {self.floor.level} ({reasons})"
        )


def rate(decision: Decision) -> Rating:
    """Return the levels before and after a decision, and the floors of its evidence."""
    evidence = decision.evidence
    before = {choice.name: choice.own for choice in decision.choices}
    after = {choice.name: choice.chosen for choice in decision.choices}
    reached = [fact for kind in (SocketOpened, SocketAddress) for fact in evidence.of(kind)]
    return Rating(
        assess(before, evidence.host, evidence.unit),
        assess(after, evidence.host, evidence.unit),
        _kind(evidence),
        floor(reached, evidence.unit, evidence.host),
        floor(evidence.facts, evidence.unit, evidence.host),
    )


def _kind(evidence: Evidence) -> str:
    has_network = any(
        isinstance(fact.behaviour, SocketOpened) and fact.behaviour.family in INTERNET and fact.succeeded
        for fact in evidence.of(SocketOpened)
    )
    return f"a {'network' if has_network else 'local'} service that starts as {_user(evidence)}"


def _user(evidence: Evidence) -> str:
    return "root" if evidence.unit.runs_as_root else "another user than root"
