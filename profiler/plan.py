"""What a command would do if it were not for ``--dry-run``: values, and the lines that tell them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from profiler.documents import Document, document
from profiler.terminal import printable


@dataclass(frozen=True)
class Change:
    """What is put on the machine for a while: what, what for, and how it goes away again."""

    what: str
    reason: str
    undone: str


@dataclass(frozen=True)
class Stage:
    """A part of the work: its steps in order, how often the service is started in it, and what is changed meanwhile."""

    name: str
    steps: tuple[str, ...]
    starts: int = 0
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Place:
    """The machine that would be worked on, why this one, and what would be installed and shown there (in a twin)."""

    name: str
    because: str
    packages: tuple[str, ...] = ()
    visible: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What would be done: to a ``unit`` or with a ``command``, where, with which engine and why, and what is left."""

    place: Place
    engine: str
    engine_because: tuple[str, ...]
    stages: tuple[Stage, ...]
    files: tuple[Path, ...]
    unit: str = ""
    command: tuple[str, ...] = ()
    workload: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def starts(self) -> int:
        """How often the service is started at least."""
        return sum(stage.starts for stage in self.stages)


def plan_document(plan: Plan) -> Document:
    """Return what ``--dry-run`` prints with ``--json``."""
    return document(
        dry_run=True,
        unit=plan.unit or None,
        command=list(plan.command),
        machine=plan.place.name,
        machine_because=plan.place.because,
        packages=list(plan.place.packages),
        visible=[str(path) for path in plan.place.visible],
        engine=plan.engine,
        engine_because=list(plan.engine_because),
        workload=plan.workload or None,
        stages=[_stage_document(stage) for stage in plan.stages],
        starts=plan.starts,
        files=[str(path) for path in plan.files],
        remarks=list(plan.remarks),
    )


def _stage_document(stage: Stage) -> Document:
    changes = [{"what": one.what, "reason": one.reason, "undone": one.undone} for one in stage.changes]
    return {"name": stage.name, "steps": list(stage.steps), "starts": stage.starts, "changes": changes}


def plan_in_words(plan: Plan) -> list[str]:
    """Return the same as lines."""
    return [printable(line) for line in _lines(plan)]


def _starts(plan: Plan) -> Iterator[str]:
    if not plan.unit:
        return
    if not plan.starts:
        yield f"would start and stop nothing: {plan.unit} runs on"
        return
    times = "once" if plan.starts == 1 else f"{plan.starts} times"
    yield f"would start {plan.unit} {times}" + (" at least" if len(plan.stages) > 1 else "")


def _lines(plan: Plan) -> Iterator[str]:
    yield f"would work on {plan.place.name}: {plan.place.because}"
    if plan.place.packages:
        yield f"would install in it, not on this host: {' '.join(plan.place.packages)}"
    for path in plan.place.visible:
        yield f"would show it, read-only: {path}"
    yield f"would record with {plan.engine}: {'; '.join(plan.engine_because)}"
    for stage in plan.stages:
        yield f"would {stage.name}" + (":" if stage.steps else "")
        yield from (f"  {number}. {step}" for number, step in enumerate(stage.steps, 1))
        yield from (f"  meanwhile {one.what}: {one.reason}; {one.undone}" for one in stage.changes)
    yield from _starts(plan)
    for path in plan.files:
        yield f"would write {path}"
    yield from (f"note: {remark}" for remark in plan.remarks)
    yield "nothing was done"
