"""Validation: the service lives a whole life under a drop-in, recorded again, and what the drop-in denied is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from policy.behaviour import Fact
from policy.compare import denied_under, vanished
from policy.host_facts import HostFacts
from policy.replay import replay
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from policy.settings import Assignment
from profiler.engines.choice import Engine
from profiler.machine import Machine
from profiler.record import Follow, Preparation, nobody, record_unit
from profiler.unit.exposure import exposure
from profiler.unit.health import Wellness, wait_until_settled
from profiler.unit.unit import RUNNING, Unit
from profiler.unit.workload import Workload
from profiler.validate.absence import absent_on
from profiler.validate.trial import end_head_room, on_trial


@dataclass(frozen=True)
class Verdict:
    """Whether the service works under the drop-in: ``problem`` says what does not, ``denials`` what was refused.

    ``expected`` is what the drop-in denies by the model of that which was recorded without it: where the service did
    not get that far, it says why. ``vanished`` is what was done then and not even tried now: much of that is chance.
    ``exposure_before`` and ``exposure_after`` are systemd-analyze's levels, 0.0 to 10.0.
    """

    problem: str = ""
    denials: tuple[Denial, ...] = ()
    expected: tuple[Denial, ...] = ()
    vanished: tuple[Fact, ...] = ()
    warnings: tuple[str, ...] = ()
    exposure_before: float = 10.0
    exposure_after: float = 10.0
    kept: bool = False
    under: Profile | None = None  # what was recorded under the drop-in

    @classmethod
    def on(
        cls,
        assignments: Sequence[Assignment],
        under: Profile,
        host: HostFacts,
        before: Profile | None = None,
        problem: str = "",
        *,
        machine: Machine,
    ) -> Verdict:
        """Return what a recording ``under`` a drop-in shows, beside one from ``before`` if there is one.

        ``machine`` is where it was made: what is not there either is nothing that the drop-in hides.
        """
        is_absent = absent_on(machine, under.header.unit)
        denials = denied_under(assignments, under, host, before, is_absent=is_absent)
        if before is None:
            return cls(problem, denials, under=under)
        expected = replay(before, assignments, host).blocked
        return cls(problem, denials, expected, vanished(under, before), under=under)

    @property
    def fits(self) -> bool:
        """Whether nothing was blocked and the service did all it should."""
        return not self.problem and not self.denials


def validate(
    unit: Unit,
    text: str,
    assignments: Sequence[Assignment],
    host: HostFacts,
    *,
    workload: Workload | None = None,
    before: Profile | None = None,
    keep: bool = False,
    check: Workload | None = None,
    engine: Engine = Engine.AUTO,
    announce: Callable[[str], None] = lambda _text: None,
    follow: Follow = nobody,
) -> Verdict:
    """Test a drop-in by a restart under systemd, with the workload; afterwards the unit has its own settings again.

    ``before`` is a recording of the same use without the drop-in: with it, more failures can be told from those that
    the service always has. It must listen where it listened before, and ``check`` must succeed. ``keep`` leaves
    the drop-in in force until the next boot if it fits.
    Raises ToolError if the trial cannot be made.
    """
    with ExitStack() as stack:
        prepared = stack.enter_context(Preparation(unit, engine, announce))
        level_before, wellness = exposure(unit.machine, unit.name), _wellness(unit, prepared, check, before)
        trial = stack.enter_context(on_trial(unit, text, announce, slow=prepared.watch.slow))
        level_after = exposure(unit.machine, unit.name)
        problem, under = _live(unit, workload, prepared, wellness, host, announce=announce, follow=follow)
        seen = Verdict.on(assignments, under, host, before, problem, machine=unit.machine)
        verdict = replace(
            seen,
            warnings=trial.warnings,
            exposure_before=level_before,
            exposure_after=level_after,
            kept=keep and seen.fits,
        )
        trial.keep = keep and verdict.fits
        if trial.keep:
            end_head_room(trial)
        if trial.keep and trial.was_active:
            unit.systemctl.change("start", unit.name)
            wait_until_settled(unit)
    return verdict


def _wellness(unit: Unit, prepared: Preparation, check: Workload | None, before: Profile | None) -> Wellness:
    runs = prepared.properties["ActiveState"] in RUNNING
    wellness = Wellness.of(unit, check, prepared.properties["ControlGroup"]) if runs else Wellness(check=check)
    return replace(wellness, may_end_on_reload=before is not None and before.header.ended_on_reload)


def _live(
    unit: Unit,
    workload: Workload | None,
    prepared: Preparation,
    wellness: Wellness,
    host: HostFacts,
    *,
    announce: Callable[[str], None],
    follow: Follow,
) -> tuple[str, Profile]:
    recorded = record_unit(
        unit,
        workload=workload,
        prepared=prepared,
        announce=announce,
        follow=follow,
        wellness=wellness,
        leaves_stopped=True,  # the trial starts it again under its own settings: once is enough
        host=host,
    )
    if recorded.lived.interrupted:
        raise KeyboardInterrupt
    error = recorded.error or recorded.lived.workload_error
    return error.message if error else recorded.lived.health.problem, recorded.profile
