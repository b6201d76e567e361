"""Explain: for each directive its value, what forced it to be no stricter, and which fact needs each exception.

Nothing is remembered from the decision: an exception is taken out and the sandbox is asked what it would then deny.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from policy.behaviour import Fact, Known
from policy.decide import Choice, Decision
from policy.directives.base import Directive, Evidence
from policy.exposure import Cost, Exposure, assess
from policy.hindrance import MOST, Hindrance, hindrances
from policy.sandbox.denial import Denial
from policy.settings import build_sandbox


class Status(StrEnum):
    """How the value of a directive relates to what the unit has."""

    TIGHTENED = "tightened"
    ALREADY_THERE = "already there"
    LEFT = "left as is"
    NOT_SET = "not set"
    NOT_ENFORCED = "without effect"


@dataclass(frozen=True)
class Kept:
    """One element of a list value, the facts that need it, and, where there are none, why it is kept all the same."""

    element: str
    needed_by: tuple[Fact, ...] = ()
    kept_because: str = ""
    costs: tuple[Cost, ...] = ()
    """What it costs in exposure; elements of one item cost it together."""


@dataclass(frozen=True)
class Explanation:
    """Why a directive has its value."""

    directive: str
    summary: str
    values: tuple[str, ...]
    status: Status
    forced_by: tuple[Denial, ...] = ()
    exceptions: tuple[Kept, ...] = ()
    price: str = ""
    """How much more than what was seen it allows, in words."""
    unenforced: str = ""
    """Why the target does nothing about it, if so."""
    costs: tuple[Cost, ...] = ()
    """The items of systemd-analyze's table about it, paid or not; none if that does not look at it."""
    hindered_by: tuple[Hindrance, ...] = ()
    """What kept it from being proposed, where ``with_hindrances`` looked for that."""
    total: int = 0
    """The sum of the weights of all items, of which an exposure of 10.0 is made."""

    @property
    def paid(self) -> tuple[Cost, ...]:
        """The items that still cost something."""
        return tuple(cost for cost in self.costs if cost.paid)


def explain(decision: Decision, *, changes_only: bool = False) -> tuple[Explanation, ...]:
    """Return an explanation for every directive of a decision, or those only that a drop-in has to set, in order."""
    evidence = decision.evidence
    chosen = {choice.name: choice.chosen for choice in decision.choices}
    denied = {denial.fact for denial in (*decision.unexplained, *decision.remaining, *decision.still_refused)}
    facts = [fact for fact in evidence.in_order if fact not in denied]
    exposure = assess(chosen, evidence.host, evidence.unit)
    return tuple(
        _with_costs(_explanation(choice, chosen, facts, evidence), exposure)
        for choice in decision.choices
        if choice.changes_unit or not changes_only
    )


def with_hindrances(explanation: Explanation, decision: Decision, most: int = MOST) -> Explanation:
    """Add what keeps the directive from being proposed, unless it is set, or was proposed and given up.

    That can be another fact than one that a stricter value denies: exceptions could let that one through. Looks for at
    most so many facts, or sets of facts that only together do.
    """
    return replace(explanation, hindered_by=hindrances(decision, explanation.directive, most))


def _with_costs(explanation: Explanation, exposure: Exposure) -> Explanation:
    costs = exposure.of(explanation.directive)
    exceptions = tuple(
        replace(kept, costs=tuple(cost for cost in costs if cost.paid and kept.element in cost.elements))
        for kept in explanation.exceptions
    )
    return replace(explanation, costs=costs, total=exposure.total, exceptions=exceptions)


def _explanation(
    choice: Choice, chosen: dict[str, Directive], facts: Sequence[Fact], evidence: Evidence
) -> Explanation:
    return Explanation(
        choice.name,
        type(choice.chosen).summary,
        choice.chosen.values(),
        _status(choice, evidence),
        choice.forced_by or _forbidden(choice, chosen, facts, evidence),
        _exceptions(choice.chosen, chosen, facts, evidence),
        choice.chosen.price(evidence),
        type(choice.chosen).unenforced(evidence.host),
    )


def _forbidden(
    choice: Choice, chosen: dict[str, Directive], facts: Sequence[Fact], evidence: Evidence
) -> tuple[Denial, ...]:
    """Return what the strictest value would deny of a directive that nothing was proposed for, as it knows its facts
    well enough to say so beforehand."""
    kind = type(choice.chosen)
    if choice.chosen != kind.parse([], evidence.host) or kind.unenforced(evidence.host):
        return ()
    for value in reversed(list(kind.denied_examples)):
        stricter = kind.parse([value], evidence.host)
        sandbox = build_sandbox({**chosen, choice.name: stricter}, evidence.host, evidence.unit)
        denials = [denial for fact in facts if (denial := sandbox.judge(fact)) is not None]
        if denials:
            return tuple(denial for denial in denials if denial.directive == choice.name)
    return ()


def _status(choice: Choice, evidence: Evidence) -> Status:
    if choice.changes_unit:
        return Status.TIGHTENED
    if choice.own == type(choice.own).parse([], evidence.host):
        return Status.NOT_SET
    if type(choice.own).unenforced(evidence.host):
        return Status.NOT_ENFORCED
    return Status.LEFT if choice.forced_by else Status.ALREADY_THERE


def _exceptions(
    directive: Directive, chosen: dict[str, Directive], facts: Sequence[Fact], evidence: Evidence
) -> tuple[Kept, ...]:
    elements = directive.elements()
    concerned: dict[str, list[Fact]] = {element: [] for element in elements}
    for fact in facts if elements else ():
        if isinstance(fact.behaviour, directive.about):
            for element in set(directive.elements_for(fact)) & concerned.keys():
                concerned[element].append(fact)
    return tuple(_kept(element, directive, chosen, concerned[element], evidence) for element in elements)


def _kept(
    element: str, directive: Directive, chosen: dict[str, Directive], facts: Sequence[Fact], evidence: Evidence
) -> Kept:
    needed_by = _denied(directive.without(element), chosen, facts, evidence)
    needed_by.sort(key=lambda fact: (not fact.succeeded, fact.known is Known.INFERRED, fact.exec_line != "ExecStart"))
    return Kept(element, tuple(needed_by), "" if needed_by else directive.kept_because(element, evidence))


def _denied(
    directive: Directive, chosen: dict[str, Directive], facts: Sequence[Fact], evidence: Evidence
) -> list[Fact]:
    sandbox = build_sandbox({**chosen, type(directive).__name__: directive}, evidence.host, evidence.unit)
    return [fact for fact in facts if sandbox.judge(fact) is not None]
