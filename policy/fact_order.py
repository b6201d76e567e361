"""A fixed order of facts, so that the same profile always gives the same answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from operator import attrgetter

from policy.behaviour import BEHAVIOURS, Fact

_PLACES = {
    kind: (position, attrgetter(*(field.name for field in dataclasses.fields(kind))))
    for position, kind in enumerate(BEHAVIOURS)
}


def ordered(facts: Iterable[Fact]) -> list[Fact]:
    """Return the facts in their order."""
    return sorted(facts, key=place_of)


def place_of(fact: Fact) -> tuple[object, ...]:
    """Return the place of a fact in the order: by type as a profile lists them, then by what it says."""
    behaviour = fact.behaviour
    position, said = _PLACES[type(behaviour)]
    return position, said(behaviour), fact.outcome, fact.phase, fact.exec_line, fact.user, fact.known
