"""The directives of systemd.exec(5), "System Call Filtering"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from policy.behaviour import Fact, SystemCall
from policy.directives.base import Directive, Evidence
from policy.equivalence import closure, needed_calls
from policy.host_facts import HostFacts
from policy.level import Level
from policy.sandbox.denial import KILLED
from policy.sandbox.sandbox import Sandbox
from policy.system_call_list import (
    DEFAULT_IS_ENOSYS,
    SystemCallList,
    deny_list_form,
    error_name,
    exact_form,
    group_form,
    intersection,
    parse_system_call_list,
    survivable,
    whole_group_form,
)

NATIVE = "native"

_FIRST_FORM = {Level.STRICT: 0, Level.STANDARD: 1, Level.COMPATIBLE: 2}

ARCHITECTURES = frozenset(
    {"alpha", "arc", "arm", "arm64", "ia64", "loongarch64", "m68k", "mips", "mips-le", "mips64", "mips64-le"}
    | {"mips64-le-n32", "mips64-n32", "parisc", "parisc64", "ppc", "ppc64", "ppc64-le", "riscv64", "s390", "s390x"}
    | {"x86", "x86-64", "x32"}
)
"""The words of SystemCallArchitectures= (``seccomp_arch_from_string`` in systemd's ``seccomp-util.c``)."""


@dataclass(frozen=True)
class SystemCallFilter(Directive):
    """Lets only named system calls through. The values are in groups, so that they survive updates of libc and systemd.

    Facts are the names of all recorded calls; those that only error paths make, or another libc, are added by class
    (``policy.equivalence``). Where the unit's own filter kills, that stays so for what it denies; what only this list
    takes away is answered with EPERM, but at the level strict. Which names libseccomp of the target can load is not
    known to the model: it takes ``@known`` of systemd for it.
    """

    since: ClassVar = {"": 187}
    needs: ClassVar = ("SECCOMP",)
    manual: ClassVar = "systemd.exec(5), System Call Filtering"
    about: ClassVar = (SystemCall,)
    levels: ClassVar = (
        "strict lists the calls that were recorded, their equivalents and the baseline; "
        "standard takes unused groups out of @system-service; compatible keeps all of @system-service"
    )
    summary: ClassVar = "lets only the listed system calls through"
    denied_examples: ClassVar = {
        "@system-service": Fact(SystemCall("reboot")),
        "~@chown": Fact(SystemCall("fchownat")),
    }

    calls: SystemCallList | None = None
    host: HostFacts | None = field(default=None, compare=False, repr=False)
    error_number: str = field(default=KILLED, compare=False)
    """What the unit's SystemCallErrorNumber= says: no single call of an allow-list may be given the same answer."""

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Merge as ``config_parse_syscall_filter`` does."""
        return cls(parse_system_call_list(assignments, host), host)

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose the calls that are needed, @system-service without what nothing used, all of it, a list of what is
        denied: from the first of these that belongs to the level."""
        host = evidence.host
        if not evidence.start_up_observed or "@system-service" not in host.syscall_sets:
            return ()
        native_only = _architectures(evidence) <= {host.architecture}
        needed = needed_calls(_recorded(evidence), host, native_only=native_only)
        forms = (exact_form, group_form, whole_group_form, deny_list_form)[_FIRST_FORM[evidence.level] :]
        answer = SystemCallErrorNumber.parse(evidence.unit.values("SystemCallErrorNumber"), host).value
        own = parse_system_call_list(evidence.unit.values("SystemCallFilter"), host)
        written = [[line for line in form(needed, host) if f":{answer}" not in line] for form in forms]
        if own is not None and answer == KILLED and evidence.level is not Level.STRICT:
            written = [list(survivable(lines, own, host)) for lines in written[:-1]] + written[-1:]
        return [cls(parse_system_call_list(lines, host), host, answer) for lines in written]

    def contribute(self, sandbox: Sandbox) -> None:
        """Load the filter; what it answers is decided by SystemCallErrorNumber= unless an entry says otherwise."""
        calls = self.calls
        if calls is None:
            return
        knows_unknown = sandbox.host.systemd_version >= DEFAULT_IS_ENOSYS
        known = sandbox.host.known_calls if knows_unknown else frozenset()
        filters = sandbox.filters
        if calls.allow_list:
            filters.default_answer = "ENOSYS" if knows_unknown else ""
            for name, answer in sorted(calls.entries):
                if answer:
                    filters.single_answers[answer] = f"SystemCallFilter={calls.line_for(name, sandbox.host)}"

        def rule(fact: Fact) -> str:
            if not isinstance(fact.behaviour, SystemCall):
                return ""
            return calls.answer(fact.behaviour.name, filters.error_number, known)

        def line(fact: Fact) -> str:
            name = fact.behaviour.name if isinstance(fact.behaviour, SystemCall) else ""
            return f"SystemCallFilter={calls.line_for(name, sandbox.host)}"

        filters.add(type(self).__name__, f"SystemCallFilter={calls.lines[0]}", rule, line)

    def values(self) -> tuple[str, ...]:
        """Return a reset and the lines."""
        return ("", *self.calls.lines) if self.calls else ()

    def intersected(self, own: Self) -> Self:
        """Allow only what both allow, written as this value with what the unit denies taken out."""
        if own.calls is None or self.calls is None:
            return own if self.calls is None else self
        host = self.host or own.host
        both = intersection(self.calls, own.calls, host, self.error_number) if host else own.calls
        return type(self)(both, host, self.error_number)

    def at_least_as_strict_as(self, other: Self) -> bool:
        """Whether each call that the target knows gets through only if it does by the other filter too."""
        if other.calls is None or self.calls is None:
            return other.calls is None
        return self.extent() <= other.extent()

    def extent(self) -> frozenset[str]:
        """Return the calls that may pass, of those that the target knows; nothing where there is no filter."""
        if self.calls is None or self.host is None:
            return frozenset()
        return frozenset(name for name in self.host.known_calls if self.calls.allows(name))

    def strictness(self) -> int:
        """Filters have no order; a unit's own is met by ``intersected``."""
        return 0

    def elements(self) -> tuple[str, ...]:
        """Return the names that were added to the groups one by one."""
        return self.calls.single_names if self.calls else ()

    @classmethod
    def possible_elements(cls, host: HostFacts) -> tuple[str, ...]:
        """Return all calls that the target's systemd knows."""
        return tuple(sorted(host.known_calls))

    def without(self, element: str) -> Self:
        """Return the filter without one name."""
        if self.calls is None or self.host is None:
            return self
        return type(self)(parse_system_call_list((*self.calls.lines, f"~{element}"), self.host), self.host)

    def price(self, evidence: Evidence) -> str:
        """Count the calls that are let through and those that were recorded."""
        if self.calls is None or self.host is None:
            return ""
        allowed = {name for name in self.host.known_calls if self.calls.allows(name)}
        recorded = len(allowed & _recorded(evidence))
        return f"{len(allowed)} system calls are allowed, of which {recorded} were recorded"

    def elements_for(self, fact: Fact) -> Iterable[str]:
        """Return the call itself."""
        return (fact.behaviour.name,) if isinstance(fact.behaviour, SystemCall) else ()

    def kept_because(self, element: str, evidence: Evidence) -> str:
        """Say which recorded call it stands beside."""
        relatives = sorted(name for name in _recorded(evidence) if element in closure(frozenset({name}), evidence.host))
        return f"may be called in place of {', '.join(relatives)}" if relatives else "error paths use it"


def _recorded(evidence: Evidence) -> frozenset[str]:
    return frozenset(
        fact.behaviour.name for fact in evidence.confined(SystemCall) if isinstance(fact.behaviour, SystemCall)
    )


def _architectures(evidence: Evidence) -> frozenset[str]:
    return frozenset(
        fact.behaviour.architecture for fact in evidence.confined(SystemCall) if isinstance(fact.behaviour, SystemCall)
    )


@dataclass(frozen=True)
class SystemCallErrorNumber(Directive):
    """What a call that the filter denies returns. An errno lets the program go on; the default kills it.

    It takes nothing away, so no fact demands it: it is proposed with a filter of our own.
    """

    since: ClassVar = {"": 209}
    manual: ClassVar = "systemd.exec(5), System Call Filtering"
    summary: ClassVar = "answers denied system calls with an error instead of killing the service"
    denied_examples: ClassVar = {}
    boost_only: ClassVar = True

    value: str = KILLED

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Take the last value that is an errno's name, a number or ``kill``; an empty one is ``kill``."""
        value = KILLED
        for assignment in assignments:
            value = _error_number(assignment.strip(), host) or value
        return cls(value)

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose EPERM, unless the unit has a filter of its own: killing is the stricter answer, and stays."""
        has_own = SystemCallFilter.parse(evidence.unit.values("SystemCallFilter"), evidence.host).calls is not None
        return () if has_own or not any(SystemCallFilter.candidates(evidence)) else [cls("EPERM")]

    def contribute(self, sandbox: Sandbox) -> None:
        """Tell the filter what to answer."""
        sandbox.filters.error_number = self.value

    def values(self) -> tuple[str, ...]:
        """Return the errno's name, or nothing for the default."""
        return () if self.value == KILLED else (self.value,)

    def intersected(self, own: Self) -> Self:
        """Keep an errno that the unit chose."""
        return self if own.value == KILLED else own


def _error_number(word: str, host: HostFacts) -> str:
    """Return the errno's name, ``SIGSYS`` for killing, or nothing for a word that systemd ignores."""
    if not word or (word == "kill" and host.systemd_version >= 247):
        return KILLED
    return error_name(word)


@dataclass(frozen=True)
class SystemCallArchitectures(Directive):
    """Kills the service when it makes system calls of another architecture, whatever SystemCallErrorNumber= says.

    Facts carry the architecture of each call; a helper program of another architecture that was not run is not known.
    """

    since: ClassVar = {"": 209}
    needs: ClassVar = ("SECCOMP",)
    manual: ClassVar = "systemd.exec(5), System Call Filtering"
    about: ClassVar = (SystemCall,)
    summary: ClassVar = "no system calls of other architectures"
    denied_examples: ClassVar = {"native": Fact(SystemCall("getpid", "x86"))}

    words: frozenset[str] = frozenset()
    """The architectures, the target's own as ``native``; empty: no filter."""

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Add up the architectures since the last empty line, as ``config_parse_syscall_archs`` does."""
        words: frozenset[str] = frozenset()
        for assignment in assignments:
            added = {NATIVE if word == host.architecture else word for word in assignment.split()}
            words = words | (added & (ARCHITECTURES | {NATIVE})) if added else frozenset()
        # The native architecture is in every filter of libseccomp (``seccomp_restrict_archs``).
        return cls(words | {NATIVE} if words else words)

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose the native architecture, and then all that were seen."""
        if not evidence.start_up_observed:
            return ()
        seen = _architectures(evidence) - {evidence.host.architecture}
        native = frozenset({NATIVE})
        return [cls(native), *([cls(native | seen)] if seen <= ARCHITECTURES else [])]

    def contribute(self, sandbox: Sandbox) -> None:
        """Load the filter that kills."""
        if not self.words:
            return
        allowed = (self.words - {NATIVE}) | {sandbox.host.architecture}

        def rule(fact: Fact) -> str:
            is_foreign = isinstance(fact.behaviour, SystemCall) and fact.behaviour.architecture not in allowed
            return KILLED if is_foreign else ""

        name = type(self).__name__
        sandbox.filters.add(name, f"{name}={self.values()[1]}", rule)

    def values(self) -> tuple[str, ...]:
        """Return a reset and the architectures."""
        return ("", " ".join((NATIVE, *sorted(self.words - {NATIVE})))) if self.words else ()

    def intersected(self, own: Self) -> Self:
        """Allow only what both allow."""
        if not own.words or not self.words:
            return self if self.words else own
        return type(self)(self.words & own.words)

    def strictness(self) -> int:
        """Return how many architectures are out."""
        return len(ARCHITECTURES - self.words) if self.words else 0

    def elements(self) -> tuple[str, ...]:
        """Return the architectures besides the native one."""
        return tuple(sorted(self.words - {NATIVE}))

    def without(self, element: str) -> Self:
        """Allow one architecture less."""
        return type(self)(self.words - {element})
