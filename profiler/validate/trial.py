"""A drop-in on trial: installed for this boot only, verified, and taken away again whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from profiler.errors import ToolError
from profiler.unit.time_limits import time_limits
from profiler.unit.unit import OUR_DROP_IN, OUR_TEST_DROP_IN, Unit
from profiler.validate.guard import Duty, guarded, locked
from profiler.validate.head_room import HeadRoom, give, head_room_path
from profiler.validate.placing import put, take_away


@dataclass
class Trial:
    """A unit under a drop-in; ``warnings`` are systemd's own words on lines that it ignores.

    Set ``keep`` to leave the drop-in in force until the next boot.
    """

    unit: Unit
    path: str
    was_active: bool
    warnings: tuple[str, ...] = ()
    keep: bool = False


@contextmanager
def on_trial(
    unit: Unit, text: str, announce: Callable[[str], None] = lambda _text: None, *, slow: bool = False
) -> Iterator[Trial]:
    """Install a drop-in for this boot only and make systemd read it; restart is the caller's.

    With ``slow``, what records it slows it down: systemd then waits longer for it (see ``head_room``).

    On leaving, the drop-in is removed and the unit is restarted (or stopped, if it was not running) under its own
    settings, unless ``keep`` was set and no exception is on its way. Raises ToolError if another drop-in overrules it.
    """
    with locked(unit, announce):
        trial = Trial(unit, f"/run/systemd/system/{unit.name}.d/{OUR_TEST_DROP_IN}", unit.is_active())
        afterwards = "restart" if trial.was_active else "stop"
        room = HeadRoom(time_limits(unit)) if slow else HeadRoom()
        with guarded(unit, Duty.put_back(unit.name, afterwards, trial.path, head_room_path(unit.name))) as whole:
            try:
                give(unit, room, announce)
                _install(trial, text)
                yield trial
            except BaseException:
                _remove(trial, afterwards)
                whole()
                raise
            if trial.keep:
                _promote(trial)
            else:
                _remove_all_the_same(trial, afterwards, whole)
            whole()


def _remove_all_the_same(trial: Trial, afterwards: str, whole: Callable[[], None]) -> None:
    # An interrupt in the midst of it does not cut it short; a second one leaves it to the guard.
    try:
        _remove(trial, afterwards)
    except KeyboardInterrupt:
        _remove(trial, afterwards)
        whole()
        raise


def _install(trial: Trial, text: str) -> None:
    put(trial.unit.machine, trial.path, text.encode())
    with ThreadPoolExecutor(1) as beside:  # it reads the files itself: no need to wait for systemd
        warnings = beside.submit(ignored_lines, trial.unit, OUR_TEST_DROP_IN)
        trial.unit.systemctl.daemon_reload()
        check_last(trial.unit, trial.path)
    trial.warnings = warnings.result()


def replace_text(trial: Trial, text: str) -> None:
    """Put another drop-in in the place of the one on trial, and make systemd read it; restart is the caller's."""
    put(trial.unit.machine, trial.path, text.encode())
    trial.unit.systemctl.daemon_reload()
    check_last(trial.unit, trial.path)


def check_last(unit: Unit, path: str) -> None:
    """Raise ToolError unless the drop-in is the last one that systemd reads: others would overrule it."""
    last = unit.files()[-1]
    if last != path:
        raise ToolError(
            f"{last} comes after our drop-in and overrules it",
            hint="rename it so that it sorts before zz-, or move its settings there",
        )


def ignored_lines(unit: Unit, name: str) -> tuple[str, ...]:
    """Return systemd's own words on the lines of a drop-in that it does not take."""
    # systemd-analyze verify exits 0 on most mistakes: what counts is a line on stderr that names our file.
    completed = unit.machine.run(["systemd-analyze", "verify", "--man=no", unit.name], check=False)
    return tuple(line for line in completed.stderr.splitlines() if name in line)


def end_head_room(trial: Trial) -> None:
    """Have systemd wait no longer than the unit says, from the next start on; harmless if there is no head-room."""
    path = head_room_path(trial.unit.name)
    if trial.unit.machine.path(path).exists():
        take_away(trial.unit.machine, path)
        trial.unit.systemctl.daemon_reload()


def _remove(trial: Trial, afterwards: str) -> None:
    take_away(trial.unit.machine, trial.path)
    take_away(trial.unit.machine, head_room_path(trial.unit.name))
    put_back(trial.unit, afterwards)


def put_back(unit: Unit, afterwards: str) -> None:
    """Bring a unit, whose files have changed, to where it was: ``restart`` or ``stop``."""
    unit.systemctl.daemon_reload()
    unit.systemctl.reset_failed(unit.name)
    unit.systemctl.change(afterwards, unit.name, forgiving=True)


def _promote(trial: Trial) -> None:
    # Under another name, the guard finds nothing to take away.
    path = trial.unit.machine.path(trial.path)
    path.rename(path.with_name(OUR_DROP_IN))
    trial.unit.systemctl.daemon_reload()
