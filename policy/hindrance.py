"""What keeps a directive from being proposed: a fact, the level, the target, the unit, or the directive itself.

Nothing is written down beside the directive classes. A class proposes values for evidence, so it is asked again what it
would propose if the evidence were another: at a stricter level, on a newer target, without the unit's own settings,
without what was recorded. What has to be otherwise is what keeps it, and by asking about ever smaller differences the
smallest one is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import combinations

from policy.behaviour import Behaviour, Fact
from policy.decide import Choice, Decision
from policy.directives.base import Directive, Evidence
from policy.directives.choice import Choice as Word
from policy.fact_order import ordered
from policy.hindering_target import other_targets
from policy.hindering_unit import other_units
from policy.level import Level
from policy.settings import build_sandbox

MOST = 20
"""How many facts, or sets of facts, are looked for that keep one directive from being proposed."""


HEAVIEST = 2_000_000
"""How many facts are asked about for one directive before no further causes are looked for: some seconds."""


class Cause(StrEnum):
    """What keeps a directive from being proposed."""

    NEVER = "never proposed"
    DEFAULT = "strict by default"
    NOTHING_TO_EXCEPT = "nothing to except from"
    NO_EXCEPTION = "no exception needed"
    LEVEL = "level"
    START_UP = "start-up not seen"
    UNIT = "unit"
    TARGET = "target"
    RECORDED = "recorded"
    COVERED = "covered"
    NOTHING = "nothing to list"


@dataclass(frozen=True)
class Hindrance:
    """One cause: ``details`` names it (a level, settings, versions), ``facts`` are those that together are the cause.

    ``instead`` is what would be proposed without it, as values.
    """

    cause: Cause
    details: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    instead: tuple[str, ...] = ()


def hindrances(decision: Decision, name: str, most: int = MOST) -> tuple[Hindrance, ...]:
    """Return what keeps a directive from being proposed; nothing if it is set, or was proposed and given up.

    Looks for at most so many facts, or sets of facts that only together are a cause.
    """
    choice = next(choice for choice in decision.choices if choice.name == name)
    kind = type(choice.chosen)
    if choice.changes_unit or choice.forced_by or kind.unenforced(decision.evidence.host):
        return ()
    default = kind.parse([], decision.evidence.host)
    if choice.chosen != default and any(True for _ in kind.candidates(decision.evidence)):
        return ()  # the unit has what would be proposed
    search = _Search(choice, decision.evidence, most)
    settings = {one.name: one.chosen for one in decision.choices}
    return tuple(
        _by_nature(kind, default, settings) or search.causes() or _otherwise(choice, settings, decision.evidence)
    )


def _by_nature(kind: type[Directive], default: Directive, settings: Mapping[str, Directive]) -> list[Hindrance]:
    if kind.never_because:
        return [Hindrance(Cause.NEVER, (kind.never_because,))]
    if default.strictness() > 0 and settings[kind.__name__] == default:
        return [Hindrance(Cause.DEFAULT)]
    if kind.exception_of and not _set_ones(kind.exception_of, settings):
        return [Hindrance(Cause.NOTHING_TO_EXCEPT, kind.exception_of)]
    return []


def _otherwise(choice: Choice, settings: dict[str, Directive], evidence: Evidence) -> list[Hindrance]:
    kind = type(choice.chosen)
    if kind.exception_of:
        return [Hindrance(Cause.NO_EXCEPTION, _set_ones(kind.exception_of, settings))]
    if not issubclass(kind, Word):
        return [Hindrance(Cause.NOTHING)]
    sandbox = build_sandbox(settings, evidence.host, evidence.unit)
    denials = [sandbox.judge(fact) for fact in kind.denied_examples.values()]
    blamed = tuple(dict.fromkeys(denial.setting for denial in denials if denial is not None))
    return [Hindrance(Cause.COVERED, blamed)] if denials and None not in denials else [Hindrance(Cause.NOTHING)]


def _set_ones(names: Sequence[str], settings: Mapping[str, Directive]) -> tuple[str, ...]:
    return tuple(name for name in names if name in settings and any(settings[name].values()))


_Way = Callable[[Evidence], Iterator[Hindrance]]


@dataclass
class _Search:
    # Asks one directive about other evidence. A change is a function of evidence, worked out once for each cause.
    choice: Choice
    evidence: Evidence
    most: int
    weight: int = 0  # how many facts were asked about in all

    def proposed(self, evidence: Evidence) -> tuple[str, ...]:
        """Return the values of the first proposal that says anything; nothing if there is none."""
        self.weight += len(evidence.facts)
        for candidate in type(self.choice.chosen).candidates(evidence):
            values = candidate.values()
            if candidate != self.choice.chosen and any(values):
                return values
        return ()

    def causes(self) -> list[Hindrance]:
        """Return what has to be otherwise: everything that is enough alone, or else the first few that together are."""
        ways = (self._by_level, self._by_start_up, self._by_unit, self._by_target, self._by_facts)
        alone = [found for way in ways for found in way(self.evidence)]
        if alone or not self.proposed(self._unused(self._most(self.evidence))):
            return alone
        for count in range(2, len(ways) + 1):
            for some in combinations(ways, count):
                together = self._together(some)
                if together:
                    return together
        return []

    def _most(self, evidence: Evidence) -> Evidence:
        return self._bare_unit(self._newest(self._seen(self._strictest(evidence))))

    def _together(self, ways: Sequence[_Way]) -> list[Hindrance]:
        """Return the causes if all of these ways are taken at once: each is looked for with the others taken."""
        found = []
        for way in ways:
            evidence = self.evidence
            for other in ways:  # what facts are left depends on all else, so that comes last (see ``causes``)
                evidence = self._changed(other, evidence) if other != way else evidence
            causes = list(way(evidence))
            if not causes:
                return []
            found += causes
        return found

    def _changed(self, way: _Way, evidence: Evidence) -> Evidence:
        changes: dict[_Way, Callable[[Evidence], Evidence]] = {
            self._by_level: self._strictest,
            self._by_start_up: self._seen,
            self._by_unit: self._bare_unit,
            self._by_target: self._newest,
            self._by_facts: self._unused,
        }
        return changes[way](evidence)

    def _strictest(self, evidence: Evidence) -> Evidence:
        return _at_level(evidence, Level.STRICT)

    def _seen(self, evidence: Evidence) -> Evidence:
        return evidence.otherwise(start_up_observed=True)

    def _bare_unit(self, evidence: Evidence) -> Evidence:
        unit = evidence.unit
        for _, change in other_units(evidence):
            unit = change(unit)
        return evidence.otherwise(unit=unit)

    def _newest(self, evidence: Evidence) -> Evidence:
        return evidence.otherwise(host=other_targets(type(self.choice.chosen), evidence.host)[-1][1])

    def _unused(self, evidence: Evidence) -> Evidence:
        return evidence.otherwise(self._harmless)

    @cached_property
    def _harmless(self) -> tuple[Fact, ...]:
        """Facts with which it is proposed if all else is otherwise as well; none if there are no such facts."""
        most = self._most(self.evidence)
        bases = (base for base, _ in self._innocent(self.evidence))
        return next((base for base in bases if self.proposed(most.otherwise(base))), ())

    def _by_level(self, evidence: Evidence) -> Iterator[Hindrance]:
        levels = list(Level)
        for level in levels[levels.index(evidence.level) + 1 :]:
            values = self.proposed(_at_level(evidence, level))
            if values:
                yield Hindrance(Cause.LEVEL, (evidence.level, level), instead=values)
                return

    def _by_start_up(self, evidence: Evidence) -> Iterator[Hindrance]:
        values = () if evidence.start_up_observed else self.proposed(self._seen(evidence))
        if values:
            yield Hindrance(Cause.START_UP, instead=values)

    def _by_unit(self, evidence: Evidence) -> Iterator[Hindrance]:
        changes = list(other_units(evidence))
        values = self.proposed(self._bare_unit(evidence)) if changes else ()
        if not values:
            return
        for one in list(changes):  # those without which it is proposed all the same are not to blame
            others = [change for change in changes if change is not one]
            unit = evidence.unit
            for _, change in others:
                unit = change(unit)
            if self.proposed(evidence.otherwise(unit=unit)):
                changes = others
        yield Hindrance(Cause.UNIT, tuple(words for words, _ in changes), instead=values)

    def _by_target(self, evidence: Evidence) -> Iterator[Hindrance]:
        if not self.proposed(self._newest(evidence)):
            return
        for words, host in other_targets(type(self.choice.chosen), evidence.host):
            values = self.proposed(evidence.otherwise(host=host))
            if values:
                yield Hindrance(Cause.TARGET, (words,), instead=values)
                return

    def _by_facts(self, evidence: Evidence) -> Iterator[Hindrance]:
        for base, suspects in self._innocent(evidence):
            values = self.proposed(evidence.otherwise(base))
            if values:
                for facts in self._guilty(evidence, base, suspects):
                    yield Hindrance(Cause.RECORDED, facts=facts, instead=values)
                return

    def _innocent(self, evidence: Evidence) -> Iterator[tuple[tuple[Fact, ...], tuple[Fact, ...]]]:
        """Yield facts that may not hinder, with those that then do: no fact at all, or all but those of one type."""
        yield (), evidence.in_order
        for kind, facts in evidence.by_type.items():
            yield tuple(fact for fact in evidence.in_order if not isinstance(fact.behaviour, kind)), facts

    def _guilty(
        self, evidence: Evidence, base: tuple[Fact, ...], suspects: tuple[Fact, ...]
    ) -> Iterator[tuple[Fact, ...]]:
        """Yield sets of suspects, each as small as can be, any of which keeps it from being proposed."""

        def hinder(some: Sequence[Fact]) -> bool:
            return not self.proposed(evidence.otherwise(ordered((*base, *some)) if base else some))

        left = list(suspects)
        for _ in range(self.most):
            found = _smallest(hinder, left)
            if found:
                yield tuple(found)
            if not found or self.weight > HEAVIEST:
                return
            left = [fact for fact in left if fact not in found]


def _at_level(evidence: Evidence, level: Level) -> Evidence:
    # Kept: several directives have a part in the view of the level strict, which takes long.
    key = (_at_level, level)
    if key not in evidence.memory:
        evidence.memory[key] = evidence.otherwise(level=level)
    other = evidence.memory[key]
    assert isinstance(other, Evidence)
    return other


def _smallest(is_enough: Callable[[Sequence[Fact]], bool], facts: Sequence[Fact]) -> list[Fact]:
    """Return as few facts as are enough; none if all of them are not. Those of one type are tried first."""
    kinds: dict[type[Behaviour], list[Fact]] = {type(fact.behaviour): [] for fact in facts}
    for fact in facts:
        kinds[type(fact.behaviour)].append(fact)
    left = next((some for some in kinds.values() if is_enough(some)), facts)
    needed: list[Fact] = []
    while not is_enough(needed):
        length = _shortest(is_enough, needed, left)
        if not length:
            return []
        needed.append(left[length - 1])
        left = left[: length - 1]
    return needed


def _shortest(is_enough: Callable[[Sequence[Fact]], bool], needed: Sequence[Fact], facts: Sequence[Fact]) -> int:
    """Return how many facts from the front are enough beside those needed; 0 if all of them are not.

    Lengths are doubled first: what is at the front is found without a look at the rest.
    """
    most = len(facts)
    too_short, length = 0, 1
    while length < most and not is_enough([*needed, *facts[:length]]):
        too_short, length = length, 2 * length
    length = min(length, most)
    if not length or not is_enough([*needed, *facts[:length]]):
        return 0
    while length - too_short > 1:
        middle = (too_short + length) // 2
        too_short, length = (too_short, middle) if is_enough([*needed, *facts[:middle]]) else (middle, length)
    return length
