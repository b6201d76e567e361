"""What a validation round costs beyond the workload and the service's own starts and stops, in a twin that is up."""

from __future__ import annotations

import time
from collections.abc import Callable

from policy.drop_in import parse
from profiler import twin
from profiler.host import read_host_facts
from profiler.machine import Machine
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.minimising import lives
from profiler.validate.validation import validate
from tests.benchmarks.row import Row
from tests.system.daemons import ALL_DAEMONS, Daemon
from tests.twin_fixtures import CHECKOUT

NAME = "a validation round, beyond the workload and the service's own starts and stops"
ROUNDS = 5
DAEMONS = ("nginx", "redis-server")
DROP_IN = parse("[Service]\nProtectHome=yes\nPrivateTmp=yes\nProtectKernelModules=yes\n")


def measure() -> list[Row]:
    """Measure validation, and a question of minimising, side by side with what the service itself takes."""
    twin.require_possible()
    rows = []
    for daemon in (daemon for daemon in ALL_DAEMONS if daemon.name in DAEMONS):
        with twin.up(packages=daemon.packages, visible=CHECKOUT) as machine:
            rows += _of(daemon, machine)
    return rows


def _of(daemon: Daemon, machine: Machine) -> list[Row]:
    unit, workload, host = Unit.load(machine, daemon.unit), Workload(daemon.workload), read_host_facts(machine)
    unit.systemctl.change("start", unit.name)
    workload.run(machine)

    def round_() -> None:
        verdict = validate(unit, DROP_IN.render(), DROP_IN.assignments, host, workload=workload)
        assert not verdict.problem, verdict.problem

    own, validated = [], []
    for _ in range(ROUNDS):
        own.append(_own_seconds(unit, workload))
        validated.append(_seconds(round_))
    beyond = [whole - least for whole, least in zip(validated, own, strict=True)]
    with lives(unit, DROP_IN, workload) as works:
        asked = [_seconds(lambda: works(DROP_IN)) for _ in range(ROUNDS)]
    return [
        Row.of(f"{daemon.name}: its own restart, workload, reload, restart", own, "s"),
        Row.of(f"{daemon.name}: validation round", validated, "s"),
        Row.of(f"{daemon.name}: beyond its own", beyond, "s", bar=3.0),
        Row.of(f"{daemon.name}: question of minimise", asked, "s"),
    ]


def _own_seconds(unit: Unit, workload: Workload) -> float:
    # What a round makes the service do, by systemctl alone.
    def alone() -> None:
        unit.machine.run(["systemctl", "restart", unit.name])
        workload.run(unit.machine)
        if unit.properties()["CanReload"] == "yes":
            unit.machine.run(["systemctl", "reload", unit.name])
        unit.machine.run(["systemctl", "restart", unit.name])

    return _seconds(alone)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
