"""A recording: a service lives its life, or a command runs, while a recorder watches; facts are what is left of it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from policy.behaviour import Phase
from policy.recording import Header, Loss, Recording
from policy.recording import Workload as WorkloadResult
from policy.service_profile import Profile
from policy.unit_settings import UnitSettings
from profiler.errors import ToolError
from profiler.host import read_host_facts
from profiler.machine import Machine
from profiler.normalise.attribution import Scope
from profiler.normalise.objects import MachineObjects
from profiler.normalise.recording import Normaliser
from profiler.recorders.base import Losses
from profiler.recorders.strace import StraceRecorder
from profiler.recorders.strace_command import availability
from profiler.unit.life import Life, Lived, PhaseClock
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.version import VERSION

WITHOUT_UNIT = "command"
"""The unit name of a profile that was recorded from a command instead of a unit."""


@dataclass(frozen=True)
class Recorded:
    """What came of a recording: the profile, and how the service or the command fared during it."""

    profile: Profile
    lived: Lived = field(default_factory=Lived)
    error: ToolError | None = None  # why the service did not live its life to the end
    status: int = 0  # of a recorded command; negative for the signal that ended it
    lines: int = 0  # lines of trace that were read
    notes: Losses = field(default_factory=Losses)  # where the recorder could not tell and chose the looser answer


def record_unit(
    unit: Unit,
    *,
    workload: Workload | None = None,
    serving_for: float = 0.0,
    announce: Callable[[str], None] = lambda _text: None,
) -> Recorded:
    """Record a whole life of a unit; it is left running, or stopped, as it was found.

    The recorder attaches to PID 1, so that every process of the unit is seen from its birth and nothing about the
    unit changes. A service that does not come up, a failing workload and Ctrl-C cut the recording short but keep it:
    the result says so. Raises ToolError when the recorder cannot work.
    """
    require_available(unit.machine)
    settings = unit.settings()
    clock = PhaseClock()
    scope = Scope(unit.name, unit.properties()["ControlGroup"], settings.exec_lines)
    normaliser = Normaliser(scope, MachineObjects(unit.machine), started=time.time(), phase_at=clock.at)
    with StraceRecorder(unit.machine, normaliser.feed, decode=normaliser.needed_calls) as recorder:
        lived, error = _drive(Life(unit, workload, serving_for, announce), clock)
    normaliser.finish()
    result = _workload_result(workload is not None, lived)
    recording = _recording(unit.machine, recorder.losses, normaliser, clock.seen, result)
    never_ran = tuple(sorted({line.kind for line in settings.exec_lines} - _lines_seen(normaliser)))
    profile = Profile(
        Header(settings, frozenset({replace(recording, unobserved=never_ran)})), frozenset(normaliser.facts())
    )
    return Recorded(profile, lived, error, 0, recorder.lines, normaliser.notes)


def require_available(machine: Machine, *, attaching: bool = True) -> None:
    """Raise ToolError with the remedy if no recorder works on the machine."""
    answer = availability(machine, (1,) if attaching else ())
    if not answer.available:
        raise ToolError(f"nothing can be recorded on {machine.name}: {answer.reason}", hint=answer.remedy)


def _drive(life: Life, clock: PhaseClock) -> tuple[Lived, ToolError | None]:
    try:
        return life.drive(clock), None
    except ToolError as error:
        return Lived(), error


def record_command(machine: Machine, command: Sequence[str]) -> Recorded:
    """Record a command and everything it starts; its input and output are the caller's.

    Raises ToolError if it cannot be run.
    """
    require_available(machine, attaching=False)
    settings = UnitSettings(name=WITHOUT_UNIT)
    normaliser = Normaliser(Scope(), MachineObjects(machine), started=time.time())
    with StraceRecorder(machine, normaliser.feed, decode=normaliser.needed_calls, command=command) as recorder:
        status = recorder.wait()
    normaliser.finish()
    phases = (Phase.START_UP, Phase.SERVING)
    recording = _recording(machine, recorder.losses, normaliser, phases, WorkloadResult.NONE)
    profile = Profile(Header(settings, frozenset({recording})), frozenset(normaliser.facts()))
    return Recorded(profile, status=status, lines=recorder.lines, notes=normaliser.notes)


def _workload_result(given: bool, lived: Lived) -> WorkloadResult:
    if lived.workload_error is not None:
        return WorkloadResult.FAILED
    return WorkloadResult.OK if given and not lived.interrupted else WorkloadResult.NONE


def _lines_seen(normaliser: Normaliser) -> set[str]:
    return {fact.exec_line.lstrip("-@:+!|") for fact in normaliser.facts()}


def _recording(
    machine: Machine,
    recorder_losses: Losses,
    normaliser: Normaliser,
    phases: Sequence[Phase],
    workload: WorkloadResult,
) -> Recording:
    host = read_host_facts(machine)
    losses = []
    for gathered in (recorder_losses, normaliser.losses):
        losses += [Loss(kind, count, gathered.samples.get(kind, "")) for kind, count in gathered.counts.items()]
    return Recording(
        identity=secrets.token_hex(8),
        recorders=("strace",),
        systemd_version=host.systemd_version,
        kernel=os.uname().release,
        architecture=host.architecture,
        tool_version=VERSION,
        phases=frozenset(phases),
        losses=tuple(sorted(losses, key=repr)),
        workload=workload,
    )
