"""One daemon measured: recorded, cut, replayed, validated, used in another way; beside it a generic drop-in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from policy import drop_in
from policy.behaviour import OK, CapabilityUsed, SocketOpened, SystemCall
from policy.compare import denied_under
from policy.drop_in import DropIn
from policy.exposure_floor import floor
from policy.host_facts import HostFacts
from policy.level import Level
from policy.replay import replay
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from policy.settings import Assignment
from policy.wording import denial_in_words
from profiler import twin
from profiler.engines.choice import Engine
from profiler.errors import ToolError
from profiler.generation import generate
from profiler.host import read_host_facts
from profiler.machine import Machine
from profiler.record import Recorded, record_unit
from profiler.unit.exposure import exposure
from profiler.unit.health import wait_until_settled
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.trial import on_trial
from tests.report.confinement import Confinement, confinement
from tests.report.outcome import Outcome, Trial
from tests.report.recorders import Seen, seen_by
from tests.system.daemons import Daemon
from tests.twin_fixtures import CHECKOUT

GENERIC = Path(__file__).resolve().parents[2] / "fixtures" / "generic-nginx.conf"
PATIENCE = 600.0
"""Seconds that one run of a workload may take."""

Say = Callable[[str], None]


@dataclass
class Stopwatch:
    """Times what happens between two announcements of a recording."""

    say: Say
    moments: list[tuple[float, str]] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        self.moments.append((time.monotonic(), text))
        self.say(text)

    def seconds(self, text: str) -> float | None:
        """Return how long it was from this announcement to the next."""
        for (began, what), (ended, _) in zip(self.moments, self.moments[1:], strict=False):
            if what == text:
                return round(ended - began, 2)
        return None


@dataclass(frozen=True)
class Study:
    """A daemon, how to record it, at which levels to cut, and where to say what is going on.

    ``others`` are recorders that look at the same use as well; ``second`` says whether there is a second use.
    """

    daemon: Daemon
    levels: tuple[Level, ...]
    engine: Engine
    say: Say
    others: tuple[Engine, ...] = ()
    second: bool = True

    @property
    def workload(self) -> Workload:
        """The use that is recorded."""
        return Workload(self.daemon.workload, PATIENCE)

    @property
    def second_use(self) -> Workload:
        """The use that is not."""
        return Workload(self.daemon.second_use, PATIENCE)

    @contextmanager
    def fresh(self) -> Iterator[Unit]:
        """Yield the unit in a twin of its own."""
        with twin.up(packages=self.daemon.packages, visible=CHECKOUT) as machine:
            unit = Unit.load(machine, self.daemon.unit)
            unit.check_may_restart()
            unit.check_without_ours()
            yield unit


def measure(study: Study, when: str) -> Outcome:
    """Return all figures of a daemon; what goes wrong is a figure as well."""
    began = time.monotonic()
    outcome = Outcome(study.daemon.name, study.daemon.unit, when=when)
    try:
        outcome = _measured(study, outcome)
    except (ToolError, OSError) as error:
        outcome = replace(outcome, problem=str(getattr(error, "message", error)))
    return replace(outcome, took=round(time.monotonic() - began, 1))


def _measured(study: Study, outcome: Outcome) -> Outcome:
    with study.fresh() as unit:
        host = read_host_facts(unit.machine)
        watch = Stopwatch(study.say)
        recorded = record_unit(unit, workload=study.workload, engine=study.engine, announce=watch)
        outcome = _described(outcome, recorded, host)
        if problem := _failure(recorded):
            return replace(outcome, problem=f"while recording: {problem}")
        before = exposure(unit.machine, unit.name)
        own = _confined(unit)
        outcome = replace(
            outcome,
            exposure_before=before,
            workload_seconds_recorded=watch.seconds("running the workload"),
            workload_seconds=_timed(lambda: study.workload.run(unit.machine)),
            capabilities_before=None if own is None else len(own.capabilities),
            calls_before=None if own is None else len(own.system_calls),
            writable_before=None if own is None else own.writable_directories,
            second_without=_tried(unit.machine, study.second_use),
        )
    profile = recorded.profile
    generic = drop_in.parse(GENERIC.read_bytes())
    outcome = replace(outcome, generic=_trial(replace(study, second=False), generic, profile, host))
    for level in study.levels:
        study.say(f"level {level}")
        generated = generate(profile, host, level=level)
        blocked = replay(profile, generated.drop_in.assignments, host).denials
        trial = _trial(study, generated.drop_in, profile, host)
        outcome = replace(
            outcome,
            levels={**outcome.levels, str(level): trial},
            replayed_blocked=outcome.replayed_blocked + len(blocked),
        )
    return replace(outcome, recorders=_seen_by_others(study, profile, host))


def _seen_by_others(study: Study, profile: Profile, host: HostFacts) -> tuple[Seen, ...]:
    standard, seen = generate(profile, host).drop_in, []
    for engine in study.others:
        study.say(f"recording with {engine}")
        with study.fresh() as unit:
            seen.append(seen_by(engine, unit, study.workload, host, standard))
    return tuple(seen)


def _described(outcome: Outcome, recorded: Recorded, host: HostFacts) -> Outcome:
    profile = recorded.profile
    done = [fact.behaviour for fact in profile.facts if fact.outcome == OK]
    lowest = floor(profile.facts, profile.header.unit, host)
    return replace(
        outcome,
        systemd=host.systemd_version,
        kernel=next(iter(profile.header.recordings)).kernel,
        recorder=", ".join(profile.header.recorders),
        runs_as_root=profile.header.unit.runs_as_root,
        facts=len(profile.facts),
        lost=sum(loss.count for loss in profile.header.losses),
        floor=lowest.level,
        floor_because=lowest.because,
        capabilities_used=tuple(sorted({one.capability for one in done if isinstance(one, CapabilityUsed)})),
        calls_used=len({one.name for one in done if isinstance(one, SystemCall)}),
        families_used=tuple(sorted({one.family for one in done if isinstance(one, SocketOpened)})),
    )


def _trial(study: Study, tried: DropIn, profile: Profile, host: HostFacts) -> Trial:
    # A new twin: as fresh as the one that was recorded, so that what is done only once is done again.
    families = [value for name, value in tried.assignments if name == "RestrictAddressFamilies" and value]
    trial = Trial(families=" ".join(families))
    with study.fresh() as unit:
        try:
            with on_trial(unit, tried.render()):
                trial = _lived(study, unit, replace(trial, exposure=exposure(unit.machine, unit.name)), tried, profile)
        except ToolError as error:
            # The twin goes anyway: that it could not be put back is of no interest, if there is a verdict.
            return trial if trial.problem else replace(trial, problem=error.message)
    return trial


def _lived(study: Study, unit: Unit, trial: Trial, tried: DropIn, profile: Profile) -> Trial:
    host = read_host_facts(unit.machine)
    recorded = record_unit(unit, workload=study.workload, engine=study.engine, announce=study.say)
    blocked = denied_under(tried.assignments, recorded.profile, host, profile)
    trial = replace(trial, problem=_failure(recorded), blocked=_in_words(blocked))
    if recorded.error is not None:
        return trial
    now = _confined(unit)
    if now is not None:
        trial = replace(
            trial,
            capabilities=tuple(sorted(now.capabilities)),
            calls_let_through=len(now.system_calls),
            writable_directories=now.writable_directories,
        )
    if not study.second:
        return trial
    study.say("second use")
    failed = _tried(unit.machine, study.second_use)
    denials = _second_denials(study, unit, tried.assignments, host) if failed else ()
    return replace(trial, second_done=True, second_problem=failed, second_blocked=denials)


def _second_denials(study: Study, unit: Unit, assignments: tuple[Assignment, ...], host: HostFacts) -> tuple[str, ...]:
    # Only to name what was denied: the verdict is that of the undisturbed run before.
    again = record_unit(unit, workload=study.second_use, engine=study.engine, announce=study.say)
    return _in_words(denied_under(assignments, again.profile, host))


def _confined(unit: Unit) -> Confinement | None:
    # None for a service that has done its work and ended: there is nothing to look at.
    unit.systemctl.reset_failed(unit.name)
    unit.systemctl.change("restart", unit.name)
    wait_until_settled(unit)  # with Type=simple the restart is over before the program has begun
    process = _some_process(unit)
    return confinement(unit.machine, process) if process else None


def _some_process(unit: Unit) -> int:
    """Return the main process; of a unit without one, as of init scripts, the first of its control group; 0 if none."""
    main = int(unit.properties()["MainPID"])
    if main:
        return main
    group = unit.systemctl.show(unit.name, ["ControlGroup"])["ControlGroup"]
    said = unit.machine.run(["cat", f"/sys/fs/cgroup{group}/cgroup.procs"]).stdout.split() if group else []
    return int(said[0]) if said else 0


def _failure(recorded: Recorded) -> str:
    error = recorded.error or recorded.lived.workload_error
    return error.message if error else recorded.lived.health.problem


def _tried(machine: Machine, workload: Workload) -> str:
    try:
        workload.run(machine)
    except ToolError as error:
        return error.message
    return ""


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return round(time.monotonic() - began, 2)


def _in_words(denials: tuple[Denial, ...]) -> tuple[str, ...]:
    return tuple(denial_in_words(denial) for denial in denials)
