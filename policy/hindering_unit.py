"""A unit without one of the things that may keep directives from being proposed to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from policy.directives.base import Evidence
from policy.unit_settings import UnitSettings

Change = Callable[[UnitSettings], UnitSettings]

OTHER_USER = "nobody"
"""A user other than root, to ask what would be proposed to a unit with User=."""


def other_units(evidence: Evidence) -> Iterator[tuple[str, Change]]:
    """Yield what the unit has, or lacks, in words, and the change that makes it otherwise."""
    unit = evidence.unit
    for name in dict.fromkeys(name for name, _ in unit.assignments):
        yield f"{name}=", _without(name)
    if unit.dynamic_user:
        yield "DynamicUser=yes", lambda one: replace(one, dynamic_user=False)
    if unit.socket_activated:
        yield "it is started by a socket", lambda one: replace(one, socket_activated=False)
    if unit.runs_as_root:
        yield "it has no User=", lambda one: replace(one, user=OTHER_USER)
    unseen = _unseen_lines(evidence)
    if unseen:
        words = f"{', '.join(f'{kind}=' for kind in unseen)} was not recorded"
        yield words, lambda one: replace(one, exec_lines=tuple(x for x in one.exec_lines if x.kind not in unseen))


def _without(name: str) -> Change:
    return lambda unit: replace(unit, assignments=tuple(pair for pair in unit.assignments if pair[0] != name))


def _unseen_lines(evidence: Evidence) -> tuple[str, ...]:
    seen = {fact.exec_line.lstrip("-@:+!|") for fact in evidence.facts}
    return tuple(dict.fromkeys(line.kind for line in evidence.unit.exec_lines if line.kind not in seen))
