"""A fixed order of facts, so that the same profile always gives the same answer."""

from __future__ import annotations

from collections.abc import Iterable

from policy.behaviour import BEHAVIOURS, Fact

_POSITIONS = {kind: position for position, kind in enumerate(BEHAVIOURS)}


def ordered(facts: Iterable[Fact]) -> list[Fact]:
    """Return the facts in their order."""
    return sorted(facts, key=place_of)


def place_of(fact: Fact) -> tuple[object, ...]:
    """Return the place of a fact in the order: by type as a profile lists them, then by what it says."""
    behaviour = fact.behaviour
    said = tuple(vars(behaviour).values())
    return _POSITIONS[type(behaviour)], said, fact.outcome, fact.phase, fact.exec_line, fact.user, fact.known
