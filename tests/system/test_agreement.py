"""All recorders agree: every fixture, and real daemons, under each recorder that works here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from policy.behaviour import Access, PathUse
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
from tests.system.agreement import differences, inferred_capabilities_are_marked
from tests.system.daemons import DAEMONS, Daemon
from tests.twin_fixtures import TwinWith

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "services"
SERVICES = sorted(path.stem for path in FIXTURES.glob("*.py"))
OTHERS = [engine for engine in REGISTRY if engine is not Engine.STRACE]
REFERENCE = Engine.STRACE
"""The recorder that the others are compared with: it works everywhere."""

DIFFERENT: dict[tuple[str, Engine], dict[str, str]] = {
    ("programs", Engine.EBPF): {
        "'/usr/bin/dash', <Access.EXECUTE": "the script is gone when its first line is looked for",
        "'/usr/usr'": "a fault of the eBPF recorder: the root is taken for a relative path after chroot()",
    },
    ("capabilities", Engine.EBPF): {
        "/status'": "a fault of the eBPF recorder: whose process it was is asked when the process is gone",
    },
    ("sockets", Engine.EBPF): {"'37'": "a family that Python has no name for", "AF_CAIF": "the same"},
    ("postgresql", Engine.EBPF): {
        "'CAP_SYS_RESOURCE'": "inferred from writing oom_score_adj: what was written is not recorded",
    },
}
"""Differences of one fixture under one recorder: a part of the difference's text, and the reason."""


def require_engine(engine: Engine) -> None:
    """Skip where this recorder cannot work."""
    answer = REGISTRY[engine].available(Assignment(Host(), Scope(), PhaseClock(), command=("true",)))
    require(answer.available, f"{engine}: {answer.reason}")


@pytest.fixture(scope="module", autouse=True)
def small_baseline() -> Iterator[None]:
    """List before each recording only the directories that the fixtures and the daemons work in: much time saved."""
    trees = (b"/etc", b"/run", b"/tmp", b"/var/log", b"/var/lib/redis", b"/var/lib/nginx", b"/var/lib/postgresql")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MachineObjects, "baseline", lambda self: Baseline.of(self._root, trees))
        yield


@pytest.fixture(scope="module")
def recorded(session_twin: Twin) -> Callable[[str, Engine], Profile]:
    """Return a function that records a fixture with an engine, once."""

    @cache
    def record(name: str, engine: Engine) -> Profile:
        require_engine(engine)
        program = session_twin.path(f"/tmp/{name}.py")
        program.write_bytes((FIXTURES / f"{name}.py").read_bytes())
        place = f"/tmp/agreement-{name}"
        session_twin.run(["rm", "-rf", place])
        try:
            done = record_command(
                session_twin, ["/usr/bin/python3", "-B", "-I", f"/tmp/{name}.py", place], engine=engine
            )
        finally:
            session_twin.run(["rm", "-rf", place, f"/tmp/{name}.py"])
        assert done.status == 0
        assert done.profile.header.losses == ()
        return done.profile

    return record


@pytest.mark.parametrize(
    "engine", [pytest.param(one, marks=pytest.mark.long if one is Engine.PTRACE else ()) for one in OTHERS]
)
@pytest.mark.parametrize("name", SERVICES)
def test_recorders_agree_on_a_fixture(name: str, engine: Engine, recorded: Callable[[str, Engine], Profile]) -> None:
    found = differences(recorded(name, REFERENCE).facts, recorded(name, engine).facts)

    declared = DIFFERENT.get((name, engine), {})
    assert [line for line in found if not any(part in line for part in declared)] == []


STORE = "create table t(i int); insert into t select generate_series(1,1000); checkpoint; drop table t;"
POSTGRESQL = Daemon(
    "postgresql", "postgresql@15-main.service", ("postgresql",), f"su postgres -c \"psql -c '{STORE}'\"", "true"
)
REAL = {
    daemon.name: daemon for daemon in (*DAEMONS, POSTGRESQL) if daemon.name in {"nginx", "redis-server", "postgresql"}
}


@pytest.fixture(scope="module")
def lived(twin_with: TwinWith) -> Callable[[str, Engine], Profile]:
    """Return a function that records a life of a daemon with an engine, once."""
    machine = twin_with(*(package for daemon in REAL.values() for package in daemon.packages))

    @cache
    def warm(name: str) -> Unit:
        # What only the first start and the first use do, no later recording could see again.
        unit = Unit.load(machine, REAL[name].unit)
        for _ in range(2):
            unit.systemctl.change("restart", unit.name)
            wait_until_settled(unit)
            Workload(REAL[name].workload).run(machine)
        return unit

    @cache
    def record(name: str, engine: Engine) -> Profile:
        require_engine(engine)
        done = record_unit(warm(name), workload=Workload(REAL[name].workload), engine=engine)
        assert done.error is None and done.lived.workload_error is None
        assert done.profile.header.losses == ()
        return done.profile

    return record


@pytest.mark.long
@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("name", REAL)
def test_recorders_agree_on_a_daemon(name: str, engine: Engine, lived: Callable[[str, Engine], Profile]) -> None:
    found = differences(lived(name, REFERENCE).facts, lived(name, engine).facts, generalise=True)

    declared = DIFFERENT.get((name, engine), {})
    assert [line for line in found if not any(part in line for part in declared)] == []


@pytest.mark.parametrize("engine", [Engine.STRACE, Engine.PTRACE])
def test_capabilities_that_nobody_saw_are_marked_as_inferred(
    engine: Engine, recorded: Callable[[str, Engine], Profile]
) -> None:
    """# hard case 107."""
    assert inferred_capabilities_are_marked(recorded("capabilities", engine).facts)


def test_hostile_names_give_exactly_their_true_facts(recorded: Callable[[str, Engine], Profile]) -> None:
    """# hard case 11: a name can neither forge nor damage a line."""
    names: dict[str, object] = {}
    exec((FIXTURES / "hostile_names.py").read_text(), names)
    wanted = {b"/tmp/agreement-hostile_names/" + name for name in names["NAMES"]}  # type: ignore[attr-defined]
    made = {
        fact.behaviour.path.encode("utf-8", "surrogateescape")
        for fact in recorded("hostile_names", Engine.STRACE).facts
        if isinstance(fact.behaviour, PathUse)
        and fact.behaviour.access is Access.CREATE
        and "agreement-hostile_names/" in fact.behaviour.path
    }
    assert made == wanted
