"""A drop-in is installed for good, or not at all: on trial first, made permanent only when the service is well.

On trial, the drop-in lies in /run, where it wins over an installed one of the same name without touching it. So going
back is the removal of one file, and so is a reboot. Making it permanent is one rename. What our death interrupts is
brought to its end by a guard (see ``guard``); a drop-in that is not confirmed in time, by a timer of systemd.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policy.settings import Assignment
from profiler.errors import ToolError, UsageError
from profiler.unit.health import Wellness, observe, wait_until_settled
from profiler.unit.unit import OUR_DROP_IN, Unit
from profiler.unit.workload import Workload
from profiler.validate.guard import Duty, guarded, locked, start_transient
from profiler.validate.installed import (
    Installed,
    Pending,
    installed,
    is_edited,
    pending_path,
    permanent_path,
    timer_name,
    trial_path,
)
from profiler.validate.placing import put, take_away
from profiler.validate.read_back import check_in_force
from profiler.validate.trial import check_last, ignored_lines, put_back

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Applied:
    """What became of a drop-in: ``problem`` says why it was taken away again; without one it is in force.

    ``pending`` is set when it waits for its confirmation.
    """

    problem: str = ""
    warnings: tuple[str, ...] = ()
    pending: Pending | None = None


def apply(
    unit: Unit,
    data: bytes,
    assignments: Sequence[Assignment],
    *,
    confirm_within: float = 0.0,
    check: Workload | None = None,
    force: bool = False,
    announce: Announce = lambda _text: None,
) -> Applied:
    """Install a drop-in, restart the unit under it and watch its health; go back to what was there if it is not well.

    With ``confirm_within`` (seconds) it goes away by itself unless ``confirm`` is called in time. A unit that does not
    run is started for the test and stopped again. Raises UsageError for an installed drop-in that somebody edited,
    unless ``force`` is set, and for one that waits for its confirmation; ToolError if nothing could be tried.
    """
    with locked(unit, announce):
        _refuse(installed(unit), force=force)
        runs = unit.is_active()
        wellness = Wellness.of(unit, check) if runs else Wellness(check=check)
        pending = _new_pending(unit, confirm_within)
        trial = trial_path(unit.name)
        afterwards, kept = "restart" if runs else "stop", permanent_path(unit.name)
        duty = Duty.put_back(unit.name, afterwards, trial, pending.record, timer=pending.timer, kept=kept)
        with guarded(unit, duty) as whole:
            try:
                applied = _try(unit, data, assignments, wellness, announce)
                if not applied.problem and confirm_within:
                    _await_confirmation(unit, pending, confirm_within, runs=runs)
                    applied = Applied(warnings=applied.warnings, pending=pending)
                elif not applied.problem:
                    _make_permanent(unit, data)
                if not runs:
                    unit.systemctl.change("stop", unit.name)
            except BaseException:
                _go_back(unit, pending, runs=runs)
                whole()
                raise
            if applied.problem:
                announce("going back to the settings before")
                _go_back(unit, pending, runs=runs)
            whole()
    return applied


def _refuse(found: Installed, *, force: bool) -> None:
    if found.trial is not None:
        raise UsageError(
            f"{found.unit} has a drop-in on trial already",
            hint=f"run: unit-tailor confirm {found.unit}, or: unit-tailor revert {found.unit}",
        )
    _refuse_edited(found, force=force)


def _refuse_edited(found: Installed, *, force: bool) -> None:
    if found.edited and not force:
        raise UsageError(
            f"{permanent_path(found.unit)} was changed since unit-tailor wrote it, or is not its own",
            hint="give it another name to keep it, or add --force to lose it",
        )


def _new_pending(unit: Unit, confirm_within: float) -> Pending:
    token = secrets.token_hex(4)
    return Pending(pending_path(unit.name, token), timer_name(token), time.time() + confirm_within)


def _try(unit: Unit, data: bytes, assignments: Sequence[Assignment], wellness: Wellness, announce: Announce) -> Applied:
    put(unit.machine, trial_path(unit.name), data)
    unit.systemctl.daemon_reload()
    warnings = ignored_lines(unit, OUR_DROP_IN)
    check_last(unit, trial_path(unit.name))
    check_in_force(unit, assignments)
    try:
        announce(f"restarting {unit.name}")
        unit.systemctl.reset_failed(unit.name)
        unit.systemctl.change("restart", unit.name)
        announce("watching its health")
        wait_until_settled(unit)
    except ToolError as error:
        return Applied(error.message, warnings)
    return Applied(wellness.problem(unit), warnings)


def _await_confirmation(unit: Unit, pending: Pending, seconds: float, *, runs: bool) -> None:
    """Have systemd itself take the drop-in away in time: neither our death nor a lost connection matters to a timer."""
    record = json.dumps({"deadline": time.time() + seconds}).encode()
    put(unit.machine, pending.record, record, 0o600)
    duty = Duty.put_back(unit.name, "restart" if runs else "try-restart", trial_path(unit.name), timer=pending.timer)
    options = [f"--on-active={seconds:.3f}s", "--timer-property=AccuracySec=1s"]
    lock = f"/run/unit-tailor/{unit.name}.lock"
    start_transient(unit.machine, pending.timer.removesuffix(".timer"), duty.command(lock, pending.record), *options)


def _make_permanent(unit: Unit, data: bytes) -> None:
    put(unit.machine, permanent_path(unit.name), data)
    take_away(unit.machine, trial_path(unit.name))
    unit.systemctl.daemon_reload()
    check_last(unit, permanent_path(unit.name))


def _go_back(unit: Unit, pending: Pending, *, runs: bool) -> None:
    take_away(unit.machine, trial_path(unit.name))
    _forget(unit, pending)
    put_back(unit, "restart" if runs else "stop")


def _forget(unit: Unit, pending: Pending) -> None:
    take_away(unit.machine, pending.record)
    unit.machine.run(["systemctl", "stop", "--", pending.timer], check=False)


def confirm(unit: Unit, *, force: bool = False, announce: Announce = lambda _text: None) -> None:
    """Make the drop-in on trial permanent; nothing is restarted.

    Raises UsageError if there is none, or if somebody edited it (unless ``force`` is set); ToolError if the service is
    not well, or if the file cannot be written: it then stays on trial.
    """
    with locked(unit, announce):
        found = installed(unit)
        if found.trial is None or found.pending is None:
            raise UsageError(
                f"{unit.name} has no drop-in that waits for its confirmation",
                hint=f"see: unit-tailor status {unit.name}",
            )
        _refuse_edited(found, force=force)
        if not force:
            _refuse_confirmation(unit, found)
        pending, trial, permanent = found.pending, trial_path(unit.name), permanent_path(unit.name)
        with guarded(unit, Duty.confirm(trial, permanent, pending.record, pending.timer)) as whole:
            try:
                put(unit.machine, permanent, found.trial)
            except ToolError:
                whole()  # it is still on trial, as it was
                raise
            take_away(unit.machine, trial)
            _forget(unit, pending)
            unit.systemctl.daemon_reload()
            whole()
        check_last(unit, permanent)


def _refuse_edited_trial(unit: Unit, found: Installed, hint: str) -> None:
    if found.trial is not None and is_edited(found.trial):
        raise UsageError(f"{trial_path(unit.name)} was changed since it was applied", hint=hint)


def _refuse_confirmation(unit: Unit, found: Installed) -> None:
    _refuse_edited_trial(unit, found, "apply the changed drop-in, or add --force")
    state = observe(unit)
    if state.active_state == "failed":
        raise ToolError(
            f"{unit.name} is not well: {state.problem}",
            hint=f"run: unit-tailor revert {unit.name}, or add --force",
        )


def revert(unit: Unit, *, force: bool = False, announce: Announce = lambda _text: None) -> str:
    """Take away what of ours is in force, and restart the unit if it runs; return in words what is in force then.

    A drop-in on trial gives way to what was there before it; a permanent one to the unit's own settings. If we die,
    the guard goes on. Raises UsageError if there is nothing, or, unless ``force`` is set, if somebody edited it.
    """
    with locked(unit, announce):
        found = installed(unit)
        kept = f"/run/systemd/system/{unit.name}.d/{OUR_DROP_IN}"
        on_trial = found.trial is not None
        if not on_trial and found.permanent is None and not unit.machine.path(kept).exists():
            raise UsageError(f"{unit.name} has no drop-in of unit-tailor", hint=f"see: systemctl cat {unit.name}")
        if not force:
            _refuse_edited_trial(unit, found, "take a copy, or add --force to lose the change")
        if not on_trial:
            _refuse_edited(found, force=force)
        files = [trial_path(unit.name)] if on_trial else [permanent_path(unit.name), kept]
        files += [found.pending.record] if found.pending else []
        afterwards = "restart" if _runs_or_failed(unit) else "stop"
        timer = found.pending.timer if found.pending else ""
        with guarded(unit, Duty.put_back(unit.name, afterwards, *files, timer=timer)) as whole:
            for path in files:
                take_away(unit.machine, path)
            if found.pending:
                _forget(unit, found.pending)
            put_back(unit, afterwards)
            whole()
        if afterwards == "restart":
            wait_until_settled(unit)
    return "the drop-in before it" if on_trial and found.permanent is not None else "its own settings"


def _runs_or_failed(unit: Unit) -> bool:
    # What failed under the drop-in is started again without it.
    return unit.is_active() or observe(unit).active_state == "failed"
