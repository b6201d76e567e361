"""Calls that concern the kernel or the whole machine: signals, and whose the processes are that they reach."""

from __future__ import annotations

import pytest

from policy.behaviour import CapabilityUsed, SignalSent
from profiler.normalise.attribution import Scope
from profiler.normalise.baseline import Baseline
from profiler.normalise.credentials import Ids
from profiler.normalise.recording import Normaliser
from profiler.recorders.base import ProcessEnded, RawEvent, Symbol
from tests.profiler.normalise.calls import BareMachine, Trace


def feed(target: Normaliser, *events: RawEvent) -> None:
    for event in events:
        target.feed(event)


@pytest.mark.parametrize(("error", "foreign"), [("", True), ("ESRCH", False)])
def test_a_signal_to_a_process_that_nobody_knows_may_have_needed_a_capability(error: str, foreign: bool) -> None:
    """One that ran before the recording, and is gone when somebody looks for its owner."""
    trace, target = Trace(), Normaliser(Scope(), BareMachine(), started=1.0)
    feed(target, trace.executed(7, b"/usr/bin/stop"), trace.call(7, "kill", 41, Symbol("SIGTERM"), error=error))

    found = {fact.behaviour for fact in target.facts() if isinstance(fact.behaviour, SignalSent | CapabilityUsed)}
    assert SignalSent("other", foreign) in found
    assert (CapabilityUsed("CAP_KILL", "kill (unknown owner)") in found) is foreign


@pytest.mark.parametrize(("user", "foreign"), [(0, False), (33, True)])
def test_whose_a_process_was_before_the_recording_is_remembered(user: int, foreign: bool) -> None:
    """The service's own from before: its ExecStop= ends it, and then it is gone."""
    trace, before = Trace(), Baseline()
    before.users[41] = Ids.same(user)
    target = Normaliser(Scope(), BareMachine(), started=1.0, baseline=before)
    feed(target, trace.executed(7, b"/usr/bin/stop"), trace.call(7, "kill", 41, Symbol("SIGTERM")))

    assert SignalSent("other", foreign) in {fact.behaviour for fact in target.facts()}
    assert any(isinstance(fact.behaviour, CapabilityUsed) for fact in target.facts()) is foreign


def test_a_signal_may_return_after_the_end_of_whom_it_killed() -> None:
    trace, target = Trace(), Normaliser(Scope(), BareMachine(), started=1.0)
    events = trace.executed(7, b"/usr/bin/server"), trace.forked(7, 41), trace.call(41, "getpid")
    feed(target, *events, ProcessEnded(41, trace.time, 0), trace.call(7, "kill", 41, Symbol("SIGKILL")))

    assert [fact.behaviour for fact in target.facts() if isinstance(fact.behaviour, SignalSent)] == [SignalSent("own")]
