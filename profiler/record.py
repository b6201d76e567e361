"""A recording: a service lives its life, or a command runs, while a recorder watches; facts are what is left of it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType

from policy.behaviour import Phase
from policy.host_facts import HostFacts
from policy.recording import Ending, Header, Loss, Recording
from policy.recording import Workload as WorkloadResult
from policy.service_profile import Profile
from policy.unit_settings import UnitSettings
from profiler.engines.base import Assignment, Watch
from profiler.engines.choice import Engine, choose
from profiler.errors import ToolError
from profiler.host import read_host_facts
from profiler.machine import Machine
from profiler.normalise.attribution import Scope
from profiler.pulse import Pulse
from profiler.recorders.base import Losses
from profiler.status_line import Live
from profiler.unit.account_directories import account_directories
from profiler.unit.control_group import control_group
from profiler.unit.health import Wellness
from profiler.unit.life import Life, Lived, PhaseClock
from profiler.unit.unit import RUNNING, Unit
from profiler.unit.workload import Workload
from profiler.version import VERSION

WITHOUT_UNIT = "command"
"""The unit name of a profile that was recorded from a command instead of a unit."""


Follow = Callable[[Callable[[], Live]], None]
"""Takes a function that says at any time what a recording is at: ``Step.follow`` of profiler.progress."""


def nobody(_live: Callable[[], Live]) -> None:
    """Follow nothing."""


def nothing(_text: str) -> None:
    """Announce nothing."""


@dataclass(frozen=True)
class Recorded:
    """What came of a recording: the profile, and how the service or the command fared during it."""

    profile: Profile
    lived: Lived = field(default_factory=Lived)
    error: ToolError | None = None  # why the service did not live its life to the end
    status: int = 0  # of a recorded command; negative for the signal that ended it
    lines: int = 0  # lines of trace that were read
    notes: Losses = field(default_factory=Losses)  # where the recorder could not tell and chose the looser answer


class Preparation:
    """A recording of a unit that has not begun: what takes a while before it can is under way.

    With ``running``, of the unit as it runs. As a context manager, so that it is given up if it never begins. Raises
    ToolError when no recorder can work, or if a unit does not run that should.
    """

    def __init__(
        self,
        unit: Unit,
        engine: Engine = Engine.AUTO,
        announce: Callable[[str], None] = nothing,
        *,
        running: bool = False,
    ) -> None:
        self.properties = unit.properties()
        self.settings = unit.settings(self.properties)
        if running:
            refuse_stopped(unit.name, self.properties["ActiveState"])
        self.clock = PhaseClock()
        if running:
            self.clock.begin(Phase.SERVING)
        assignment = _assignment(unit, self.settings, self.clock, self.properties)
        self.watch = choose(engine, replace(assignment, running=running), announce)

    def __enter__(self) -> Preparation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.watch.give_up()


def refuse_stopped(name: str, active_state: str) -> None:
    """Raise ToolError if a unit in this state does not run, for a recording that attaches to what runs."""
    if active_state not in RUNNING:
        raise ToolError(f"{name} is not running: there is nothing to attach to", hint="leave out --attach")


def record_unit(
    unit: Unit,
    *,
    workload: Workload | None = None,
    serving_for: float = 0.0,
    engine: Engine = Engine.AUTO,
    announce: Callable[[str], None] = lambda _text: None,
    follow: Follow = nobody,
    wellness: Wellness | None = None,
    leaves_stopped: bool = False,
    host: HostFacts | None = None,
    prepared: Preparation | None = None,
) -> Recorded:
    """Record a whole life of a unit; it is left running, or stopped, as it was found, or always ``leaves_stopped``.

    ``host`` is what ``read_host_facts`` says of the machine, if that was asked for already; ``prepared`` is for callers
    that have something to do between the preparation and the beginning, and decides on the ``engine``.
    Every process of the unit is seen from its birth and nothing about the unit changes. A service that does not come
    up, a failing workload and Ctrl-C cut the recording short but keep it: the result says so; a second Ctrl-C gives it
    up. Raises ToolError when no recorder can work.
    """
    prepared = prepared or Preparation(unit, engine, announce)
    settings, clock, watch = prepared.settings, prepared.clock, prepared.watch
    with prepared, _Timed(watch, clock) as timed:
        follow(Pulse(watch, clock, serving_for).live)
        life = Life(unit, workload, serving_for, announce, wellness or Wellness(may_end_on_reload=True), leaves_stopped)
        lived, error = _drive(life, clock)
    never_ran = tuple(sorted({line.kind for line in settings.exec_lines} - _lines_seen(watch)))
    result = _workload_result(workload is not None, lived)
    recording = _recording(host or read_host_facts(unit.machine), timed, clock.seen, lived, result)
    own = account_directories(unit.machine, settings, watch.facts())
    recording = replace(recording, unobserved=never_ran, account_directories=own)
    return _recorded(watch, settings, recording, lived=lived, error=error)


def record_running(
    unit: Unit,
    *,
    workload: Workload | None = None,
    serving_for: float = 0.0,
    engine: Engine = Engine.AUTO,
    announce: Callable[[str], None] = lambda _text: None,
    follow: Follow = nobody,
    prepared: Preparation | None = None,
) -> Recorded:
    """Record what a running service does for a while, without a restart: its processes stay what they are.

    Its start-up, reload and stop are not observed, and the profile says so. ``prepared`` is as for ``record_unit``.
    Raises ToolError if it does not run.
    """
    prepared = prepared or Preparation(unit, engine, announce, running=True)
    settings, clock, watch = prepared.settings, prepared.clock, prepared.watch
    before = prepared.properties["MainPID"]
    with prepared, _Timed(watch, clock) as timed:
        follow(Pulse(watch, clock, serving_for).live)
        lived = Life(unit, workload, serving_for, announce).attend(clock)
    if unit.properties()["MainPID"] != before:
        announce(f"{unit.name} was restarted by something else while it was watched")
    result = _workload_result(workload is not None, lived)
    kinds = {line.kind for line in settings.exec_lines}
    never_ran = tuple(sorted(kinds - _lines_seen(watch) - {"ExecStart"}))
    recording = _recording(read_host_facts(unit.machine), timed, (Phase.SERVING,), lived, result)
    own = account_directories(unit.machine, settings, watch.facts())
    recording = replace(recording, unobserved=never_ran, account_directories=own)
    return _recorded(watch, settings, recording, lived=lived)


def _assignment(unit: Unit, settings: UnitSettings, clock: PhaseClock, properties: dict[str, str]) -> Assignment:
    group = control_group(unit, properties)
    of_root = settings.user in {"", "root", "0"} and not settings.dynamic_user
    scope = Scope(unit.name, properties["ControlGroup"], settings.exec_lines, group if of_root else "")
    return Assignment(unit.machine, scope, clock, group, in_session=bool(properties.get("PAMName")))


def _recorded(
    watch: Watch,
    settings: UnitSettings,
    recording: Recording,
    *,
    lived: Lived | None = None,
    error: ToolError | None = None,
    status: int = 0,
) -> Recorded:
    profile = Profile(Header(settings, frozenset({recording})), frozenset(watch.facts()))
    return Recorded(profile, lived or Lived(), error, status, watch.lines, watch.notes)


def _drive(life: Life, clock: PhaseClock) -> tuple[Lived, ToolError | None]:
    try:
        return life.drive(clock), None
    except ToolError as error:
        return Lived(), error


def record_command(machine: Machine, command: Sequence[str], *, engine: Engine = Engine.AUTO) -> Recorded:
    """Record a command and everything it starts; its input and output are the caller's.

    Ctrl-C, which the command gets as well, ends the recording once the command has ended, and keeps it; a second one
    gives it up. Raises ToolError if the command cannot be run.
    """
    clock = PhaseClock()
    clock.begin(Phase.SERVING)
    watch = choose(engine, Assignment(machine, Scope(), clock, command=tuple(command)))
    interrupted = False
    with _Timed(watch, clock) as timed:
        try:
            status = watch.wait()
        except KeyboardInterrupt:
            interrupted = True
            status = watch.wait()
    lived = Lived(interrupted=interrupted)
    host, phases = read_host_facts(machine), (Phase.START_UP, Phase.SERVING)
    recording = _recording(host, timed, phases, lived, WorkloadResult.NONE)
    return _recorded(watch, UnitSettings(name=WITHOUT_UNIT), recording, lived=lived, status=status)


class _Timed:
    # A watch as a context manager that notes when it began, when it ended, and when each phase began.

    def __init__(self, watch: Watch, clock: PhaseClock) -> None:
        self.watch = watch
        self.clock = clock
        self.began = self.ended = time.time()

    def __enter__(self) -> _Timed:
        self.watch.__enter__()
        self.began = time.time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ended = time.time()
        self.watch.__exit__(kind, error, traceback)

    @property
    def phase_starts(self) -> tuple[tuple[int, Phase], ...]:
        """When each phase began, in milliseconds after the beginning."""
        return tuple((max(0, round((start - self.began) * 1000)), phase) for start, phase in self.clock.starts)


def _workload_result(given: bool, lived: Lived) -> WorkloadResult:
    if lived.workload_error is not None:
        return WorkloadResult.FAILED
    return WorkloadResult.OK if given and not lived.interrupted else WorkloadResult.NONE


def _lines_seen(watch: Watch) -> set[str]:
    return {fact.exec_line.lstrip("-@:+!|") for fact in watch.facts()}


def _recording(
    host: HostFacts, timed: _Timed, phases: Sequence[Phase], lived: Lived, workload: WorkloadResult
) -> Recording:
    watch = timed.watch
    losses = []
    for gathered in watch.losses:
        losses += [Loss(kind, count, gathered.samples.get(kind, "")) for kind, count in gathered.counts.items()]
    return Recording(
        identity=secrets.token_hex(8),
        recorders=(watch.name,),
        systemd_version=host.systemd_version,
        kernel=os.uname().release,
        architecture=host.architecture,
        tool_version=VERSION,
        phases=frozenset(phases),
        losses=tuple(sorted(losses, key=repr)),
        workload=workload,
        ending=Ending.INTERRUPTED if lived.interrupted else Ending.COMPLETE,
        phase_starts=timed.phase_starts,
        ended_on_reload=bool(lived.ended_on_reload),
        discovery=watch.discovery.curve(timed.began, timed.ended, len(frozenset(watch.facts()))),
    )
