"""A fault tried out on a real daemon: seen, blamed, rolled back, and relaxed by the least."""

from __future__ import annotations

from dataclasses import dataclass

from policy.blame import Blame
from policy.drop_in import DropIn
from policy.service_profile import Profile
from profiler import twin
from profiler.errors import ToolError
from profiler.host import read_host_facts
from profiler.machine import Machine
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.relaxing import Trying
from profiler.validate.validation import Verdict, validate
from tests.faults.fault import Fault, looser
from tests.system.daemons import Daemon
from tests.twin_fixtures import CHECKOUT


@dataclass(frozen=True)
class Outcome:
    """What became of a fault. ``restarts`` counts validations, the first and the last one among them."""

    daemon: str
    kind: str
    fault: str
    seen: str = ""  # what validation saw: "blocked", "failed", both; empty: nothing
    blamed: tuple[str, ...] = ()  # lines of the drop-in
    blamed_rightly: bool = False
    rolled_back: bool = False
    changes: tuple[str, ...] = ()
    fits_then: bool = False
    looser: tuple[str, ...] = ()  # directives that allow more than in the sound drop-in
    restarts: int = 0
    problem: str = ""  # why it could not be tried

    @property
    def passed(self) -> bool:
        """Whether all was as it must be."""
        good = self.seen and self.blamed_rightly and self.rolled_back and self.fits_then
        return bool(good and not self.looser and not self.problem)


@dataclass(frozen=True)
class Study:
    """A daemon, the drop-in that was cut for it, and the recording that it was cut from."""

    daemon: Daemon
    sound: DropIn
    profile: Profile


def try_fault(fault: Fault, study: Study) -> Outcome:
    """Try a fault in a twin of its own: it is as fresh as the one that was recorded."""
    daemon = study.daemon
    try:
        faulty = fault.seeded(study.sound)
        with twin.up(packages=daemon.packages, visible=CHECKOUT) as machine:
            unit = Unit.load(machine, daemon.unit)
            unit.systemctl.change("stop" if fault.fresh else "start", unit.name)
            return _try(fault, study, unit, faulty)
    except (ToolError, ValueError) as error:
        return Outcome(fault.daemon, fault.kind, str(fault), problem=getattr(error, "message", str(error)))


def _try(fault: Fault, study: Study, unit: Unit, faulty: DropIn) -> Outcome:
    before = _state(unit)
    verdicts: list[Verdict] = []
    back: list[bool] = []
    host = read_host_facts(unit.machine)

    def test(candidate: DropIn) -> Verdict:
        workload = Workload(study.daemon.workload)
        verdict = validate(
            unit, candidate.render(), candidate.assignments, host, workload=workload, before=study.profile
        )
        verdicts.append(verdict)
        back.append(_state(unit) == before)
        return verdict

    relaxed = Trying(test, host, study.profile).until_it_fits(faulty)
    unit.systemctl.change("restart", unit.name)
    first, settings = verdicts[0], study.profile.header.unit
    return Outcome(
        fault.daemon,
        fault.kind,
        str(fault),
        " and ".join(["blocked"] * bool(first.denials) + ["failed"] * bool(first.problem)),
        lines_of(relaxed.first_blamed),
        fault.is_blamed_by(relaxed.first_blamed),
        all(back) and unit.is_active(),
        tuple(change.in_words for change in relaxed.relaxations),
        relaxed.verdict.fits,
        tuple(looser(relaxed.drop_in, study.sound, host, settings)),
        relaxed.restarts,
    )


def lines_of(blamed: tuple[Blame, ...]) -> tuple[str, ...]:
    """Return the lines of the drop-in that are blamed, as they stand there."""
    return tuple(dict.fromkeys(f"{line.name}={line.value}" for one in blamed for line in one.lines))


def _state(unit: Unit) -> tuple[bool, str, str]:
    # Whether it runs, its own settings, and what of ours is on the machine.
    machine: Machine = unit.machine
    settings = machine.run(["systemctl", "cat", unit.name]).stdout
    return unit.is_active(), settings, left_behind(unit)


def left_behind(unit: Unit) -> str:
    """Return what of ours is on the machine, as text."""
    machine = unit.machine
    places = ["/run/unit-tailor", "/run/systemd/system", "/run/systemd/system.control", "/etc/systemd/system"]
    files = machine.run(["find", *places, "-name", "*unit-tailor*.conf*", "-o", "-name", f"{unit.name}.*"], check=False)
    guards = machine.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "unit-tailor-*"])
    return files.stdout + guards.stdout
