"""Law 7: recorders agree on what both can see. Each daemon lives the same life twice, in two fresh twins."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from policy.behaviour import (
    Access,
    CapabilityUsed,
    Fact,
    Known,
    PathPair,
    PathUse,
    SignalSent,
    SystemCall,
)
from profiler import twin
from profiler.engines.choice import Engine
from profiler.record import record_unit
from profiler.recorders.ebpf.availability import availability
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from tests.requirements import require
from tests.system.daemons import DAEMONS, Daemon
from tests.twin_fixtures import require_twin

NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Difference:
    """A difference that is accepted: which facts of strace's it covers, and why they need no counterpart."""

    reason: str
    covers: Callable[[Fact], bool]


def _call(name: str) -> Callable[[Fact], bool]:
    return lambda fact: isinstance(fact.behaviour, SystemCall) and fact.behaviour.name == name


ACCEPTED = (
    Difference(
        "rt_sigreturn has no result: strace shows what the interrupted call had, the kernel's side only that it ran",
        _call("rt_sigreturn"),
    ),
    Difference("the tracer itself makes calls restart", _call("restart_syscall")),
    Difference(
        "how a call ends that sleeps, and in which phase it counts, depends on when the other processes run",
        lambda fact: isinstance(fact.behaviour, SystemCall) and fact.outcome in {"unknown", "EINTR", "EAGAIN"},
    ),
    Difference(
        "how often a helper that polls looks depends on the speed of the service",
        lambda fact: isinstance(fact.behaviour, SystemCall) and fact.behaviour.name in {"pselect6", "select", "poll"},
    ),
    Difference(
        "strace tells by the birth time whether open() created a file, and a copy-up of the overlay looks like a birth;"
        " the kernel's side has FMODE_CREATED",
        lambda fact: (
            isinstance(fact.behaviour, PathUse) and fact.behaviour.access is Access.CREATE and "open" in fact.evidence
        ),
    ),
    Difference(
        "strace knows only living processes: a signal to one of the service's that has just ended goes to another",
        lambda fact: isinstance(fact.behaviour, SignalSent) and fact.outcome == "ESRCH",
    ),
    Difference(
        "strace infers capabilities generously where it does not know an owner or a limit",
        lambda fact: (
            isinstance(fact.behaviour, CapabilityUsed)
            and fact.known is Known.INFERRED
            and "unknown" in fact.behaviour.reason
        ),
    ),
)


def _comparable(fact: Fact) -> tuple[object, ...]:
    # Without evidence and reasons; process numbers and random parts of names differ between two lives.
    behaviour: object = fact.behaviour
    if isinstance(behaviour, CapabilityUsed):
        behaviour = (type(behaviour).__name__, behaviour.capability)
    elif isinstance(behaviour, PathUse | PathPair):
        behaviour = NUMBER.sub("N", repr(behaviour))
    elif isinstance(behaviour, SystemCall):
        # A call that sleeps across a change of phase counts where it began, or where it ended.
        return type(behaviour).__name__, behaviour, fact.outcome, fact.exec_line, fact.user
    return type(fact.behaviour).__name__, behaviour, fact.outcome, fact.phase, fact.exec_line, fact.user


def _live(daemon: Daemon, engine: Engine) -> frozenset[Fact]:
    with twin.up(packages=daemon.packages) as machine:
        recorded = record_unit(Unit.load(machine, daemon.unit), workload=Workload(daemon.workload), engine=engine)
    assert recorded.error is None
    assert recorded.profile.header.recorders == (engine.value,)
    assert recorded.profile.header.losses == ()
    return recorded.profile.facts


@pytest.mark.parametrize("daemon", DAEMONS, ids=lambda daemon: daemon.name)
def test_what_strace_sees_the_kernels_side_sees(daemon: Daemon) -> None:
    require_twin()
    answer = availability()
    require(answer.available, f"the eBPF recorder cannot work here: {answer.reason}")
    in_kernel = {_comparable(fact) for fact in _live(daemon, Engine.EBPF)}
    missing = [
        fact
        for fact in _live(daemon, Engine.STRACE)
        if _comparable(fact) not in in_kernel and not any(rule.covers(fact) for rule in ACCEPTED)
    ]
    assert not missing, "\n".join(map(str, missing))
