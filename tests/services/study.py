"""A small service recorded, and what was generated compared with what it needs."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field

from policy.decide import decide
from policy.host_facts import HostFacts
from policy.replay import replay
from profiler.engines.choice import Engine
from profiler.errors import ToolError
from profiler.generation import generate
from profiler.host import read_host_facts
from profiler.machine import Machine
from profiler.record import Recorded, record_unit
from profiler.validate.trial import on_trial
from tests.services.fixture import Needs, Service
from tests.services.strict_values import relaxed

_GLIBC = [int(part) for part in platform.libc_ver()[1].split(".") if part.isdigit()]

GRANTED_TO_ALL = frozenset({"AF_UNIX"})
"""What every drop-in of the level standard allows on purpose: syslog, readiness messages, D-Bus, name services."""

_NEEDED_BY_ALLOCATION = frozenset({"ProcSubset"} if _GLIBC >= [2, 41] else ())
"""malloc(3) of newer C libraries reads /proc/sys/vm/overcommit_memory, and so does every service."""


@dataclass(frozen=True)
class Studied:
    """What came of one service: what was generated, and why it does not work under that, if so."""

    service: str
    generated: Needs = field(default_factory=Needs)
    problem: str = ""
    blocked: int = 0

    def differences(self, needs: Needs) -> list[str]:
        """Return in words where the drop-in differs from what is needed: capabilities, families and directives.

        ``GRANTED_TO_ALL`` counts as needed if it is given, and so does what the C library needs by itself.
        """
        found = []
        granted = GRANTED_TO_ALL | _NEEDED_BY_ALLOCATION
        for what in ("capabilities", "families", "relaxed"):
            ours, theirs = getattr(self.generated, what), getattr(needs, what)
            found += [f"{what}: {name} given, not needed" for name in sorted(ours - theirs - granted)]
            found += [f"{what}: {name} needed, not given" for name in sorted(theirs - ours)]
        return found


def study(machine: Machine, service: Service, *, engine: Engine = Engine.AUTO, prove: bool = True) -> Studied:
    """Record a service, cut its drop-in, replay and, to ``prove`` it, start the service under it."""
    unit = service.stage(machine)
    try:
        host = read_host_facts(machine)
        recorded = record_unit(unit, engine=engine)
        if recorded.error is not None:
            return Studied(service.name, problem=f"while recording: {recorded.error.message}")
        needs = generated_needs(recorded, host)
        drop_in = generate(recorded.profile, host).drop_in
        blocked = len(replay(recorded.profile, drop_in.assignments, host).denials)
        problem = ""
        if prove:
            service.make_ready(machine)
            try:
                with on_trial(unit, drop_in.render()):
                    unit.systemctl.change("restart", unit.name)
            except ToolError as error:
                problem = error.message
        return Studied(service.name, needs, problem, blocked)
    except ToolError as error:
        return Studied(service.name, problem=error.message)
    finally:
        service.remove(machine)


def generated_needs(recorded: Recorded, host: HostFacts) -> Needs:
    """Return what a drop-in for this recording leaves open."""
    decision = decide(recorded.profile, host)
    values = {choice.name: choice.chosen.values() for choice in decision.choices}
    return Needs(
        _words(values.get("CapabilityBoundingSet", ())),
        _words(values.get("RestrictAddressFamilies", ())) - {"none"},
        relaxed(decision),
        _words(values.get("ReadWritePaths", ())),
    )


def _words(values: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.strip('"-') for value in values for word in value.split())
