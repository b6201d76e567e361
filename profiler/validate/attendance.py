"""A unit that is recorded is in somebody's hands: if we die, it is left as it was found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from profiler.engines.choice import Engine
from profiler.errors import ToolError
from profiler.record import Follow, Preparation, Recorded, nobody, record_running, record_unit
from profiler.unit.time_limits import WATCHDOG, time_limits, watchdog_in_force
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.guard import Duty, guarded, locked
from profiler.validate.head_room import Announce, HeadRoom, give, head_room_path, longer, take_back, tell_watchdog


@contextmanager
def attended(unit: Unit, announce: Announce = lambda _text: None, *, slow: bool = False) -> Iterator[None]:
    """Hold a unit that will be started and stopped, but keeps its settings: if we die, it is left as it was found.

    With ``slow``, what records it slows it down: systemd then waits longer for it (see ``head_room``).
    """
    with locked(unit, announce):
        afterwards = "start" if unit.is_active() else "stop"
        room = HeadRoom(time_limits(unit)) if slow else HeadRoom()
        with guarded(unit, _duty(unit, afterwards, room)) as whole:
            try:
                give(unit, room, announce)
                if room.limits:
                    unit.systemctl.daemon_reload()
                yield
            except BaseException:
                with contextlib.suppress(ToolError):  # the guard does then what we could not
                    take_back(unit, room)
                    unit.systemctl.change(afterwards, unit.name, forgiving=True)
                    whole()
                raise
            take_back(unit, room)
            whole()


def _duty(unit: Unit, afterwards: str, room: HeadRoom) -> Duty:
    if not room.limits:
        return Duty.put_back(unit.name, afterwards)
    # What was started with head-room has its own settings again after a restart only.
    again = "restart" if afterwards == "start" else afterwards
    return Duty.put_back(unit.name, again, head_room_path(unit.name))


@contextmanager
def attended_as_it_runs(unit: Unit, announce: Announce = lambda _text: None, *, slow: bool = False) -> Iterator[None]:
    """Hold a unit that is watched as it runs: with ``slow``, its watchdog waits longer, and nothing else is changed.

    Where that is not possible, it is said, with what to do instead.
    """
    own = watchdog_in_force(unit) if slow else 0
    if not own:
        yield
        return
    with locked(unit, announce):
        process = unit.properties()["MainPID"]
        with guarded(unit, Duty.watchdog(unit.name, process, own)) as whole:
            try:
                tell_watchdog(unit.machine, process, longer(own))
                announce(_told(unit, own))
                yield
            finally:
                if unit.properties()["MainPID"] == process:
                    tell_watchdog(unit.machine, process, own)
            whole()


def _told(unit: Unit, own: int) -> str:
    name = f"{WATCHDOG}= is {own / 1_000_000:g} s"
    if watchdog_in_force(unit) == longer(own):
        return f"tracing is slow: until the recording ends, systemd waits longer for {unit.name} to report ({name})"
    return (
        f"warning: tracing is slow, and systemd ends {unit.name} if it does not report in time ({name}); "
        "to be safe, record it with --engine ebpf"
    )


def record_attended(
    unit: Unit,
    *,
    workload: Workload | None = None,
    serving_for: float = 0.0,
    engine: Engine = Engine.AUTO,
    announce: Announce = lambda _text: None,
    follow: Follow = nobody,
    attach: bool = False,
) -> Recorded:
    """Record a life of a unit, or with ``attach`` the unit as it runs, and hold it meanwhile.

    Errors and the rest are those of ``record_unit`` and ``record_running``.
    """
    with Preparation(unit, engine, announce, running=attach) as prepared:
        hold, record = (attended_as_it_runs, record_running) if attach else (attended, record_unit)
        with hold(unit, announce, slow=prepared.watch.slow):
            return record(
                unit, workload=workload, serving_for=serving_for, announce=announce, follow=follow, prepared=prepared
            )
