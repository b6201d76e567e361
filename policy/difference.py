"""What became tighter or looser between two sets of settings, by the order of the values, not by their text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from policy.behaviour import Fact
from policy.directives.base import Directive, all_directives
from policy.fact_order import ordered
from policy.host_facts import HostFacts
from policy.service_profile import Profile
from policy.settings import Assignment, parse_settings, unknown_directives


class Change(StrEnum):
    """How one value relates to another one of the same directive."""

    TIGHTER = "tighter"
    LOOSER = "looser"
    DIFFERENT = "different"
    """Neither denies all that the other denies, or the model does not judge the directive."""


@dataclass(frozen=True)
class Difference:
    """One directive whose value changed; ``values`` as in a unit file, a leading "" being the reset of a list.

    ``gained`` and ``lost`` name what is allowed now and was not, and the other way round, where the value is a list.
    """

    directive: str
    change: Change
    before: tuple[str, ...]
    after: tuple[str, ...]
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class FactsDifference:
    """What only one of two profiles has, each thing once however often it was seen, in a fixed order."""

    gone: tuple[Fact, ...]
    new: tuple[Fact, ...]


def change_between(before: Directive, after: Directive) -> Change | None:
    """Return how the later value relates to the earlier one of the same directive; None if they mean the same."""
    tighter, looser = after.at_least_as_strict_as(before), before.at_least_as_strict_as(after)
    if tighter and looser:
        return None
    if tighter == looser:
        return Change.DIFFERENT
    return Change.TIGHTER if tighter else Change.LOOSER


def compare_settings(before: Mapping[str, Directive], after: Mapping[str, Directive]) -> tuple[Difference, ...]:
    """Return what differs, in the order of a drop-in. Both hold every directive, as ``parse_settings`` returns them.

    An exception (ReadWritePaths=) goes the way of what it is an exception from (ProtectSystem=) where that changed.
    """
    changes = {name: change_between(value, after[name]) for name, value in before.items()}
    differences = []
    for name, change in changes.items():
        if change is None:
            continue
        ways = {changes[base] for base in type(after[name]).exception_of if changes.get(base)}
        way = ways.pop() if len(ways) == 1 else None
        differences.append(_difference(before[name], after[name], way or change))
    return tuple(differences)


def _difference(before: Directive, after: Directive, change: Change) -> Difference:
    earlier, later = before.extent(), after.extent()
    listed = bool(before.values()) == bool(after.values())  # else one of them is no list: everything, or nothing
    gained, lost = (sorted(later - earlier), sorted(earlier - later)) if listed else ((), ())
    return Difference(type(after).__name__, change, before.values(), after.values(), tuple(gained), tuple(lost))


def compare_drop_ins(
    before: Sequence[Assignment], after: Sequence[Assignment], host: HostFacts
) -> tuple[Difference, ...]:
    """Return what differs between two lists of assignments; of what the model does not judge, that it differs."""
    judged = compare_settings(parse_settings(before, host), parse_settings(after, host))
    earlier, later = _unjudged(before), _unjudged(after)
    others = [
        Difference(name, Change.DIFFERENT, earlier.get(name, ()), later.get(name, ()))
        for name in sorted({*earlier, *later})
        if earlier.get(name) != later.get(name)
    ]
    return (*judged, *others)


def _unjudged(assignments: Sequence[Assignment]) -> dict[str, tuple[str, ...]]:
    names = unknown_directives(assignments)
    return {name: tuple(value for key, value in assignments if key == name) for name in names}


def compare_facts(before: Profile, after: Profile) -> FactsDifference:
    """Return the behaviours, with their outcomes, that only one of two profiles has."""
    earlier, later = _once(before.facts), _once(after.facts)
    return FactsDifference(
        tuple(ordered(fact for key, fact in earlier.items() if key not in later)),
        tuple(ordered(fact for key, fact in later.items() if key not in earlier)),
    )


def _once(facts: Iterable[Fact]) -> dict[tuple[object, str], Fact]:
    return {(fact.behaviour, fact.outcome): fact for fact in reversed(ordered(facts))}


def is_looser(differences: Iterable[Difference]) -> bool:
    """Whether anything became looser, or something else for which the order cannot tell."""
    known = all_directives()
    return any(one.change is not Change.TIGHTER and one.directive in known for one in differences)
