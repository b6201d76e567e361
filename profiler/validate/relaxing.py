"""Validate, allow the least of what was blocked, validate again: until nothing is blocked or a bound is reached.

Where the model cannot say which setting is to blame, settings are taken away under real restarts until one is found
without which the service works (see ``bisection``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from policy.behaviour import OK, UNKNOWN, Fact
from policy.blame import Blame, blame
from policy.drop_in import DropIn, parse
from policy.host_facts import HostFacts
from policy.relax import Relaxation, relax
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from profiler.validate.bisection import Bisection
from profiler.validate.validation import Verdict

ROUNDS = 30
"""How often a drop-in is relaxed at most."""

Test = Callable[[DropIn], Verdict]
"""Validates one drop-in by a restart."""


@dataclass(frozen=True)
class Relaxed:
    """The last drop-in, the verdict on it, and what was relaxed on the way, in order.

    ``blamed`` says what was wrong with the last drop-in, ``first_blamed`` with the first one; empty if nothing was.
    ``innocent`` is set when the service did not work without any of its settings either.
    """

    drop_in: DropIn
    verdict: Verdict
    relaxations: tuple[Relaxation, ...] = ()
    restarts: int = 1
    blamed: tuple[Blame, ...] = ()
    first_blamed: tuple[Blame, ...] = ()
    innocent: bool = False


@dataclass
class Trying:
    """Validation of one drop-in after another, and what is to blame for what is wrong.

    ``by_restarts`` allows to look for that by restarts where the model has no answer.
    """

    test: Test
    host: HostFacts
    before: Profile | None = None
    announce: Callable[[str], None] = lambda _text: None
    by_restarts: bool = True
    restarts: int = field(default=0, init=False)
    innocent: bool = field(default=False, init=False)

    def once(self, drop_in: DropIn) -> Relaxed:
        """Validate and say what is to blame, without relaxing. Raises what ``test`` raises."""
        verdict = self._count(drop_in)
        blamed = blame_for(drop_in, verdict, self._changes(drop_in, verdict), self.host)
        return Relaxed(drop_in, verdict, (), self.restarts, blamed, blamed, self.innocent)

    def until_it_fits(self, drop_in: DropIn) -> Relaxed:
        """Return a drop-in that fits, or the last one that was tried. Raises what ``test`` raises."""
        verdict = self._count(drop_in)
        made: list[Relaxation] = []
        first: tuple[Blame, ...] = ()
        for _ in range(ROUNDS):
            changes = self._changes(drop_in, verdict)
            blamed = blame_for(drop_in, verdict, changes, self.host)
            first = first or blamed
            if verdict.fits or not changes:
                break
            for change in changes:
                self.announce(f"relaxing: {change}")
                drop_in = change.applied_to(drop_in)
            made += changes
            verdict = self._count(drop_in)
        left = blame_for(drop_in, verdict, suggestions(drop_in, verdict, self.host, self.before), self.host)
        return Relaxed(drop_in, verdict, tuple(made), self.restarts, left, first, self.innocent)

    def _changes(self, drop_in: DropIn, verdict: Verdict) -> tuple[Relaxation, ...]:
        found = suggestions(drop_in, verdict, self.host, self.before)
        if found or verdict.fits or not self.by_restarts:
            return found
        reason = verdict.problem or "let the service do what it did before"
        search = Bisection(lambda one: self._count(one).fits, self.host, f"prevent: {reason}", self.announce)
        change = search.culprit(drop_in)
        self.innocent = change is None
        return (change,) if change is not None else ()

    def _count(self, drop_in: DropIn) -> Verdict:
        self.restarts += 1
        if self.restarts > 1:
            self.announce(f"test restart number {self.restarts}")
        return self.test(drop_in)


def blame_for(drop_in: DropIn, verdict: Verdict, changes: tuple[Relaxation, ...], host: HostFacts) -> tuple[Blame, ...]:
    """Return what is to blame for what a verdict found wrong, given the changes that would allow it."""
    if verdict.fits or verdict.under is None:
        return ()
    # The numbers of the lines are those of the text.
    numbered = drop_in if all(one.line for one in drop_in.settings) else parse(drop_in.render())
    return blame(numbered, named_and_expected(verdict), changes, host, verdict.under.header.unit)


def named_and_expected(verdict: Verdict) -> tuple[Denial, ...]:
    """Return what was denied, and, of what was recorded before, what the model says is denied and was not reached."""
    seen = {denial.fact.behaviour for denial in verdict.denials}
    return (*verdict.denials, *(denial for denial in verdict.expected if denial.fact.behaviour not in seen))


def suggestions(
    drop_in: DropIn, verdict: Verdict, host: HostFacts, before: Profile | None = None
) -> tuple[Relaxation, ...]:
    """Return the smallest changes that allow what a verdict found blocked, by the model; none if it has no answer."""
    if verdict.fits or verdict.under is None:
        return ()
    # What failed does not always say why (a capability, for instance), and what fails early hides what comes later:
    # what was recorded before says both.
    known = [denial for denial in named_and_expected(verdict) if denial.directive]
    # What failed under the drop-in says nothing about what may fail without it.
    worked = {fact for fact in verdict.under.facts if fact.outcome in {OK, UNKNOWN}}
    recorded: frozenset[Fact] = before.facts if before is not None else frozenset()
    return relax(drop_in, known, Profile(verdict.under.header, frozenset(worked | recorded)), host)
