"""Decide: the strictest settings under which no recorded fact is denied and no recorded errno changes.

All directives start at their strictest candidate. Every fact is judged under all of them together, because they are
not independent; the directive to blame for a denial moves to its next candidate; again, until nothing is denied. The
facts that moved a directive are the evidence for its value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from policy.behaviour import Fact
from policy.directives.base import Directive, Evidence, all_directives
from policy.host_facts import HostFacts
from policy.level import Level
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from policy.settings import build_sandbox, parse_settings

ROUNDS = 200
"""More rounds than all candidates of all directives together: the loop is bounded, and every round relaxes one."""


@dataclass(frozen=True)
class Choice:
    """What was decided for one directive: its value, the unit's own, and the denials that a stricter one brought."""

    chosen: Directive
    own: Directive
    forced_by: tuple[Denial, ...] = ()

    @property
    def name(self) -> str:
        """The directive's name."""
        return type(self.chosen).__name__

    @property
    def changes_unit(self) -> bool:
        """Whether the drop-in has to say anything: the value differs from what the unit has already."""
        return self.chosen != self.own


@dataclass(frozen=True)
class Decision:
    """All choices, in the order of the drop-in, and what the model cannot explain about the unit's own settings."""

    choices: tuple[Choice, ...]
    evidence: Evidence
    unexplained: tuple[Denial, ...] = ()  # facts that the unit's own settings deny by the model: the model is wrong
    remaining: tuple[Denial, ...] = ()  # facts that no candidate allows together with the others: must be empty
    still_refused: tuple[Denial, ...] = ()  # facts that were refused before, and will be with another errno


@dataclass
class _Column:
    # One directive on its way from the strictest candidate to the unit's own value. A candidate is only worked out
    # when all before it were denied: some take long.
    own: Directive
    candidates: Iterator[Directive]
    current: Directive
    seen: list[Directive] = field(default_factory=list)
    forced_by: dict[Fact, Denial] = field(default_factory=dict)

    def relax(self) -> bool:
        """Move to the next candidate; False if this is the last."""
        for candidate in self.candidates:
            at_least_own = candidate.intersected(self.own)
            if at_least_own not in self.seen:
                self.seen.append(at_least_own)
                self.current = at_least_own
                return True
        return False


def decide(profile: Profile, host: HostFacts, level: Level = Level.STANDARD) -> Decision:
    """Return the strictest settings of a level for a profile on a target machine."""
    known = profile.header
    evidence = Evidence(profile.facts, host, known.unit, known.start_up_observed, level, known.account_directories)
    own = parse_settings(evidence.unit.assignments, host)
    baseline = build_sandbox(own, host, evidence.unit)
    says_nothing = own == parse_settings((), host) and not evidence.unit.dynamic_user
    judged = () if says_nothing else evidence.in_order  # saying nothing denies nothing
    unexplained = tuple(denial for fact in judged if (denial := baseline.judge(fact)) is not None)
    odd = {denial.fact for denial in unexplained}
    facts = [fact for fact in evidence.in_order if fact not in odd] if odd else evidence.in_order
    columns = {name: _column(kind, own[name], evidence) for name, kind in all_directives().items()}
    remaining = _relax(columns, facts, evidence)
    choices = [Choice(column.current, column.own, tuple(column.forced_by.values())) for column in columns.values()]
    still_refused = tuple(denial for denial in remaining if denial.still_refused)
    others = tuple(denial for denial in remaining if not denial.still_refused)
    return Decision(tuple(choices), evidence, unexplained, others, still_refused)


def _column(kind: type[Directive], own: Directive, evidence: Evidence) -> _Column:
    candidates = () if kind.unenforced(evidence.host) else kind.candidates(evidence)
    column = _Column(own, chain(candidates, [own]), own)
    column.relax()
    return column


def _relax(columns: dict[str, _Column], facts: Sequence[Fact], evidence: Evidence) -> tuple[Denial, ...]:
    """Relax until nothing is denied any more, and return what is all the same.

    Facts that were denied are asked about again and again, the others once more at the end: a looser value of one
    directive can, though it rarely does, deny what was allowed (a path that is kept writable is a mount of its own).
    """
    asked = facts
    for _ in range(ROUNDS):
        denials = _judge(columns, asked, evidence)
        relaxed = {denial.directive for denial in denials if not denial.still_refused}
        for denial in denials:
            if not denial.still_refused:
                columns[denial.directive].forced_by.setdefault(denial.fact, denial)
        if any([columns[name].relax() for name in sorted(relaxed)]):
            asked = [denial.fact for denial in denials]
        elif asked is facts:
            return denials
        else:
            asked = facts
    return _judge(columns, facts, evidence)


def _judge(columns: dict[str, _Column], facts: Sequence[Fact], evidence: Evidence) -> tuple[Denial, ...]:
    settings = {name: column.current for name, column in columns.items()}
    sandbox = build_sandbox(settings, evidence.host, evidence.unit)
    return tuple(denial for fact in facts if (denial := sandbox.judge(fact)) is not None)
