"""What the model says of a probe under settings, and whether that is what happened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from policy.behaviour import OK, CapabilityUsed, Fact, Mounted, SocketAddress
from policy.sandbox.denial import Denial
from policy.sandbox.hidden import EMPTY, FEWER, LOST
from policy.sandbox.mount_table import UNSEEN
from policy.sandbox.sandbox import Sandbox
from tests.conformance.laboratory import Result
from tests.conformance.probe_kind import Probe

UNSTABLE = "unstable"
UNKNOWN_ANSWER = "?"
MISSING: Result = ("nothing", "")


class Verdict(StrEnum):
    """How a pair of settings and a probe came out."""

    AGREED = "agreed"
    EXPLAINED = "explained"
    DISAGREED = "disagreed"


@dataclass(frozen=True)
class Pair:
    """One comparison: what was seen without the settings, with them, and what the model says."""

    directive: str
    label: str
    user: int
    probe: Probe
    before: Result
    after: Result
    denial: Denial | None
    verdict: Verdict
    reason: str = ""

    def line(self) -> str:
        """Return it in one line, for people."""
        predicted = f"{self.denial.outcome} ({self.denial.setting})" if self.denial else "as before"
        who = "root" if self.user == 0 else "the tester"
        return (
            f"{self.label} | {self.probe.name}, by {who}: {' '.join(self.before)} -> {' '.join(self.after)}, "
            f"but predicted: {predicted}{f' [{self.reason}]' if self.reason else ''}"
        )


def predict(sandbox: Sandbox, probe: Probe, before: Result, user: int) -> Denial | None:
    """Return the first denial that the kernel would come to: filters at entry, then the checks in order."""
    # A kernel that lacks the call has not asked for the capability either.
    met = [one for one in probe.behaviours if before[0] != "ENOSYS" or not isinstance(one, CapabilityUsed)]
    facts = [Fact(behaviour, before[0], user=user) for behaviour in met]
    denials = [denial for fact in facts if (denial := sandbox.judge(fact)) is not None]
    filtered = [denial for fact in facts if (denial := sandbox.filters.judge(fact)) is not None]
    return next(iter((*filtered, *denials)), None)


def came_true(probe: Probe, denial: Denial | None, before: Result, after: Result, *, left_trace: bool) -> bool:
    """Whether what happened is what the model says."""
    same_answer = before[1] == after[1] or before[1] == UNKNOWN_ANSWER or probe.varies
    if denial is None:
        return after[0] == before[0] and same_answer
    successes = {
        EMPTY: after[1] == "empty" or probe.action[0] != "read",
        FEWER: before[1] != after[1],
        LOST: not (probe.trace and left_trace),
        UNSEEN: True,
    }
    if denial.outcome in successes:
        return after[0] == OK and successes[denial.outcome]
    is_other_answer = bool(denial.note) or probe.silent
    return after[0] == denial.outcome or (is_other_answer and after[0] == OK and not same_answer)


def is_convention(probe: Probe, denial: Denial | None, before: Result, after: Result) -> str:
    """Return why a denial of the model that no call shows is right all the same; empty if there is no reason."""
    if denial is None:
        return ""
    met = [behaviour for behaviour in probe.behaviours if isinstance(behaviour, SocketAddress)]
    if met and met[0].operation == "bind" and denial.directive == "PrivateNetwork" and after[0] == OK:
        return "the bind succeeds, in a network where nobody can reach it"
    if any(isinstance(behaviour, Mounted) for behaviour in probe.behaviours) and after[0] == OK:
        return "the mount succeeds, and stays inside of the service"
    return ""
