"""A drop-in is installed for good, or not at all: on trial first, made permanent only when the service is well.

On trial, the drop-in lies in /run, where it wins over an installed one of the same name without touching it. So going
back is the removal of one file, and so is a reboot. Making it permanent is one rename. What our death interrupts is
brought to its end by a guard (see ``guard``); a drop-in that is not confirmed in time, by a timer of systemd.

One for all instances of a template is on trial for each that runs, and becomes permanent for the template.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from policy.settings import Assignment
from policy.template import template_of
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
    running_instances,
    timer_name,
    trial_path,
    waiting_with,
)
from profiler.validate.placing import put, take_away
from profiler.validate.read_back import check_in_force
from profiler.validate.trial import check_last, ignored_lines, put_back

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Applied:
    """What became of a drop-in: ``problem`` says why it was taken away again; without one it is in force.

    ``pending`` is set when it waits for its confirmation. ``unit`` is the one with the problem, ``tried`` are all.
    """

    problem: str = ""
    warnings: tuple[str, ...] = ()
    pending: Pending | None = None
    unit: str = ""
    tried: tuple[str, ...] = ()


def apply(
    unit: Unit,
    data: bytes,
    assignments: Sequence[Assignment],
    *,
    confirm_within: float = 0.0,
    check: Workload | None = None,
    force: bool = False,
    for_template: bool = False,
    announce: Announce = lambda _text: None,
) -> Applied:
    """Install a drop-in, restart the unit under it and watch its health; go back to what was there if it is not well.

    With ``confirm_within`` (seconds) it goes away by itself unless ``confirm`` is called in time. A unit that does not
    run is started for the test and stopped again. ``for_template``: it is meant for all instances of the unit's
    template, and all that run are tried, one after another, since some settings are in force for them at once.
    Raises UsageError for an installed drop-in that somebody edited, unless ``force`` is set, for one that waits for its
    confirmation, and for a unit that is no instance; ToolError if nothing could be tried.
    """
    home = home_of(unit, for_template=for_template)
    units = [unit, *other_instances(unit, home)]
    with _held(units, home, announce), ExitStack() as guards:
        refuse(units, home, force=force)
        tried: list[tuple[_Candidate, Callable[[], None]]] = []
        try:
            applied = Applied()
            for one in units:
                candidate = _Candidate.of(one, home, check if one is unit else None, confirm_within)
                tried.append((candidate, guards.enter_context(guarded(one, candidate.duty))))
                applied = candidate.try_it(data, assignments, announce)
                if applied.problem:
                    break
            if not applied.problem:
                applied = _succeed([candidate for candidate, _ in tried], data, confirm_within, applied.warnings)
        except BaseException:
            _all_back(tried)
            raise
        if applied.problem:
            announce("going back to the settings before")
            _all_back(tried)
            return applied
        for _, whole in tried:
            whole()
    return applied


@dataclass(frozen=True)
class _Candidate:
    # A unit with a drop-in on trial, or about to have one, and how it was found.
    unit: Unit
    runs: bool
    wellness: Wellness
    pending: Pending

    @classmethod
    def of(cls, unit: Unit, home: str, check: Workload | None, confirm_within: float) -> _Candidate:
        runs = unit.is_active()
        wellness = Wellness.of(unit, check) if runs else Wellness(check=check)
        return cls(unit, runs, wellness, _new_pending(unit, confirm_within, home))

    @property
    def duty(self) -> Duty:
        """What has to be done if we die."""
        afterwards, kept = "restart" if self.runs else "stop", permanent_path(self.pending.home)
        files = (trial_path(self.unit.name), self.pending.record)
        return Duty.put_back(self.unit.name, afterwards, *files, timer=self.pending.timer, kept=kept)

    def try_it(self, data: bytes, assignments: Sequence[Assignment], announce: Announce) -> Applied:
        """Put the drop-in on trial; the problem, if there is one, is this unit's."""
        applied = _try(self.unit, data, assignments, self.wellness, announce)
        return replace(applied, unit=self.unit.name)


def _succeed(tried: Sequence[_Candidate], data: bytes, confirm_within: float, warnings: tuple[str, ...]) -> Applied:
    """Leave the drop-in on trial for all until it is confirmed, or make it permanent; what did not run is stopped."""
    for one in tried if confirm_within else ():
        _await_confirmation(one.unit, one.pending, confirm_within, runs=one.runs)
    if not confirm_within:
        _make_permanent([one.unit for one in tried], data, tried[0].pending.home)
    for one in tried:
        if not one.runs:
            one.unit.systemctl.change("stop", one.unit.name)
    tried_ones = tuple(one.unit.name for one in tried)
    return Applied(warnings=warnings, pending=tried[0].pending if confirm_within else None, tried=tried_ones)


def _all_back(tried: Sequence[tuple[_Candidate, Callable[[], None]]]) -> None:
    for one, whole in reversed(tried):
        _go_back(one.unit, one.pending, runs=one.runs)
        whole()


def other_instances(unit: Unit, home: str) -> list[Unit]:
    """Return the other instances that run and would read the drop-in of a template: those without one of their own."""
    names = running_instances(unit.machine, home) if home != unit.name else []
    others = [Unit(unit.machine, name) for name in names if name != unit.name]
    return [other for other in others if installed(other).permanent is None]


def home_of(unit: Unit, *, for_template: bool) -> str:
    """Return for what a drop-in is meant: the unit, or its template. Raises UsageError if it is no instance of one."""
    if not for_template:
        return unit.name
    if not template_of(unit.name):
        raise UsageError(f"{unit.name} is not an instance of a template", hint="leave out --template")
    return template_of(unit.name)


@contextmanager
def _held(units: Sequence[Unit], home: str, announce: Announce) -> Iterator[None]:
    """Hold the locks of a template, if that is the home, and of its units: always in this order."""
    with ExitStack() as stack:
        if all(unit.name != home for unit in units):
            stack.enter_context(locked(Unit(units[0].machine, home), announce))
        for unit in units:
            stack.enter_context(locked(unit, announce))
        yield


def refuse(units: Iterable[Unit], home: str, *, force: bool) -> None:
    """Raise UsageError where ``apply`` must not replace what is installed for one of the units."""
    for unit in units:
        found = installed(unit)
        if found.trial is not None:
            raise UsageError(
                f"{found.unit} has a drop-in on trial already",
                hint=f"run: unit-tailor confirm {found.unit}, or: unit-tailor revert {found.unit}",
            )
        _refuse_hidden(found, home)
        _refuse_edited(found, home, force=force)


def _refuse_hidden(found: Installed, home: str) -> None:
    if home != found.unit and found.permanent is not None:
        raise UsageError(
            f"{found.unit} has a drop-in of its own, which it would be under in place of that of {home}",
            hint=f"name another instance, or take it away first: unit-tailor revert {found.unit}",
        )


def _refuse_edited(found: Installed, home: str, *, force: bool) -> None:
    if found.edited_at(home) and not force:
        raise UsageError(
            f"{permanent_path(home)} was changed since unit-tailor wrote it, or is not its own",
            hint="give it another name to keep it, or add --force to lose it",
        )


def _new_pending(unit: Unit, confirm_within: float, home: str) -> Pending:
    token = secrets.token_hex(4)
    return Pending(pending_path(unit.name, token), timer_name(token), time.time() + confirm_within, home)


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
    record = json.dumps({"deadline": time.time() + seconds, "home": pending.home}).encode()
    put(unit.machine, pending.record, record, 0o600)
    duty = Duty.put_back(unit.name, "restart" if runs else "try-restart", trial_path(unit.name), timer=pending.timer)
    options = [f"--on-active={seconds:.3f}s", "--timer-property=AccuracySec=1s"]
    lock = f"/run/unit-tailor/{unit.name}.lock"
    start_transient(unit.machine, pending.timer.removesuffix(".timer"), duty.command(lock, pending.record), *options)


def _make_permanent(units: Sequence[Unit], data: bytes, home: str) -> None:
    put(units[0].machine, permanent_path(home), data)
    for unit in units:
        take_away(unit.machine, trial_path(unit.name))
    units[0].systemctl.daemon_reload()
    for unit in units:
        check_last(unit, permanent_path(home))


def _go_back(unit: Unit, pending: Pending, *, runs: bool) -> None:
    take_away(unit.machine, trial_path(unit.name))
    _forget(unit, pending)
    put_back(unit, "restart" if runs else "stop")


def _forget(unit: Unit, pending: Pending) -> None:
    take_away(unit.machine, pending.record)
    unit.machine.run(["systemctl", "stop", "--", pending.timer], check=False)


def confirm(unit: Unit, *, force: bool = False, announce: Announce = lambda _text: None) -> str:
    """Make the drop-in on trial permanent, for what it was meant for, and return where it is; nothing is restarted.

    Raises UsageError if there is none, or if somebody edited it (unless ``force`` is set); ToolError if the service is
    not well, or if the file cannot be written: it then stays on trial.
    """
    waiting = installed(unit).pending
    home = waiting.home if waiting else unit.name
    units = [unit, *waiting_with(unit)]
    with _held(units, home, announce):
        for one in units:
            _check_confirmable(one, installed(one), home, force=force)
        for one in units:
            _confirm(one, installed(one), permanent_path(home))
    return permanent_path(home)


def _check_confirmable(unit: Unit, found: Installed, home: str, *, force: bool) -> None:
    if found.trial is None or found.pending is None or found.pending.home != home:
        raise UsageError(
            f"{unit.name} has no drop-in that waits for its confirmation", hint=f"see: unit-tailor status {unit.name}"
        )
    _refuse_hidden(found, home)
    _refuse_edited(found, home, force=force)
    if not force:
        _refuse_confirmation(unit, found)


def _confirm(unit: Unit, found: Installed, permanent: str) -> None:
    assert found.trial is not None
    assert found.pending is not None
    pending, trial = found.pending, trial_path(unit.name)
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


def revert(
    unit: Unit, *, force: bool = False, for_template: bool = False, announce: Announce = lambda _text: None
) -> str:
    """Take away what of ours is in force, and restart the unit if it runs; return in words what is in force then.

    A drop-in on trial gives way to what was there before it; a permanent one to the unit's own settings. With
    ``for_template`` it is the permanent one of the template, which then is gone for all its instances; only this one is
    restarted. If we die, the guard goes on. Raises UsageError if there is nothing, if it is for all instances and that
    was not asked for, or, unless ``force`` is set, if somebody edited it.
    """
    home = home_of(unit, for_template=for_template)
    with _held([unit], home, announce):
        found = installed(unit)
        files = to_take_away(unit, found, home, force=force)
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
        left = installed(unit)
    if left.permanent is not None:
        return "the drop-in before it"
    return "its own settings" if left.general is None else "the drop-in of its template"


def to_take_away(unit: Unit, found: Installed, home: str, *, force: bool) -> list[str]:
    """Return the files that ``revert`` removes, the drop-in first. Raises UsageError as it does."""
    kept = f"/run/systemd/system/{unit.name}.d/{OUR_DROP_IN}"
    if found.trial is not None:
        if not force:
            _refuse_edited_trial(unit, found, "take a copy, or add --force to lose the change")
        return [trial_path(unit.name)] + ([found.pending.record] if found.pending else [])
    if home == unit.name and found.permanent is None and not unit.machine.path(kept).exists():
        raise _nothing_to_revert(unit, found)
    if home != unit.name and found.general is None:
        raise UsageError(f"{home} has no drop-in of unit-tailor", hint=f"see: systemctl cat {unit.name}")
    _refuse_hidden(found, home)
    _refuse_edited(found, home, force=force)
    files = [permanent_path(unit.name), kept] if home == unit.name else [permanent_path(home)]
    return files + ([found.pending.record] if found.pending else [])


def _nothing_to_revert(unit: Unit, found: Installed) -> UsageError:
    if found.general is None:
        return UsageError(f"{unit.name} has no drop-in of unit-tailor", hint=f"see: systemctl cat {unit.name}")
    return UsageError(
        f"{unit.name} has no drop-in of its own, but one for all instances: {permanent_path(template_of(unit.name))}",
        hint=f"to take that away from all of them: unit-tailor revert {unit.name} --template",
    )


def _runs_or_failed(unit: Unit) -> bool:
    # What failed under the drop-in is started again without it.
    return unit.is_active() or observe(unit).active_state == "failed"
