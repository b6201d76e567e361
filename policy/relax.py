"""Relax: the smallest changes to a drop-in under which it allows what it denied.

In this order: one more element for a list, the value that deciding chooses for the directive to blame, the value that
it chooses for another one, and, where nothing else helps, the directive is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from policy.behaviour import OK, Fact, SystemCall
from policy.decide import decide
from policy.drop_in import DropIn, Setting
from policy.host_facts import HostFacts
from policy.sandbox.denial import Denial
from policy.sandbox.sandbox import Sandbox
from policy.service_profile import Profile
from policy.settings import Assignment, build_sandbox, parse_settings
from policy.wording import denial_in_words

ROUNDS = 200
"""More changes than any drop-in needs: the loop is bounded."""


@dataclass(frozen=True)
class Relaxation:
    """A change to one directive: ``values`` are added to those in the drop-in, or stand in their place (none: it is
    left out); ``reason`` is what that allows, in words.
    """

    directive: str
    values: tuple[str, ...]
    adds: bool
    reason: str

    def __str__(self) -> str:
        if not self.values:
            return f"without {self.directive}=: {self.reason}"
        how = "more" if self.adds else "now"
        return f"{how} {' '.join(f'{self.directive}={value}' for value in self.values)}: {self.reason}"

    def applied_to(self, drop_in: DropIn) -> DropIn:
        """Return the drop-in with the change, and with the reason as a comment."""
        kept = [one for one in drop_in.settings if self.adds or one.name != self.directive]
        comment = (f"relaxed: {self.reason}",)
        new = [Setting(self.directive, value, comment if place == 0 else ()) for place, value in enumerate(self.values)]
        return replace(drop_in, settings=(*kept, *new))


def relax(drop_in: DropIn, denials: Sequence[Denial], profile: Profile, host: HostFacts) -> tuple[Relaxation, ...]:
    """Return the smallest changes under which the denied facts are allowed, for as many of them as the model can.

    ``profile`` is everything else that must stay allowed.
    """
    wanted = {replace(denial.fact, outcome=OK): denial for denial in denials}
    union = Profile(profile.header, frozenset({*profile.facts, *wanted}))
    search = _Search(union, host)
    changes: list[Relaxation] = []
    for fact, denial in wanted.items():
        for _ in range(ROUNDS):
            now = search.judge(drop_in, fact)
            if now is None:
                break
            change = search.smallest(drop_in, fact, replace(now, fact=denial.fact))
            if change is None:
                break
            changes.append(change)
            drop_in = change.applied_to(drop_in)
    return tuple(changes)


class _Search:
    def __init__(self, union: Profile, host: HostFacts) -> None:
        self.union = union
        self.host = host
        self.unit = union.header.unit
        self.decided = {choice.name: choice.chosen for choice in decide(union, host).choices}

    def judge(self, drop_in: DropIn, fact: Fact) -> Denial | None:
        """Return why a fact is denied by the drop-in, None if it is not."""
        return self._sandbox(drop_in.assignments).judge(fact)

    def smallest(self, drop_in: DropIn, fact: Fact, denial: Denial) -> Relaxation | None:
        """Return the first change in the order of size under which this denial is gone."""
        before = self._denied(drop_in)
        for change in self._changes(drop_in, fact, denial):
            changed = change.applied_to(drop_in)
            if self.judge(changed, fact) is not None:
                continue
            if change.adds or self._denied(changed) <= before:
                return change
        return None

    def _changes(self, drop_in: DropIn, fact: Fact, denial: Denial) -> Iterator[Relaxation]:
        reason = denial_in_words(denial)
        current = parse_settings((*self.unit.assignments, *drop_in.assignments), self.host)
        different = [name for name, value in self.decided.items() if value != current[name]]
        different.sort(key=lambda name: name != denial.directive)
        for name in different:
            for element in self.decided[name].elements():
                if element not in current[name].elements():
                    yield Relaxation(name, (element,), adds=True, reason=reason)
        if isinstance(fact.behaviour, SystemCall):
            yield Relaxation("SystemCallFilter", (fact.behaviour.name,), adds=True, reason=reason)
        for name in different:
            if self.decided[name].values():
                yield Relaxation(name, self.decided[name].values(), adds=False, reason=reason)
        for name in dict.fromkeys((denial.directive, *different)):
            if any(one.name == name for one in drop_in.settings):
                yield Relaxation(name, (), adds=False, reason=reason)

    def _denied(self, drop_in: DropIn) -> set[Fact]:
        sandbox = self._sandbox(drop_in.assignments)
        return {fact for fact in self.union.facts if sandbox.judge(fact) is not None}

    def _sandbox(self, assignments: Sequence[Assignment]) -> Sandbox:
        merged = parse_settings((*self.unit.assignments, *assignments), self.host)
        return build_sandbox(merged, self.host, self.unit)
