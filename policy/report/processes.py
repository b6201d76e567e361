"""Who did what: the Exec lines of the unit, the programs by name, and the phases of the service's life."""

from __future__ import annotations

from collections.abc import Sequence

from policy.behaviour import Access, Behaviour, Fact, PathUse, Phase
from policy.report.model import ExecLine, PhaseShare, Program, Ran
from policy.sandbox.read_only import HAPPENED
from policy.unit_settings import UnitSettings

NO_NAME = "(unknown)"


def exec_lines(facts: Sequence[Fact], unit: UnitSettings) -> tuple[ExecLine, ...]:
    """Return the Exec lines that the unit has or that were seen, in the order of the unit."""
    by_kind: dict[str, list[Fact]] = {line.kind: [] for line in unit.exec_lines}
    for fact in facts:
        by_kind.setdefault(fact.exec_line.lstrip("-@:+!|"), []).append(fact)
    programs = {
        kind: tuple(f"{line.prefixes}{line.program}" for line in unit.exec_lines if line.kind == kind)
        for kind in by_kind
    }
    return tuple(_exec_line(kind, programs[kind], seen) for kind, seen in by_kind.items())


def _exec_line(kind: str, programs: tuple[str, ...], facts: Sequence[Fact]) -> ExecLine:
    phases = {fact.phase for fact in facts}
    return ExecLine(
        kind,
        programs,
        Ran.YES if facts else Ran.NO,
        tuple(sorted({fact.user for fact in facts})),
        tuple(phase.value for phase in Phase if phase in phases),
        len(facts),
        tuple(sorted({path for fact in facts if (path := _executed(fact))})),
    )


def _executed(fact: Fact) -> str:
    use = fact.behaviour
    if isinstance(use, PathUse) and use.access is Access.EXECUTE and fact.outcome in HAPPENED:
        return use.path
    return ""


def programs(facts: Sequence[Fact]) -> tuple[Program, ...]:
    """Return the process names in the evidence, those that did most first."""
    by_name: dict[str, list[Fact]] = {}
    for fact in facts:
        by_name.setdefault(fact.evidence.rpartition(": ")[0] or NO_NAME, []).append(fact)
    found = (
        Program(
            name,
            tuple(sorted({fact.exec_line for fact in seen})),
            tuple(sorted({fact.user for fact in seen})),
            len(seen),
        )
        for name, seen in by_name.items()
    )
    return tuple(sorted(found, key=lambda program: (-program.facts, program.name)))


def phases(facts: Sequence[Fact]) -> tuple[PhaseShare, ...]:
    """Return for each phase how much was seen in it, and how much that no earlier phase had shown."""
    known: set[tuple[Behaviour, str]] = set()
    shares = []
    for phase in Phase:
        seen = {(fact.behaviour, fact.outcome) for fact in facts if fact.phase is phase}
        shares.append(PhaseShare(phase.value, len(seen), len(seen - known)))
        known |= seen
    return tuple(share for share in shares if share.facts)
