"""Compares what came of each probe with what the model says of the fact."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from policy.behaviour import (
    OK,
    UNKNOWN,
    Behaviour,
    CapabilityUsed,
    Fact,
    NamespaceUsed,
    PathPair,
    PathUse,
    SocketAddress,
    SocketOpened,
    SystemCall,
)
from policy.fact_order import ordered
from policy.host_facts import HostFacts
from policy.sandbox.denial import Denial
from policy.sandbox.hidden import EMPTY, FEWER, LOST
from policy.sandbox.mount_table import UNSEEN
from policy.sandbox.sandbox import Sandbox
from policy.service_profile import Profile
from policy.settings import Assignment, build_sandbox, parse_settings
from policy.wording import behaviour_in_words
from profiler.probe.action import Action
from profiler.probe.probing import Probed, Seen, Task, capability_of


class Verdict(StrEnum):
    """How a fact came out."""

    AGREED = "agreed"
    DIFFERENT = "different"
    NOT_PROBED = "not probed"


@dataclass(frozen=True)
class Compared:
    """One fact: what the model says, and what was seen without the drop-in and with it."""

    fact: Fact
    verdict: Verdict
    denial: Denial | None = None
    before: str = ""
    after: str = ""
    reason: str = ""

    @property
    def is_blocked(self) -> bool:
        """Whether the probe was refused under the drop-in what it was allowed without, whatever the model says."""
        return self.verdict is Verdict.DIFFERENT and self.before == OK and self.after not in {OK, ""}

    @property
    def words(self) -> str:
        """The fact in one line."""
        return f"{behaviour_in_words(self.fact.behaviour)}, by user {self.fact.user}"

    def in_words(self) -> str:
        """Return the fact and both answers in one line."""
        said = f"{self.denial.outcome} ({self.denial.setting})" if self.denial else "as without it"
        return f"{self.words}: {self.before} -> {self.after}; the model says: {said}"


@dataclass(frozen=True)
class Agreement:
    """All facts compared; ``failures`` say why a unit with the sandbox did not start."""

    compared: tuple[Compared, ...]
    failures: tuple[str, ...] = ()

    def of(self, verdict: Verdict) -> tuple[Compared, ...]:
        """Return the facts that came out so."""
        return tuple(one for one in self.compared if one.verdict is verdict)

    @property
    def is_blocked(self) -> bool:
        """Whether a probe was refused something, or the unit does not even start."""
        return bool(self.failures) or any(one.is_blocked for one in self.compared)

    @property
    def reasons(self) -> Counter[str]:
        """Why facts were not probed, and how many each."""
        return Counter(one.reason for one in self.of(Verdict.NOT_PROBED))


def compare(profile: Profile, drop_in: Sequence[Assignment], host: HostFacts, probed: Probed) -> Agreement:
    """Judge every fact of a profile as the probe met it, and compare."""
    unit = profile.header.unit
    sandboxes = tuple(
        build_sandbox(parse_settings(settings, host), host, unit)
        for settings in (unit.assignments, (*unit.assignments, *drop_in))
    )
    overrides = any(_overrides(fact) for fact in profile.facts)
    compared = tuple(_compared(fact, probed, sandboxes, overrides=overrides) for fact in ordered(profile.facts))
    return Agreement(compared, tuple(dict.fromkeys(probed.failures)))


def _overrides(fact: Fact) -> bool:
    return isinstance(fact.behaviour, CapabilityUsed) and fact.behaviour.capability == "CAP_DAC_OVERRIDE"


def _compared(fact: Fact, probed: Probed, sandboxes: Sequence[Sandbox], *, overrides: bool) -> Compared:
    task = Task.of(fact)
    before, after = probed.before[task], probed.after[task]
    if before.reason:
        return Compared(fact, Verdict.NOT_PROBED, reason=before.reason)
    own, merged = sandboxes
    met = dataclasses.replace(fact, outcome=before.outcome)
    denial = merged.judge(met) if own.judge(met) is None else None
    result = Compared(fact, Verdict.AGREED, denial, before.outcome, after.outcome or after.reason)
    action = task.action
    assert isinstance(action, Action)
    if reason := _tells_nothing(fact, action, denial, before, after):
        return dataclasses.replace(result, verdict=Verdict.NOT_PROBED, reason=reason)
    first = _refused_first(met, merged, overrides=overrides)
    if _came_true(fact, action, denial, before, after) or after.outcome in first:
        return result
    return dataclasses.replace(result, verdict=Verdict.DIFFERENT)


def _tells_nothing(fact: Fact, action: Action, denial: Denial | None, before: Seen, after: Seen) -> str:
    """Return why a probe that was made tells nothing about the fact; empty if it does."""
    if after.reason:
        return f"with the drop-in: {after.reason}"
    if after.users != before.users and denial is None:
        return "what a capability is good for in another users' namespace is not seen from outside"
    if denial is not None and denial.outcome == before.outcome:
        return "the harmless arguments of the probe fail like a refusal"
    unlike = denial is None and not action.is_bare and not _as_recorded(fact, before)
    if unlike and after.outcome == before.outcome:
        return f"recorded as {fact.outcome}, but {before.outcome} for the probe also without the drop-in"
    return ""


def _as_recorded(fact: Fact, before: Seen) -> bool:
    return before.outcome == OK or fact.outcome in {before.outcome, UNKNOWN}


def _refused_first(fact: Fact, sandbox: Sandbox, *, overrides: bool) -> set[str]:
    """Return the outcomes of what the kernel asks for before it comes to this fact: facts of their own in a profile.

    ``overrides``: the service was seen to override permissions.
    """
    match fact.behaviour:
        case SocketAddress(operation=operation, family=family, type=kind, port=port):
            asked: tuple[Behaviour, ...] = (SocketOpened(family, kind),)
            if operation == "bind" and 0 < port < 1024:
                asked += (CapabilityUsed("CAP_NET_BIND_SERVICE", "bind"),)
        case PathUse() | PathPair() if fact.user == 0 and (overrides or sandbox.judge(fact) is not None):
            asked = (CapabilityUsed("CAP_DAC_OVERRIDE", "permissions"),)
        case _:
            return set()
    denials = (sandbox.judge(Fact(behaviour, user=fact.user)) for behaviour in asked)
    return {denial.outcome for denial in denials if denial}


def _came_true(fact: Fact, action: Action, denial: Denial | None, before: Seen, after: Seen) -> bool:
    same_answer = before.answer == after.answer or action.is_volatile
    if capability_of(fact.behaviour):
        is_kept = after == before
        return is_kept == (denial is None)
    if denial is None:
        is_same = after.outcome == before.outcome and same_answer
        return is_same or (after.outcome == "ENOSYS" and _falls_back(fact))
    successes = {
        EMPTY: after.answer in {"empty", ""},
        FEWER: before.answer != after.answer,
        LOST: True,
        UNSEEN: True,
    }
    if denial.outcome in successes:
        return after.outcome == OK and successes[denial.outcome]
    other_answer = bool(denial.note) and after.outcome == OK and before.answer != after.answer
    return after.outcome == denial.outcome or other_answer


def _falls_back(fact: Fact) -> bool:
    """Whether libc does it in another way where the call does not exist: RestrictNamespaces= takes clone3(2) away.

    The model does not count that as a refusal, as long as no namespace is asked for.
    """
    match fact.behaviour:
        case SystemCall(name="clone3") | NamespaceUsed(call="clone3", kinds=()):
            return True
    return False
