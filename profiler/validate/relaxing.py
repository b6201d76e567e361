"""Validate, allow the least of what was blocked, validate again: until nothing is blocked or a bound is reached.

Where the model cannot say which setting is to blame, settings are taken away under real restarts until one is found
without which the service works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from policy.behaviour import OK, UNKNOWN, Fact
from policy.drop_in import DropIn
from policy.host_facts import HostFacts
from policy.relax import Relaxation, relax
from policy.replay import replay
from policy.service_profile import Profile
from profiler.validate.validation import Verdict

ROUNDS = 12
"""How often a drop-in is relaxed at most."""

Test = Callable[[DropIn], Verdict]
"""Validates one drop-in by a restart."""


@dataclass(frozen=True)
class Relaxed:
    """The last drop-in, the verdict on it, and what was relaxed on the way, in order."""

    drop_in: DropIn
    verdict: Verdict
    relaxations: tuple[Relaxation, ...] = ()
    restarts: int = 1


def validate_relaxing(
    drop_in: DropIn,
    test: Test,
    host: HostFacts,
    before: Profile | None = None,
    announce: Callable[[str], None] = lambda _text: None,
) -> Relaxed:
    """Return a drop-in that fits, or the last one that was tried. Raises what ``test`` raises."""
    counted = _Counted(test, announce)
    verdict = counted(drop_in)
    changes: list[Relaxation] = []
    for _ in range(ROUNDS):
        if verdict.fits:
            break
        found = suggestions(drop_in, verdict, host, before) or bisect(drop_in, verdict, counted, announce)
        if not found:
            break
        for change in found:
            announce(f"relaxing: {change}")
            drop_in = change.applied_to(drop_in)
        changes += found
        verdict = counted(drop_in)
    return Relaxed(drop_in, verdict, tuple(changes), counted.count)


class _Counted:
    def __init__(self, test: Test, announce: Callable[[str], None]) -> None:
        self.test = test
        self.announce = announce
        self.count = 0

    def __call__(self, drop_in: DropIn) -> Verdict:
        self.count += 1
        if self.count > 1:
            self.announce(f"test restart number {self.count}")
        return self.test(drop_in)


def suggestions(
    drop_in: DropIn, verdict: Verdict, host: HostFacts, before: Profile | None = None
) -> tuple[Relaxation, ...]:
    """Return the smallest changes that allow what a verdict found blocked, by the model; none if it has no answer."""
    if verdict.fits or verdict.under is None:
        return ()
    known = [denial for denial in verdict.denials if denial.directive]
    if not known and before is not None:
        # What failed does not say why (a capability, for instance): what was recorded before does.
        known = list(replay(before, drop_in.assignments, host).blocked)
    # What failed under the drop-in says nothing about what may fail without it.
    worked = {fact for fact in verdict.under.facts if fact.outcome in {OK, UNKNOWN}}
    recorded: frozenset[Fact] = before.facts if before is not None else frozenset()
    return relax(drop_in, known, Profile(verdict.under.header, frozenset(worked | recorded)), host)


def bisect(
    drop_in: DropIn, verdict: Verdict, test: Test, announce: Callable[[str], None] = lambda _text: None
) -> tuple[Relaxation, ...]:
    """Return the directive that has to go, found by restarts with fewer and fewer of them; none if it is not to blame.

    The shortest row of directives that fails ends with one to blame.
    """
    names = list(dict.fromkeys(setting.name for setting in drop_in.settings))
    if not names or not test(_with_only(drop_in, ())).fits:
        return ()
    fits, fails = 0, len(names)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        announce(f"looking for the setting to blame: {fails - fits} are left")
        if test(_with_only(drop_in, names[:middle])).fits:
            fits = middle
        else:
            fails = middle
    reason = verdict.problem or "it works without, by restarts"
    return (Relaxation(names[fails - 1], (), adds=False, reason=reason),)


def _with_only(drop_in: DropIn, names: list[str] | tuple[()]) -> DropIn:
    return replace(drop_in, settings=tuple(setting for setting in drop_in.settings if setting.name in names))
