"""Minimising from beginning to end: a search in one twin, its proof in a fresh one, and what it gained."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from policy.directives.system_calls import SystemCallFilter
from policy.drop_in import DropIn
from policy.minimal import Piece, Start
from policy.service_profile import Profile
from profiler.engines.choice import Engine
from profiler.errors import ExitCode, ToolError
from profiler.host import read_host_facts
from profiler.machine_choice import MachineChoice
from profiler.unit.exposure import exposure
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.bisection import smallest_set
from profiler.validate.minimising import Notes, Search, Standing, lives
from profiler.validate.validation import Verdict, validate

MOST_PUT_BACK = 8
"""How many pieces a fresh twin may miss that the one of the search did not, before the search counts as failed."""

BAR = 20
"""Characters of the bar."""


@dataclass(frozen=True)
class Order:
    """What to minimise, for which use, and where the answers are noted."""

    machine_choice: MachineChoice
    unit: str
    drop_in: DropIn
    notes: Path
    workload: Workload | None = None
    check: Workload | None = None
    before: Profile | None = None
    only: tuple[str, ...] = ()
    engine: Engine = Engine.AUTO


@dataclass(frozen=True)
class Minimised:
    """The drop-in that is left, what is gone from it and what was missed; ``put_back`` is what only first starts miss.

    ``verdict`` is that of the fresh twin, None if the search was cut short; its denials are what the drop-in refuses
    and the workload does not miss. Exposure is systemd-analyze's, ``calls`` how many the filter lets through.
    """

    drop_in: DropIn
    standing: Standing
    seconds: float
    exposure_before: float
    exposure_after: float
    calls_before: int
    calls_after: int
    put_back: tuple[Piece, ...] = ()
    verdict: Verdict | None = None
    reused: int = 0

    @property
    def complete(self) -> bool:
        """Whether everything was tried and the result holds in a fresh twin."""
        return self.verdict is not None and not self.verdict.problem


def minimal_path(drop_in: Path) -> Path:
    """Return where the smaller form of a drop-in goes if nobody says."""
    return drop_in.with_name(f"{drop_in.stem}.minimal.conf")


def notes_path(output: Path) -> Path:
    """Return where the answers are noted of a search whose result goes to a file."""
    return output.with_name(f"{output.stem}.answers")


def minimisation_status(found: Minimised, order: Order) -> ExitCode:
    """Remove the answers of a search that came to its end, and return the exit status."""
    if not found.complete:
        return ExitCode.INTERRUPTED
    order.notes.unlink(missing_ok=True)
    return ExitCode.DONE


def minimise(order: Order, announce: Callable[[str], None]) -> Minimised:
    """Take away what the workload does not miss. Ctrl-C ends it early, with what is proven by then.

    Raises ToolError if the service does not work under the drop-in to begin with, or if the result cannot be proven;
    UsageError for notes of another search.
    """
    began = time.monotonic()
    order = replace(order, machine_choice=in_a_twin(order.machine_choice))
    search, found = _search(order, announce)
    if search.standing.left:
        return replace(found, seconds=time.monotonic() - began)
    proof = _Proof(order, search.start, announce)
    verdict = proof.try_without(found.standing.gone)
    if verdict.problem:
        announce("a fresh twin misses something: looking for it")
        found, verdict = _put_back(found, proof, verdict)
    return replace(found, seconds=time.monotonic() - began, verdict=verdict, exposure_after=verdict.exposure_after)


def in_a_twin(choice: MachineChoice) -> MachineChoice:
    """Return the choice with a twin, unless the host was asked for: it takes dozens of restarts."""
    return replace(choice, twin=True) if choice.twin is None else choice


def _search(order: Order, announce: Callable[[str], None]) -> tuple[Search, Minimised]:
    with order.machine_choice.machine(order.workload) as machine:
        unit = Unit.load(machine, order.unit)
        unit.check_may_restart()
        unit.check_without_ours()
        facts = order.before.facts if order.before else frozenset()
        start = Start(order.drop_in, unit.settings(), read_host_facts(machine), facts)
        notes = Notes(order.notes, _question(order, start))
        ends = order.before is not None and order.before.header.ended_on_reload
        with lives(unit, order.drop_in, order.workload, order.check, announce, may_end_on_reload=ends) as works:
            level = exposure(machine, unit.name)
            search = Search(start, notes.remembering(works), start.pieces(order.only), Teller(announce).tell)
            try:
                search.run()
            except KeyboardInterrupt:
                announce("stopping: what is proven so far is kept")
    if search.broken:
        raise ToolError(
            f"{unit.name} does not work under the drop-in to begin with: {search.broken}",
            hint=f"run: unit-tailor validate {unit.name} DROPIN --relax",
        )
    calls = _allowed_calls(start, order.drop_in), _allowed_calls(start, search.drop_in)
    result = Minimised(search.drop_in, search.standing, 0.0, level, level, *calls, reused=notes.reused)
    return search, result


def _question(order: Order, start: Start) -> dict[str, str]:
    return {
        "unit": order.unit,
        "settings": repr(start.unit.assignments),
        "drop-in": repr(order.drop_in.assignments),
        "workload": order.workload.command if order.workload else "",
        "check": order.check.command if order.check else "",
        "systemd": str(start.host.systemd_version),
        "kernel": os.uname().release,
    }


def _allowed_calls(start: Start, drop_in: DropIn) -> int:
    value = replace(start, drop_in=drop_in).values["SystemCallFilter"]
    calls = value.calls if isinstance(value, SystemCallFilter) else None
    return sum(calls is None or calls.allows(name) for name in start.host.known_calls)


@dataclass(frozen=True)
class _Proof:
    order: Order
    start: Start
    announce: Callable[[str], None]

    def try_without(self, pieces: Sequence[Piece]) -> Verdict:
        """Validate in a twin that is as fresh as the one that was recorded."""
        order, candidate = self.order, self.start.without(pieces)
        with order.machine_choice.machine(order.workload) as machine:
            return validate(
                Unit.load(machine, order.unit),
                candidate.render(),
                candidate.assignments,
                self.start.host,
                workload=order.workload,
                check=order.check,
                before=order.before,
                engine=order.engine,
                announce=self.announce,
            )


def _put_back(found: Minimised, proof: _Proof, verdict: Verdict) -> tuple[Minimised, Verdict]:
    gone = found.standing.gone
    verdicts = {frozenset[Piece](): verdict}

    def works(back: frozenset[Piece]) -> bool:
        if back not in verdicts:
            verdicts[back] = proof.try_without([piece for piece in gone if piece not in back])
        return not verdicts[back].problem

    # What a first start needs was recorded, so it is looked for there.
    needed = frozenset[Piece]()
    for suspects in ([piece for piece in gone if piece.needed], list(gone)):
        needed = needed or _least(suspects, works)
    if not needed:
        raise ToolError(
            f"what was found does not hold in a fresh twin: {verdict.problem}",
            hint="the service's own files may have changed during the search: look at the workload",
        )
    kept = tuple(piece for piece in gone if piece not in needed)
    standing = replace(found.standing, gone=kept)
    result = replace(found, drop_in=proof.start.without(kept), standing=standing, put_back=tuple(needed))
    return replace(result, calls_after=_allowed_calls(proof.start, result.drop_in)), verdicts[needed]


def _least(suspects: Sequence[Piece], works: Callable[[frozenset[Piece]], bool]) -> frozenset[Piece]:
    def enough(chosen: Sequence[int]) -> bool:
        return works(frozenset(suspects[place] for place in chosen))

    found = frozenset(suspects[place] for place in smallest_set(len(suspects), enough, MOST_PUT_BACK))
    return found or (frozenset(suspects) if suspects and works(frozenset(suspects)) else found)


class Teller:
    """Tells how far a search is, with a bar and an estimate of what is left."""

    def __init__(self, announce: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._announce = announce
        self._clock = clock
        self._began = clock()

    def tell(self, standing: Standing) -> None:
        """Announce one line."""
        total = len(standing.gone) + len(standing.missed) + len(standing.left)
        settled = total - len(standing.left)
        full = BAR * settled // max(total, 1)
        each = (self._clock() - self._began) / max(standing.asked, 1)
        self._announce(
            f"[{'#' * full}{'.' * (BAR - full)}] {settled} of {total} tried, {len(standing.gone)} not missed; "
            f"about {_span(each * standing.questions_left)} left"
        )


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
