"""All recorders agree: every fixture, and real daemons, under each recorder that works here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from policy.behaviour import OK, Access, CapabilityUsed, PathUse
from policy.service_profile import Profile
from profiler.engines.base import Assignment
from profiler.engines.choice import REGISTRY, Engine
from profiler.machine import Host
from profiler.normalise.attribution import Scope
from profiler.normalise.baseline import Baseline
from profiler.normalise.objects import MachineObjects
from profiler.record import record_command, record_unit
from profiler.twin import Twin
from profiler.unit.health import wait_until_settled
from profiler.unit.life import PhaseClock
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from tests.requirements import require
from tests.services.fixture import SERVICES
from tests.system.agreement import differences, inferred_capabilities_are_marked
from tests.system.daemons import DAEMONS, Daemon
from tests.twin_fixtures import TwinWith

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "services"
PROGRAMS = sorted(path.stem for path in FIXTURES.glob("*.py"))
QUICK = {"chown-foreign", "decoy-chown-own", "low-port"}
"""The small services that every run of the tests compares."""
TRACING = {"decoy-trace-own-child"}
"""Services that trace a process of their own: only a recorder that is no tracer itself can record them (ptrace(2))."""
TRACERS = {Engine.STRACE, Engine.PTRACE}
OTHERS = [engine for engine in REGISTRY if engine is not Engine.STRACE]
REFERENCE = Engine.STRACE
"""The recorder that the others are compared with: it works everywhere."""

DIFFERENT: dict[tuple[str, Engine], dict[str, str]] = {
    ("programs", Engine.EBPF): {
        "'/usr/bin/dash', <Access.EXECUTE": "the script is gone when its first line is looked for",
    },
    ("sockets", Engine.EBPF): {"'37'": "a family that Python has no name for", "AF_CAIF": "the same"},
}
"""Differences of one fixture under one recorder: a part of the difference's text, and the reason."""


def require_engine(engine: Engine) -> None:
    """Skip where this recorder cannot work."""
    answer = REGISTRY[engine].available(Assignment(Host(), Scope(), PhaseClock(), command=("true",)))
    require(answer.available, f"{engine}: {answer.reason}")


@pytest.fixture(scope="module", autouse=True)
def small_baseline() -> Iterator[None]:
    """List before each recording only the directories that the fixtures and the daemons work in: much time saved."""
    trees = (
        b"/etc",
        b"/run",
        b"/tmp",
        b"/var/log",
        b"/var/lib/tailor",
        b"/var/lib/redis",
        b"/var/lib/nginx",
        b"/var/lib/postgresql",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MachineObjects, "baseline", lambda self: Baseline.of(self._root, trees))
        yield


def record_program(machine: Twin, name: str, engine: Engine) -> Profile:
    """Record a program of ``fixtures/services`` as a command."""
    machine.path(f"/tmp/{name}.py").write_bytes((FIXTURES / f"{name}.py").read_bytes())
    place = f"/tmp/agreement-{name}"
    machine.run(["rm", "-rf", place])
    try:
        done = record_command(machine, ["/usr/bin/python3", "-B", "-I", f"/tmp/{name}.py", place], engine=engine)
    finally:
        machine.run(["rm", "-rf", place, f"/tmp/{name}.py"])
    assert done.status == 0
    return done.profile


def record_service(machine: Twin, name: str, engine: Engine) -> Profile:
    """Record a small service of ``fixtures/services``."""
    service = SMALL[name]
    unit = service.stage(machine)
    try:
        done = record_unit(unit, engine=engine)
    finally:
        service.remove(machine)
    assert done.error is None
    return done.profile


def record_daemon(machine: Twin, name: str, engine: Engine) -> Profile:
    """Record a life of a real daemon."""
    done = record_unit(warm(machine, name), workload=Workload(REAL[name].workload), engine=engine)
    assert done.error is None and done.lived.workload_error is None
    return done.profile


@cache
def warm(machine: Twin, name: str) -> Unit:
    """Return a daemon's unit after two starts and uses: what only the first one does, no later recording could see."""
    unit = Unit.load(machine, REAL[name].unit)
    for _ in range(2):
        unit.systemctl.change("restart", unit.name)
        wait_until_settled(unit)
        Workload(REAL[name].workload).run(machine)
    return unit


STORE = "create table t(i int); insert into t select generate_series(1,1000); checkpoint; drop table t;"
POSTGRESQL = Daemon(
    "postgresql", "postgresql@15-main.service", ("postgresql",), f"su postgres -c \"psql -c '{STORE}'\"", "true"
)
REAL = {
    daemon.name: daemon for daemon in (*DAEMONS, POSTGRESQL) if daemon.name in {"nginx", "redis-server", "postgresql"}
}
SMALL = {service.name: service for service in SERVICES}
KINDS = {"program": record_program, "service": record_service, "daemon": record_daemon}


def cases() -> Iterator[object]:
    """Yield every program, service and daemon under every other recorder; what takes long is marked."""
    for engine in OTHERS:
        for kind, names in {"program": PROGRAMS, "service": SMALL, "daemon": REAL}.items():
            for name in sorted(set(names) - TRACING):
                quick = engine is not Engine.PTRACE and (kind == "program" or name in QUICK)
                yield pytest.param(kind, name, engine, marks=() if quick else pytest.mark.long)


@pytest.fixture(scope="module")
def recorded(twin_with: TwinWith) -> Callable[[str, str, Engine], Profile]:
    """Return a function that records a program, a service or a daemon with an engine, once."""

    @cache
    def record(kind: str, name: str, engine: Engine) -> Profile:
        require_engine(engine)
        packages = {package for daemon in REAL.values() for package in daemon.packages} if kind == "daemon" else ()
        profile = KINDS[kind](twin_with(*packages), name, engine)
        assert profile.header.losses == ()
        return profile

    return record


@pytest.mark.parametrize(("kind", "name", "engine"), list(cases()))
def test_recorders_agree(kind: str, name: str, engine: Engine, recorded: Callable[[str, str, Engine], Profile]) -> None:
    """# hard case 263."""
    reference, other = (recorded(kind, name, one) for one in (REFERENCE, engine))
    found = differences(reference.facts, other.facts, generalise=kind == "daemon")

    declared = DIFFERENT.get((name, engine), {})
    assert [line for line in found if not any(part in line for part in declared)] == []


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        pytest.param(name, engine, marks=() if name in QUICK and engine is REFERENCE else pytest.mark.long)
        for engine in REGISTRY
        for name in SMALL
        if name not in TRACING or engine not in TRACERS
    ],
)
def test_capabilities_are_those_that_are_needed(
    name: str, engine: Engine, recorded: Callable[[str, str, Engine], Profile]
) -> None:
    """# hard case 109, 117: decoys add none, and none that the oracle found to be needed is missing."""
    used = {
        fact.behaviour.capability
        for fact in recorded("service", name, engine).facts
        if isinstance(fact.behaviour, CapabilityUsed) and fact.outcome == OK
    }
    assert used == SMALL[name].needs.capabilities


@pytest.mark.long
@pytest.mark.parametrize("engine", sorted(TRACERS))
@pytest.mark.parametrize("name", sorted(TRACING))
def test_a_tracer_says_that_a_service_could_not_trace(name: str, engine: Engine, twin_with: TwinWith) -> None:
    """# hard case 21."""
    require_engine(engine)
    service, machine = SMALL[name], twin_with()
    try:
        done = record_unit(service.stage(machine), engine=engine)
    finally:
        service.remove(machine)
    assert any("record it with another engine" in loss.kind for loss in done.profile.header.losses)


@pytest.mark.parametrize("engine", [Engine.STRACE, Engine.PTRACE])
def test_capabilities_that_nobody_saw_are_marked_as_inferred(
    engine: Engine, recorded: Callable[[str, str, Engine], Profile]
) -> None:
    """# hard case 107."""
    assert inferred_capabilities_are_marked(recorded("program", "capabilities", engine).facts)


@pytest.mark.parametrize(
    "engine", [pytest.param(one, marks=pytest.mark.long if one is Engine.PTRACE else ()) for one in REGISTRY]
)
def test_hostile_names_give_exactly_their_true_facts(
    engine: Engine, recorded: Callable[[str, str, Engine], Profile]
) -> None:
    """# hard case 11: a name can neither forge nor damage a line."""
    names: dict[str, object] = {}
    exec((FIXTURES / "hostile_names.py").read_text(), names)
    wanted = {b"/tmp/agreement-hostile_names/" + name for name in names["NAMES"]}  # type: ignore[attr-defined]
    made = {
        fact.behaviour.path.encode("utf-8", "surrogateescape")
        for fact in recorded("program", "hostile_names", engine).facts
        if isinstance(fact.behaviour, PathUse)
        and fact.behaviour.access is Access.CREATE
        and "agreement-hostile_names/" in fact.behaviour.path
    }
    assert made == wanted
