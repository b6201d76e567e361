"""Blame: denials put together by their cause, with the lines of the drop-in that deny and what would allow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from policy.behaviour import OK, Fact
from policy.drop_in import DropIn, Setting
from policy.host_facts import HostFacts
from policy.relax import Relaxation
from policy.sandbox.denial import Denial
from policy.sandbox.sandbox import Sandbox
from policy.settings import build_sandbox, parse_settings
from policy.unit_settings import ALIASES, UnitSettings

UNNAMED = "a setting of the drop-in"
"""What stands in for a setting that the model cannot name."""


@dataclass(frozen=True)
class Blame:
    """What one setting denied: ``lines`` are those of the drop-in that say so (none: not said by the drop-in itself),
    ``changes`` the smallest ones that allow it (none: not known).
    """

    setting: str
    denials: tuple[Denial, ...] = ()
    lines: tuple[Setting, ...] = ()
    changes: tuple[Relaxation, ...] = ()


def blame(
    drop_in: DropIn, denials: Sequence[Denial], changes: Sequence[Relaxation], host: HostFacts, unit: UnitSettings
) -> tuple[Blame, ...]:
    """Group denials by the setting and the changes that allow them, in the order of the denials.

    ``changes`` are applied one after the other, as ``relax`` returns them. Those that the model has no denial for
    (found by restarts) come behind the others, with the denials for which the model has no setting.
    """
    groups: dict[tuple[str, tuple[Relaxation, ...]], list[Denial]] = {}
    steps = _Steps(drop_in, changes, host, unit)
    for denial in denials:
        if denial.directive:
            groups.setdefault((denial.setting, steps.freeing(denial.fact)), []).append(denial)
    found = [
        Blame(setting, tuple(grouped), lines_to_blame(drop_in, grouped[0], host, unit), needed)
        for (setting, needed), grouped in groups.items()
    ]
    used = {change for one in found for change in one.changes}
    unnamed = tuple(denial for denial in denials if not denial.directive)
    return (*found, *_unexplained(drop_in, unnamed, [change for change in changes if change not in used]))


def _unexplained(drop_in: DropIn, denials: tuple[Denial, ...], changes: Sequence[Relaxation]) -> list[Blame]:
    found = [_of_change(drop_in, change) for change in changes]
    if found:
        return [replace(found[0], denials=denials), *found[1:]]
    return [Blame(UNNAMED, denials)] if denials else []


def changes_of(blamed: Sequence[Blame]) -> tuple[Relaxation, ...]:
    """Return the changes that would allow all of it, each one once."""
    return tuple(dict.fromkeys(change for one in blamed for change in one.changes))


def lines_to_blame(drop_in: DropIn, denial: Denial, host: HostFacts, unit: UnitSettings) -> tuple[Setting, ...]:
    """Return the lines that deny: the one that the model names, else each one without which the fact would be allowed,
    else all lines of the directive to blame. None if the drop-in has no such line."""
    written = [one for one in drop_in.settings if ALIASES.get(one.name, one.name) == denial.directive]
    fact = replace(denial.fact, outcome=OK)
    spoken = [one for one in written if one.value.strip()] or written
    guilty = [one for one in spoken if _judge(_without(drop_in, one), fact, host, unit) is None]
    verbatim = [one for one in spoken if f"{denial.directive}={one.value}" == denial.setting]
    return tuple(verbatim or guilty or spoken)


class _Steps:
    # The drop-in after each of the changes.
    def __init__(self, drop_in: DropIn, changes: Sequence[Relaxation], host: HostFacts, unit: UnitSettings) -> None:
        self.changes = changes
        self.sandboxes: list[Sandbox] = [_sandbox(drop_in, host, unit)]
        for change in changes:
            drop_in = change.applied_to(drop_in)
            self.sandboxes.append(_sandbox(drop_in, host, unit))

    def freeing(self, fact: Fact) -> tuple[Relaxation, ...]:
        """Return the changes that a fact needs: those that move the sandbox to another answer, up to yes."""
        succeeding = replace(fact, outcome=OK)
        answers = [sandbox.judge(succeeding) for sandbox in self.sandboxes]
        free = next((place for place, answer in enumerate(answers) if answer is None), 0)
        moved = [place for place in range(1, free) if answers[place] != answers[place - 1]]
        return tuple(self.changes[place - 1] for place in (*moved, free) if place)


def _of_change(drop_in: DropIn, change: Relaxation) -> Blame:
    lines = tuple(one for one in drop_in.settings if one.name == change.directive)
    lines = tuple(one for one in lines if set(one.value.removeprefix("~").split()) & set(change.taken)) or lines
    setting = f"{change.directive}={lines[-1].value}" if lines else f"{change.directive}="
    return Blame(setting, (), tuple(one for one in lines if one.value.strip()) or lines, (change,))


def _without(drop_in: DropIn, line: Setting) -> DropIn:
    return replace(drop_in, settings=tuple(one for one in drop_in.settings if one is not line))


def _judge(drop_in: DropIn, fact: Fact, host: HostFacts, unit: UnitSettings) -> Denial | None:
    return _sandbox(drop_in, host, unit).judge(fact)


def _sandbox(drop_in: DropIn, host: HostFacts, unit: UnitSettings) -> Sandbox:
    return build_sandbox(parse_settings((*unit.assignments, *drop_in.assignments), host), host, unit)
