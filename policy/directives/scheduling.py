"""RestrictRealtime= of systemd.exec(5), "Sandboxing"."""

from __future__ import annotations

from typing import ClassVar

from policy.behaviour import Fact, SchedulingSet
from policy.directives.choice import Choice
from policy.sandbox.sandbox import Sandbox

TIME_SHARING = frozenset({"SCHED_OTHER", "SCHED_NORMAL", "SCHED_BATCH", "SCHED_IDLE"})
"""The policies that the filter lets pass (``seccomp_restrict_realtime`` in systemd's ``seccomp-util.c``)."""


class RestrictRealtime(Choice):
    """Refuses real-time scheduling policies.

    Facts are sched_setscheduler, whose second argument the filter compares as a whole, so that SCHED_RESET_ON_FORK is
    refused with every policy, and sched_setattr, which it cannot look into: there only RLIMIT_RTPRIO=0 stops those who
    have no CAP_SYS_NICE.
    """

    since: ClassVar = {"yes": 231}
    needs: ClassVar = ("SECCOMP",)
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    summary: ClassVar = "no real-time scheduling"
    denied_examples: ClassVar = {"yes": Fact(SchedulingSet("sched_setscheduler", "SCHED_FIFO"))}

    def enforce(self, sandbox: Sandbox) -> None:
        """Load the filter."""
        sandbox.filters.add(type(self).__name__, self.setting, _filter)


def _filter(fact: Fact) -> str:
    use = fact.behaviour
    if not isinstance(use, SchedulingSet):
        return ""
    realtime = use.policy not in TIME_SHARING
    if use.call == "sched_setattr":
        return "EPERM" if realtime and fact.user != 0 else ""
    return "EPERM" if realtime or use.reset_on_fork else ""
