"""Relax: the smallest changes to a drop-in under which it allows what it denied.

In this order: one more element for a list, one word less in a list of what is denied, the value that deciding chooses
for the directive to blame, the value that it chooses for another one, and, where nothing else helps, the directive is
left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from policy.behaviour import OK, Fact, SystemCall
from policy.decide import decide
from policy.drop_in import DropIn, Setting
from policy.host_facts import HostFacts
from policy.sandbox.denial import Denial
from policy.sandbox.sandbox import Sandbox
from policy.service_profile import Profile
from policy.settings import Assignment, build_sandbox, parse_settings
from policy.wording import behaviour_in_words

SECOND_THOUGHTS = 5
"""How often changes are looked for that other changes made necessary."""

ROUNDS = 200
"""More changes than any drop-in needs: the loop is bounded."""

FILTERS = frozenset(
    {"CapabilityBoundingSet", "AmbientCapabilities", "RestrictAddressFamilies", "RestrictNamespaces"}
    | {"SystemCallFilter", "SystemCallArchitectures", "RestrictFileSystems", "RestrictNetworkInterfaces"}
)
"""Lists that deny all that they do not name: to write the first word of one is no relaxation."""

ALLOWING = FILTERS | {"ReadWritePaths", "ExecPaths", "IPAddressAllow", "SocketBindAllow", "DeviceAllow", "BindPaths"}
"""Lists whose words allow, unless they stand behind a ``~``: a filter without its first line is of another kind."""


@dataclass(frozen=True)
class Relaxation:
    """A change to one directive: ``values`` are added to those in the drop-in, or stand in their place (none: it is
    left out); ``reason`` is what that allows, in words. ``taken`` are the words that went, where only words did.
    """

    directive: str
    values: tuple[str, ...]
    adds: bool
    reason: str
    taken: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.in_words}, to {self.reason}" if self.reason else self.in_words

    @property
    def in_words(self) -> str:
        """What to do with the drop-in."""
        lines = " ".join(f"{self.directive}={value}" for value in self.values if value or len(self.values) == 1)
        if self.adds:
            return f"add {lines}"
        if self.taken:
            return f"take {' '.join(self.taken)} out of {self.directive}="
        return f"replace {self.directive}= by {lines}" if self.values else f"remove {self.directive}="

    def applied_to(self, drop_in: DropIn) -> DropIn:
        """Return the drop-in with the change, and with the reason as a comment."""
        kept = [one for one in drop_in.settings if self.adds or one.name != self.directive]
        comment = (f"relaxed, to {self.reason}",)
        new = [Setting(self.directive, value, comment if place == 0 else ()) for place, value in enumerate(self.values)]
        return replace(drop_in, settings=(*kept, *new))


def relax(drop_in: DropIn, denials: Sequence[Denial], profile: Profile, host: HostFacts) -> tuple[Relaxation, ...]:
    """Return the smallest changes under which the denied facts are allowed, for as many of them as the model can.

    ``profile`` is everything else that must stay allowed.
    """
    wanted = {replace(denial.fact, outcome=OK): denial for denial in denials}
    union = Profile(profile.header, frozenset({*profile.facts, *wanted}))
    search = _Search(union, host)
    denied_before = search.denied(drop_in)
    changes: list[Relaxation] = []
    for _ in range(SECOND_THOUGHTS):
        for fact, denial in wanted.items():
            found = search.changes_for(drop_in, fact, denial)
            for change in found:
                drop_in = change.applied_to(drop_in)
            changes += found
        # What one change allows, it may deny to others: a directory that is private no more is read-only, perhaps.
        wanted = {fact: denial for fact, denial in search.denied(drop_in).items() if fact not in denied_before}
        if not wanted:
            break
    return _merged(changes)


def _merged(changes: Sequence[Relaxation]) -> tuple[Relaxation, ...]:
    """Put words that are added to one directive on one line; paths stay alone, each with its reason."""
    merged: dict[object, list[Relaxation]] = {}
    for change in changes:
        is_words = change.adds and not any(value.startswith(("/", '"', "'")) for value in change.values)
        merged.setdefault(change.directive if is_words else change, []).append(change)
    return tuple(group[0] if len(group) == 1 else _one_line(group) for group in merged.values())


def _one_line(changes: Sequence[Relaxation]) -> Relaxation:
    words = dict.fromkeys(value for change in changes for value in change.values)
    return replace(changes[0], values=(" ".join(words),), reason=f"{changes[0].reason}, and {len(changes) - 1} more")


def words_less(drop_in: DropIn, directive: str, reason: str) -> Iterator[Relaxation]:
    """Yield a change for each word that denies of a directive in a drop-in: without this word. There is none for the
    only word."""
    words = words_that_deny(drop_in, directive)
    if sum(len(one.value.split()) for one in drop_in.settings if one.name == directive) > 1:
        for place, word in words:
            yield without_words(drop_in, directive, {(place, word)}, reason)


def words_that_deny(drop_in: DropIn, directive: str, allowing: Set[str] = ALLOWING) -> tuple[tuple[int, str], ...]:
    """Return the words that can be taken out of a directive: the place of the line among those of the directive, and
    the word. None for lines with quotes, and in lists that are ``allowing`` only those behind a ``~``."""
    lines = [one.value for one in drop_in.settings if one.name == directive]
    if any(set(line) & set("\"'\\") for line in lines):
        return ()
    denying = [(place, line) for place, line in enumerate(lines) if line.startswith("~") or directive not in allowing]
    return tuple((place, word) for place, line in denying for word in line.removeprefix("~").split())


def without_words(drop_in: DropIn, directive: str, taken: Set[tuple[int, str]], reason: str) -> Relaxation:
    """Return the change that takes words out of a directive: pairs of the place of the line among those of the
    directive, and the word."""
    kept: list[str] = []
    for place, line in enumerate(one.value for one in drop_in.settings if one.name == directive):
        words = [word for word in line.removeprefix("~").split() if (place, word) not in taken]
        if words or not line.strip():
            kept.append(("~" if line.startswith("~") else "") + " ".join(words))
    return Relaxation(directive, tuple(kept), adds=False, reason=reason, taken=tuple(word for _, word in sorted(taken)))


class _Search:
    def __init__(self, union: Profile, host: HostFacts) -> None:
        self.union = union
        self.host = host
        self.unit = union.header.unit
        self.decided = {choice.name: choice.chosen for choice in decide(union, host).choices}

    def judge(self, drop_in: DropIn, fact: Fact) -> Denial | None:
        """Return why a fact is denied by the drop-in, None if it is not."""
        return self._sandbox(drop_in.assignments).judge(fact)

    def changes_for(self, drop_in: DropIn, fact: Fact, denial: Denial) -> list[Relaxation]:
        """Return the changes under which a fact is allowed; none if there are none, or if it is allowed already.

        Several settings can stand in the way of one fact, one behind the other.
        """
        changes: list[Relaxation] = []
        for _ in range(ROUNDS):
            now = self.judge(drop_in, fact)
            if now is None:
                return changes
            change = self._smallest(drop_in, fact, replace(now, fact=denial.fact))
            if change is None:
                break
            changes.append(change)
            drop_in = change.applied_to(drop_in)
        return []

    def _smallest(self, drop_in: DropIn, fact: Fact, denial: Denial) -> Relaxation | None:
        # The first change in the order of size under which the fact is allowed and nothing else denied; or else another
        # setting is in the way; or else something else is denied, which is the next to be looked at.
        before = self.denied(drop_in).keys()
        others: dict[str, Relaxation] = {}
        for change in self._changes(drop_in, fact, denial):
            changed = change.applied_to(drop_in)
            left = self.judge(changed, fact)
            if left is not None and left.directive == denial.directive:
                continue
            harmless = change.adds or self.denied(changed).keys() <= before
            if left is None and harmless:
                return change
            others.setdefault("next in the way" if harmless else "denies others" if left is None else "", change)
        return others.get("next in the way") or others.get("denies others")

    def _changes(self, drop_in: DropIn, fact: Fact, denial: Denial) -> Iterator[Relaxation]:
        reason = behaviour_in_words(denial.fact.behaviour)
        current = parse_settings((*self.unit.assignments, *drop_in.assignments), self.host)
        different = [name for name, value in self.decided.items() if value != current[name]]
        different.sort(key=lambda name: name != denial.directive)
        written = {one.name for one in drop_in.settings}
        more = [
            Relaxation(name, (element,), adds=True, reason=reason)
            for name in different
            if name in written or name not in FILTERS
            for element in self.decided[name].elements()
            if element not in current[name].elements()
        ]
        if isinstance(fact.behaviour, SystemCall):
            more.append(Relaxation("SystemCallFilter", (fact.behaviour.name,), adds=True, reason=reason))
        less = list(words_less(drop_in, denial.directive, reason))
        # A word that is just what is missing goes first; a group that has it and more goes last.
        missing = {value for change in more for value in change.values}
        yield from (change for change in less if set(change.taken) <= missing)
        yield from more
        yield from (change for change in less if not set(change.taken) <= missing)
        for name in different:
            if name in written and self.decided[name].values():
                yield Relaxation(name, self.decided[name].values(), adds=False, reason=reason)
        for name in dict.fromkeys((denial.directive, *different)):
            if any(one.name == name for one in drop_in.settings):
                yield Relaxation(name, (), adds=False, reason=reason)

    def denied(self, drop_in: DropIn) -> dict[Fact, Denial]:
        """Return what a drop-in denies of all that must be allowed."""
        sandbox = self._sandbox(drop_in.assignments)
        return {fact: denial for fact in self.union.facts if (denial := sandbox.judge(fact)) is not None}

    def _sandbox(self, assignments: Sequence[Assignment]) -> Sandbox:
        merged = parse_settings((*self.unit.assignments, *assignments), self.host)
        return build_sandbox(merged, self.host, self.unit)
