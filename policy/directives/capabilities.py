"""The directives of systemd.exec(5), "Capabilities"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from policy.behaviour import OK, UNKNOWN, CapabilityUsed, Fact, PrivilegeGained, SignalSent
from policy.capability_names import ALL_CAPABILITIES, in_order, knows, parse_capability_names
from policy.directives.base import Directive, Evidence
from policy.host_facts import HostFacts
from policy.sandbox.capabilities import REFUSALS
from policy.sandbox.sandbox import Sandbox
from policy.unit_settings import ExecLine

USED_BY_RINGS = frozenset({"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_NET_BIND_SERVICE"})
"""Capabilities that operations inside of an io_uring may use without any recorder seeing the operation."""

UNSET_DIFFERS_FROM_FULL = 262
"""A version in which every bit of a bounding set (``~``) is a value and not the same as saying nothing: measured, as
that 252 and 257 differ. Between them the narrower answer is taken."""

_BITS_WITHOUT_A_NAME = ""

UNSEEN_LINES = ("ExecReload", "ExecStop", "ExecStopPost")


@dataclass(frozen=True)
class CapabilityBoundingSet(Directive):
    """Takes capabilities away for good, even from root.

    Facts come from the kernel's own checks where the recorder sees them (``cap_capable``), else from calls and their
    results. What only error paths need, and the tests of programs for capabilities that they then do not use, cannot
    be judged.
    """

    since: ClassVar = {"": 1}
    manual: ClassVar = "systemd.exec(5), Capabilities"
    about: ClassVar = (CapabilityUsed, PrivilegeGained, SignalSent)
    summary: ClassVar = "takes capabilities away, even from root"
    denied_examples: ClassVar = {
        "": Fact(CapabilityUsed("CAP_NET_BIND_SERVICE", "bind to port 80")),
        "~CAP_CHOWN": Fact(CapabilityUsed("CAP_CHOWN", "chown to another user")),
    }

    kept: frozenset[str] = ALL_CAPABILITIES

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Merge as ``config_parse_capability_set`` in systemd's ``load-fragment.c``: the first line and lines that
        name nothing replace, later lines add or, with ``~``, remove. What holds every bit, also those that no
        capability has, is a set about which nothing was said in older versions."""
        everything = ALL_CAPABILITIES | {_BITS_WITHOUT_A_NAME}
        kept: frozenset[str] | None = None
        for assignment in assignments:
            names = parse_capability_names(assignment.lstrip("~"), host.systemd_version)
            inverted = assignment.startswith("~")
            if not names or kept is None:
                kept = everything - names if inverted else names
            else:
                kept = kept - names if inverted else kept | names
            if kept == everything and host.systemd_version < UNSET_DIFFERS_FROM_FULL:
                kept = None
        return cls(ALL_CAPABILITIES if kept is None else kept - {_BITS_WITHOUT_A_NAME})

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose exactly what was used, and what must be kept with it."""
        if not evidence.start_up_observed:
            return ()
        return [cls(frozenset(name for name in needed(evidence) if knows(name, evidence.host.systemd_version)))]

    def contribute(self, sandbox: Sandbox) -> None:
        """Drop everything else from the bounding set."""
        lines = [line for line in self.values() if line] or [""]
        sandbox.capabilities.drop(
            type(self).__name__, f"CapabilityBoundingSet={lines[0]}", ALL_CAPABILITIES - self.kept
        )

    def values(self) -> tuple[str, ...]:
        """Return a reset, which is the empty set for systemd, and the capabilities that are kept."""
        if self.kept == ALL_CAPABILITIES:
            return ()
        return ("", " ".join(in_order(self.kept))) if self.kept else ("",)

    def intersected(self, own: Self) -> Self:
        """Keep only what both keep."""
        return type(self)(self.kept & own.kept)

    def strictness(self) -> int:
        """Return the number of capabilities that are dropped."""
        return len(ALL_CAPABILITIES - self.kept)

    def elements(self) -> tuple[str, ...]:
        """Return the capabilities that are kept, unless all are."""
        return in_order(self.kept) if self.kept != ALL_CAPABILITIES else ()

    @classmethod
    def possible_elements(cls, host: HostFacts) -> tuple[str, ...]:
        """Return all capabilities."""
        return tuple(name for name in in_order(ALL_CAPABILITIES) if knows(name, host.systemd_version))

    def without(self, element: str) -> Self:
        """Drop one more."""
        return type(self)(self.kept - {element})

    def kept_because(self, element: str, evidence: Evidence) -> str:
        """Name the rule by which a capability is kept although no recorded use of it was seen."""
        if element == "CAP_KILL" and not _signals_other_users(evidence) and _may_signal_other_users(evidence):
            return "processes run under several users, and a line that may send signals to them was not exercised"
        if element in USED_BY_RINGS and evidence.uses_rings:
            return "operations inside of an io_uring are not visible"
        return ""


def needed(evidence: Evidence) -> frozenset[str]:
    """Return the capabilities that the facts demand in the bounding set."""
    names = set(used(evidence))
    for fact in evidence.confined(PrivilegeGained):
        if isinstance(fact.behaviour, PrivilegeGained) and fact.outcome in {OK, UNKNOWN}:
            names.update(fact.behaviour.capabilities)
    if _signals_other_users(evidence) or _may_signal_other_users(evidence):
        names.add("CAP_KILL")
    if evidence.uses_rings and evidence.unit.runs_as_root:
        names |= USED_BY_RINGS
    return frozenset(names)


def used(evidence: Evidence) -> frozenset[str]:
    """Return the capabilities that decided something; one that was asked for and refused was not there."""
    return frozenset(
        fact.behaviour.capability
        for fact in evidence.confined(CapabilityUsed)
        if isinstance(fact.behaviour, CapabilityUsed) and fact.outcome not in REFUSALS
    )


def _signals_other_users(evidence: Evidence) -> bool:
    return any(
        isinstance(fact.behaviour, SignalSent) and fact.behaviour.other_user and fact.succeeded
        for fact in evidence.confined(SignalSent)
    )


def _may_signal_other_users(evidence: Evidence) -> bool:
    # ExecReload=kill -HUP $MAINPID and its like: root needs CAP_KILL for a main process that has changed its user.
    users = {fact.user for fact in evidence.facts if _kind(fact.exec_line) == "ExecStart"}
    exercised = {_kind(fact.exec_line) for fact in evidence.facts}
    return len(users) > 1 and any(_can_signal(line) and line.kind not in exercised for line in evidence.unit.exec_lines)


def _can_signal(line: ExecLine) -> bool:
    return line.kind in UNSEEN_LINES and "+" not in line.prefixes


def _kind(exec_line: str) -> str:
    return exec_line.lstrip("-@:+!|")


@dataclass(frozen=True)
class AmbientCapabilities(Directive):
    """Gives capabilities to services that run under User=. It is only ever narrowed to those that were used.

    Facts as for CapabilityBoundingSet=.
    """

    since: ClassVar = {"": 229}
    manual: ClassVar = "systemd.exec(5), Capabilities"
    about: ClassVar = (CapabilityUsed, PrivilegeGained, SignalSent)
    summary: ClassVar = "gives no more capabilities to a service with User= than it uses"
    denied_examples: ClassVar = {}
    boost_only: ClassVar = True

    given: frozenset[str] = frozenset()
    taken: frozenset[str] = field(default=frozenset(), compare=False)
    """What the unit itself gives and this value does not: only for contribute, which has to say what is lost."""

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Merge as ``config_parse_capability_set``: the default is the empty set, so nothing replaces differently."""
        given: frozenset[str] = frozenset()
        for assignment in assignments:
            names = parse_capability_names(assignment.lstrip("~"), host.systemd_version)
            inverted = assignment.startswith("~")
            if not names or not given:
                given = ALL_CAPABILITIES - names if inverted else names
            else:
                given = given - names if inverted else given | names
        return cls(given)

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose those of the unit's own that were used."""
        own = cls.parse(evidence.unit.values("AmbientCapabilities"), evidence.host)
        if not own.given or not evidence.start_up_observed:
            return ()
        given = own.given & needed(evidence)
        return [cls(given, own.given - given)]

    def contribute(self, sandbox: Sandbox) -> None:
        """Give them, and take note of those that are not given any more."""
        setting = f"AmbientCapabilities={' '.join(in_order(self.given))}"
        sandbox.capabilities.ambient = self.given
        sandbox.capabilities.lose_ambient(type(self).__name__, setting, self.taken)

    def values(self) -> tuple[str, ...]:
        """Return a reset and the capabilities that are given."""
        return ("", " ".join(in_order(self.given))) if self.given else ("",)

    def intersected(self, own: Self) -> Self:
        """Give only what both give."""
        given = self.given & own.given
        return type(self)(given, own.given - given)

    def strictness(self) -> int:
        """Return the number of capabilities that are not given."""
        return len(ALL_CAPABILITIES - self.given)

    def elements(self) -> tuple[str, ...]:
        """Return the capabilities that are given."""
        return in_order(self.given)

    def without(self, element: str) -> Self:
        """Give one less."""
        return type(self)(self.given - {element}, self.taken | {element})
