"""Minimal: what could still be taken away from a drop-in, piece by piece, and the drop-in without it.

What was recorded is no limit here: a service asks for much that it can do without. So each piece is for a restart to
try (``profiler.validate.minimising``). Pieces that no workload can miss although they matter (for the sake of a line
that was not exercised, of messages that nobody waits for, of error paths) are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from policy.behaviour import OK, UNKNOWN, Fact, SystemCall
from policy.directives.base import Directive, Evidence, all_directives
from policy.directives.choice import Choice
from policy.directives.system_calls import SystemCallFilter
from policy.drop_in import DropIn, Setting
from policy.equivalence import closure, needed_calls
from policy.host_facts import HostFacts
from policy.settings import build_sandbox, parse_settings
from policy.system_call_list import exact_form, parse_system_call_list
from policy.unit_settings import ALIASES, UnitSettings

Values = Mapping[str, Directive]


@dataclass(frozen=True)
class Piece:
    """Something to take away: an ``element`` of a list, or ``calls`` of the filter that stand for each other, or what a
    stricter ``word`` denies. ``needed`` says that by the model a recorded fact needs it.
    """

    directive: str
    element: str = ""
    word: str = ""
    calls: frozenset[str] = frozenset()
    needed: bool = False

    def __str__(self) -> str:
        if self.word:
            return f"{self.directive}={self.word}"
        return f"{self.directive}= without {self.element or ' '.join(sorted(self.calls))}"


@dataclass(frozen=True)
class Start:
    """What a search starts from: a drop-in for a unit on a target, and what was recorded of the unit (or nothing)."""

    drop_in: DropIn
    unit: UnitSettings
    host: HostFacts
    facts: frozenset[Fact] = frozenset()

    @property
    def values(self) -> dict[str, Directive]:
        """Every directive as the unit has it under the drop-in."""
        return parse_settings((*self.unit.assignments, *self.drop_in.assignments), self.host)

    def pieces(self, only: Collection[str] = ()) -> tuple[Piece, ...]:
        """Return all pieces, those first that by the model no recorded fact needs, then by directive.

        ``only`` are the directives to look at; none stands for all.
        """
        values = self.values
        evidence = Evidence(self.facts, self.host, self.unit)
        found = [
            piece
            for name, value in values.items()
            if (not only or name in only) and not value.unenforced(self.host)
            for piece in self._pieces_of(value, evidence)
        ]
        marked = [self._marked(piece, values, evidence) for piece in found]
        return tuple(sorted(marked, key=lambda piece: (piece.needed, bool(piece.calls))))

    def without(self, pieces: Collection[Piece]) -> DropIn:
        """Return the drop-in without these pieces; what of it does not change stays as it is, comments included."""
        values = self.values
        tightened = _tightened(values, pieces, self.host)
        changed = [name for name in values if tightened[name] != values[name]]
        own = parse_settings(self.unit.assignments, self.host)
        kept = [one for one in self.drop_in.settings if ALIASES.get(one.name, one.name) not in changed]
        new = [line for name in changed for line in _lines(name, tightened[name], own[name], pieces)]
        return DropIn((*kept, *new), self.drop_in.header, self.drop_in.tool_version)

    def _pieces_of(self, value: Directive, evidence: Evidence) -> Iterable[Piece]:
        name = type(value).__name__
        if isinstance(value, SystemCallFilter):
            yield from _call_pieces(value, evidence)
        elif isinstance(value, Choice):
            if value.ordered and not value.boost_only:
                for word in value.known_words(self.host):
                    if type(value)(word).strictness() > value.strictness():
                        yield Piece(name, word=word)
        else:
            for element in value.elements():
                if value.without(element) != value and not value.kept_because(element, evidence):
                    yield Piece(name, element=element)

    def _marked(self, piece: Piece, values: Values, evidence: Evidence) -> Piece:
        if piece.calls:
            needed = bool(piece.calls & _recorded(evidence))
        else:
            sandbox = build_sandbox(_tightened(values, [piece], self.host), self.host, self.unit)
            concerned = evidence.in_order
            needed = any(fact.succeeded and sandbox.judge(fact) is not None for fact in concerned)
        return Piece(piece.directive, piece.element, piece.word, piece.calls, needed)


def _tightened(values: Values, pieces: Collection[Piece], host: HostFacts) -> dict[str, Directive]:
    tightened = dict(values)
    calls: set[str] = set()
    for piece in pieces:
        value = tightened[piece.directive]
        if piece.calls:
            calls |= piece.calls
        elif piece.element:
            tightened[piece.directive] = value.without(piece.element)
        else:
            stricter = all_directives()[piece.directive].parse([piece.word], host)
            if stricter.strictness() > value.strictness():
                tightened[piece.directive] = stricter
    if calls:
        tightened["SystemCallFilter"] = _fewer_calls(values["SystemCallFilter"], calls, host)
    return tightened


def _fewer_calls(value: Directive, calls: set[str], host: HostFacts) -> Directive:
    assert isinstance(value, SystemCallFilter)
    lines = exact_form(frozenset(_allowed(value, host) - calls), host)
    return SystemCallFilter(parse_system_call_list(lines, host), host)


def _allowed(value: SystemCallFilter, host: HostFacts) -> set[str]:
    return {name for name in host.known_calls if value.calls is not None and value.calls.allows(name)}


def _call_pieces(value: SystemCallFilter, evidence: Evidence) -> Iterable[Piece]:
    # The calls of one class go together: which of them a program makes depends on its libc.
    host = evidence.host
    if value.calls is None:
        return
    always = host.syscall_sets.get("@default", frozenset()) | needed_calls(frozenset(), host)
    left = _allowed(value, host) - always
    groups = {name: calls for name, calls in sorted(host.syscall_sets.items()) if len(calls) < _LARGE_GROUP}
    in_groups = sorted(left, key=lambda name: (next((g for g, calls in groups.items() if name in calls), "~"), name))
    for name in in_groups:
        if name in left:
            together = frozenset(closure(frozenset({name}), host) & left)
            left -= together
            yield Piece(type(value).__name__, calls=together | {name})


_LARGE_GROUP = 100
"""Groups with more calls (@known, @system-service) hold others."""


def _recorded(evidence: Evidence) -> frozenset[str]:
    return frozenset(
        fact.behaviour.name
        for fact in evidence.confined(SystemCall)
        if isinstance(fact.behaviour, SystemCall) and fact.outcome in {OK, UNKNOWN}
    )


def _lines(name: str, value: Directive, own: Directive, pieces: Collection[Piece]) -> Sequence[Setting]:
    gone = [piece for piece in pieces if piece.directive == name]
    elements = " ".join(piece.element for piece in gone if piece.element)
    calls = sum(len(piece.calls) for piece in gone)
    said = [f"without {elements}"] * bool(elements) + [f"{calls} system calls less"] * bool(calls)
    comment = f"minimised: {', '.join(said) or 'stricter'}; the workload does not miss it"
    values = value.values() or (("",) if own.values() else ())
    return [Setting(name, one, (comment,) if place == 0 else ()) for place, one in enumerate(values)]
