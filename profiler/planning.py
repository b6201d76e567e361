"""Makes the plan of a recording or a hardening: everything is checked that can be, and nothing is booted or started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from policy.unit_settings import ExecLine
from profiler.engines.base import Assignment
from profiler.engines.choice import Engine, is_slow, select
from profiler.errors import ToolError, UsageError
from profiler.host import read_host_facts
from profiler.machine import Host
from profiler.machine_choice import MachineChoice, hidden_places
from profiler.normalise.attribution import Scope
from profiler.plan import Change, Place, Plan, Stage
from profiler.record import refuse_stopped
from profiler.status_line import span
from profiler.unit.life import PhaseClock
from profiler.unit.names import full_name
from profiler.unit.time_limits import WATCHDOG, time_limits
from profiler.unit.unit import (
    OUR_TEST_DROP_IN,
    PARTS_OF_THE_SYSTEM,
    RUNNING,
    Unit,
    not_found,
    refuse_ours,
    refuse_restart,
)
from profiler.unit.unit_files import find_unit_files
from profiler.unit.workload import Workload
from profiler.validate.head_room import MORE, head_room_path
from profiler.validate.relaxing import ROUNDS

TWIN = "a twin of this machine"

NOT_IN_A_TWIN = ("/run/systemd/system/", "/run/systemd/transient/")
"""Where units are that are gone at a reboot: a twin, which has just booted, does not have them."""


@dataclass(frozen=True)
class Request:
    """What the user asked for: a ``unit`` or a ``command``, and how it is to be used and watched."""

    machine_choice: MachineChoice
    engine: Engine
    unit: str | None = None
    command: tuple[str, ...] = ()
    workload: Workload | None = None
    serving_for: float = 0.0
    attach: bool = False
    check: Workload | None = None


@dataclass(frozen=True)
class _Seen:
    # What is known of the unit; None is what is seen only when the twin has booted.
    name: str
    runs: bool = False
    lines: tuple[ExecLine, ...] | None = None
    can_reload: bool | None = None
    limits: tuple[str, ...] | None = None
    in_session: bool = False

    def kinds(self, *wanted: str) -> str:
        found = dict.fromkeys(line.kind for line in self.lines or () if line.kind.startswith(wanted))
        return f" ({', '.join(found)})" if found else ""


@dataclass(frozen=True)
class _Chosen:
    # The engine, whether it can slow a service down too much, and why this one.
    name: Engine
    slow: bool
    because: tuple[str, ...]


def plan_recording(request: Request, destination: Path) -> Plan:
    """Return what ``record`` would do. Raises what it raises before it boots, starts or changes anything."""
    packages = request.machine_choice.check()
    seen = _look_at(request, packages) if request.unit is not None else None
    engine = _engine(request, packages, seen)
    recording = _recording(request, seen, engine) if seen else Stage("run the command and record it", ())
    return _plan(request, packages, engine, (recording,), (destination,), seen=seen)


def plan_hardening(
    request: Request, files: tuple[Path, ...], level: str, *, relax: bool = True, minimise: bool = False
) -> Plan:
    """Return what ``harden`` would do. Raises what it raises before it boots, starts or changes anything."""
    packages = request.machine_choice.check()
    seen = _look_at(request, packages)
    read_host_facts(Host())  # a twin's systemd is this machine's
    cut = f"cut the drop-in at level {level} and replay the recording against it (exit 3 if that blocks anything)"
    engine = _engine(request, packages, seen)
    stages = [_recording(request, seen, engine), Stage(cut, ()), _validation(request, seen, engine, relax=relax)]
    stages += [_MINIMISATION] if minimise else []
    return _plan(request, packages, engine, tuple(stages), files, seen=seen)


_MINIMISATION = Stage(
    "minimise it",
    (
        "take away, piece by piece, what the workload does not miss, by dozens of restarts in a twin",
        "validate what is left in a fresh twin",
    ),
    starts=2,
)


def _plan(
    request: Request,
    packages: tuple[str, ...],
    engine: _Chosen,
    stages: tuple[Stage, ...],
    files: tuple[Path, ...],
    *,
    seen: _Seen | None,
) -> Plan:
    unknown = seen is not None and seen.lines is None
    remarks = [f"what {seen.name} is, is seen when the twin has booted"] if seen and unknown else []
    if seen and not request.workload and not request.serving_for and not request.attach:
        remarks += ["without --workload or --for only its start, reload and stop are seen, not how it is used"]
    return Plan(
        _place(request, packages),
        engine.name,
        engine.because,
        stages,
        files,
        unit=seen.name if seen else "",
        command=request.command,
        workload=request.workload.command if request.workload else "",
        remarks=tuple(remarks),
    )


def _place(request: Request, packages: tuple[str, ...]) -> Place:
    choice = request.machine_choice
    if not choice.is_twin:
        return Place(Host.name, "systemd runs here")
    because = "asked for with --twin" if choice.twin else f"systemd does not run on {Host.name}"
    return Place(TWIN, f"{because}; it is gone afterwards", packages, hidden_places(request.workload))


def _engine(request: Request, packages: tuple[str, ...], seen: _Seen | None) -> _Chosen:
    said: list[str] = []
    assignment = Assignment(
        Host(),
        Scope(),
        PhaseClock(),
        command=request.command,
        running=request.attach,
        in_session=seen is not None and seen.in_session,
    )
    try:
        chosen = select(request.engine, assignment, said.append)
    except ToolError as error:
        if not packages:  # they may bring what is missing
            raise
        return _Chosen(request.engine, True, (f"as far as the packages bring what is missing: {error.message}",))
    reason = "the best that works here" if request.engine is Engine.AUTO else "asked for with --engine"
    return _Chosen(chosen, is_slow(chosen), tuple(said) or (reason,))


def _look_at(request: Request, packages: tuple[str, ...]) -> _Seen:
    name = request.unit or ""
    try:
        seen = _asked(request, name) if Host.has_systemd() else _read(name)
    except UsageError:
        if not packages:
            raise
        seen = _Seen(full_name(name))
    if request.attach and request.machine_choice.is_twin and not seen.name.startswith(PARTS_OF_THE_SYSTEM):
        refuse_stopped(seen.name, "inactive")  # a fresh twin runs nothing else
    return seen


def _asked(request: Request, name: str) -> _Seen:
    """Ask the systemd that runs here; a twin has the same units, but does not run them."""
    unit = Unit.load(Host(), name)
    properties = unit.properties()
    in_twin = request.machine_choice.is_twin
    if in_twin and properties["FragmentPath"].startswith(NOT_IN_A_TWIN):
        raise not_found(unit.name, TWIN, (), in_twin=True)
    refuse_ours(unit.name, [path for path in unit.files() if not in_twin or not path.startswith("/run/")])
    if not request.attach:
        refuse_restart(unit.name, properties, on_host=not in_twin)
    elif not in_twin:
        refuse_stopped(unit.name, properties["ActiveState"])
    return _Seen(
        unit.name,
        properties["ActiveState"] in RUNNING and not in_twin,
        unit.settings(properties).exec_lines,
        properties["CanReload"] == "yes",
        tuple(limit.name for limit in time_limits(unit)),
        bool(properties["PAMName"]),
    )


def _read(name: str) -> _Seen:
    found = find_unit_files(Path("/"), name)
    found.check()
    lines = found.exec_lines
    can_reload = found.can_reload if lines else None
    return _Seen(found.name, False, lines or None, can_reload, in_session=found.in_session)


def _recording(request: Request, seen: _Seen, engine: _Chosen) -> Stage:
    if request.attach:
        use = _use(request) or ["go on until Ctrl-C"]
        watchdog = engine.slow and (seen.limits is None or WATCHDOG in seen.limits)
        change = Change(
            f"its {WATCHDOG}=", "tracing is slow, so systemd is told to wait longer", "told back at the end"
        )
        steps = (f"watch it as it runs, without a restart: its start stays unknown{seen.kinds('ExecStart')}", *use)
        return Stage(f"record {seen.name}", steps, changes=(change,) if watchdog else ())
    begin = f"{'restart' if seen.runs else 'start'} it, watched from its first instruction"
    end = "restart it, which shows its stop; it runs on as before" if seen.runs else "stop it, as it was found"
    steps = (
        begin + seen.kinds("ExecCondition", "ExecStart"),
        *_use(request),
        *_reload(seen),
        end + seen.kinds("ExecStop"),
    )
    return Stage(f"record {seen.name}", steps, 1 + seen.runs, (_GUARD, *_head_room(seen, engine)))


_GUARD = Change(
    "a service unit-tailor-guard-*.service waits in systemd",
    "it puts the unit back if unit-tailor is killed",
    "it ends when all is done",
)


def _head_room(seen: _Seen, engine: _Chosen) -> tuple[Change, ...]:
    if not engine.slow or seen.limits == ():
        return ()
    names = ", ".join(f"{name}=" for name in seen.limits) if seen.limits else "if it has time limits"
    reason = f"tracing is slow, so systemd waits {span(MORE)} longer ({names})"
    return (Change(head_room_path(seen.name), reason, "removed afterwards"),)


def _use(request: Request) -> list[str]:
    steps = [f"run the workload: {request.workload.command}"] if request.workload else []
    return steps + ([f"watch it for {span(request.serving_for)}"] if request.serving_for else [])


def _reload(seen: _Seen) -> list[str]:
    words = {True: "reload it", None: "reload it, if the unit can be reloaded", False: ""}[seen.can_reload]
    return [words + seen.kinds("ExecReload")] if words else []


def _validation(request: Request, seen: _Seen, engine: _Chosen, *, relax: bool) -> Stage:
    again = "the unit runs on under its own settings" if seen.runs else "the unit is stopped, as it was found"
    workload = [f"run the workload: {request.workload.command}"] if request.workload else []
    check = [f"run the check: {request.check.command}"] if request.check else []
    steps = [
        f"{'restart' if seen.runs else 'start'} it under the drop-in, and record it again",
        *workload,
        *_reload(seen),
        *check,
        f"take the drop-in away: {again}",
    ]
    if relax:
        steps.append(f"if anything was blocked, allow the least of it and try again, {ROUNDS} times at most")
    path = f"/run/systemd/system/{seen.name}.d/{OUR_TEST_DROP_IN}"
    change = Change(path, "the drop-in on trial, for this boot only", "removed afterwards")
    where = " in another twin" if request.machine_choice.is_twin else ""
    return Stage(f"validate the drop-in{where}", tuple(steps), 1 + seen.runs, (change, *_head_room(seen, engine)))
