"""A drop-in on trial: installed for this boot only, verified, and taken away again whatever happens."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from profiler.errors import ToolError
from profiler.unit.unit import OUR_TEST_DROP_IN, Unit
from profiler.validate.guard import guarded, locked


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
def on_trial(unit: Unit, text: str) -> Iterator[Trial]:
    """Install a drop-in for this boot only and make systemd read it; restart is the caller's.

    On leaving, the drop-in is removed and the unit is restarted (or stopped, if it was not running) under its own
    settings, unless ``keep`` was set and no exception is on its way. Raises ToolError if another drop-in overrules it.
    """
    with locked(unit):
        trial = Trial(unit, f"/run/systemd/system/{unit.name}.d/{OUR_TEST_DROP_IN}", unit.is_active())
        with guarded(unit, trial.path, "restart" if trial.was_active else "stop"):
            try:
                _install(trial, text)
                yield trial
            except BaseException:
                _remove(trial)
                raise
            if trial.keep:
                _promote(trial)
            else:
                _remove(trial)


def _install(trial: Trial, text: str) -> None:
    # Staged under a name that systemd does not read, so that it never sees half a file (systemd.unit(5): only *.conf).
    path = trial.unit.machine.path(trial.path)
    staged = path.with_suffix(".staged")
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)
    trial.unit.systemctl.daemon_reload()
    trial.warnings = _ignored_lines(trial)
    last = trial.unit.files()[-1]
    if last != trial.path:
        raise ToolError(
            f"{last} comes after our drop-in and overrules it",
            hint="rename it so that it sorts before zz-, or move its settings there",
        )


def _ignored_lines(trial: Trial) -> tuple[str, ...]:
    # systemd-analyze verify exits 0 on most mistakes: what counts is a line on stderr that names our file.
    completed = trial.unit.machine.run(["systemd-analyze", "verify", "--man=no", trial.unit.name], check=False)
    return tuple(line for line in completed.stderr.splitlines() if OUR_TEST_DROP_IN in line)


def _remove(trial: Trial) -> None:
    path = trial.unit.machine.path(trial.path)
    for name in (path.with_suffix(".staged"), path):
        name.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()  # only when it is empty, so only when it was ours
    _put_back(trial)


def _put_back(trial: Trial) -> None:
    systemctl = trial.unit.systemctl
    systemctl.daemon_reload()
    systemctl.reset_failed(trial.unit.name)
    systemctl.change("restart" if trial.was_active else "stop", trial.unit.name)


def _promote(trial: Trial) -> None:
    # Under another name, the guard finds nothing to take away.
    path = trial.unit.machine.path(trial.path)
    path.rename(path.with_name("zz-unit-tailor.conf"))
    trial.unit.systemctl.daemon_reload()
