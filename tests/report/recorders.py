"""The same use recorded by the other recorders: what they saw, and whether anything of it would be denied."""

from __future__ import annotations

from dataclasses import dataclass, replace

from policy.behaviour import OK, CapabilityUsed
from policy.drop_in import DropIn
from policy.host_facts import HostFacts
from policy.replay import replay
from profiler.engines.choice import Engine
from profiler.errors import ToolError
from profiler.generation import generate
from profiler.record import Recorded, record_unit
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload

OTHERS = (Engine.STRACE,)
"""Recorders that a daemon is recorded with besides the one whose drop-ins are tried; ptrace is too slow for some."""


@dataclass(frozen=True)
class Seen:
    """What one recorder saw of one use. ``blocked`` is how much of it the drop-in made from it denies by replay,
    ``crossed`` how much of it the drop-in of the level standard denies that another recorder's facts made."""

    recorder: str
    problem: str = ""
    facts: int = 0
    lost: int = 0
    capabilities: tuple[str, ...] = ()
    blocked: int = 0
    crossed: int = 0


def seen_by(engine: Engine, unit: Unit, workload: Workload, host: HostFacts, other: DropIn) -> Seen:
    """Record with one recorder and cut a drop-in; what goes wrong is an answer as well."""
    seen = Seen(str(engine))
    try:
        recorded = record_unit(unit, workload=workload, engine=engine)
        problem = _failure(recorded)
        profile = recorded.profile
        seen = replace(
            seen,
            problem=problem,
            facts=len(profile.facts),
            lost=sum(loss.count for loss in profile.header.losses),
            capabilities=_capabilities(recorded),
        )
        if problem:
            return seen
        own = generate(profile, host).drop_in
        return replace(
            seen,
            blocked=len(replay(profile, own.assignments, host).denials),
            crossed=len(replay(profile, other.assignments, host).denials),
        )
    except ToolError as error:
        return replace(seen, problem=error.message)


def _capabilities(recorded: Recorded) -> tuple[str, ...]:
    done = (fact.behaviour for fact in recorded.profile.facts if fact.outcome == OK)
    return tuple(sorted({one.capability for one in done if isinstance(one, CapabilityUsed)}))


def _failure(recorded: Recorded) -> str:
    error = recorded.error or recorded.lived.workload_error
    return error.message if error else recorded.lived.health.problem
