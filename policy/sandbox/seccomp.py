"""The stacked seccomp filters that systemd loads: one per directive, the most restrictive answer wins.

Facts are not raw calls, so a rule is a question to a fact: "which outcome do you force?". Source: systemd
``src/shared/seccomp-util.c``; errno filters return before the kernel looks at anything else, so they are asked first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from policy.behaviour import Fact, PathPair, PathUse, SocketAddress, SystemCall
from policy.sandbox.denial import KILLED, Denial

Rule = Callable[[Fact], str]
"""Returns the errno's name or ``SIGSYS`` if the filter refuses the fact, else the empty string."""

LOAD_ORDER = (
    "RestrictAddressFamilies",
    "MemoryDenyWriteExecute",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "RestrictNamespaces",
    "ProtectHostname",
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectClock",
    "PrivateDevices",
    "SystemCallArchitectures",
    "LockPersonality",
    "SystemCallFilter",
)
"""The order in which systemd loads its filters (``exec_child`` in ``execute.c``, ``exec_invoke`` from 255)."""


POINTERS = (PathUse, PathPair, SocketAddress)
"""Behaviours that are in memory behind a pointer, where no filter can look (seccomp(2))."""


@dataclass(frozen=True)
class Filter:
    """One loaded filter: the setting that loaded it, its rule, and which of its lines is to blame for a fact."""

    directive: str
    setting: str
    rule: Rule
    line: Callable[[Fact], str] | None = None

    @property
    def loaded_as(self) -> int:
        """The place in the order of loading; what is not in the list is loaded first."""
        return LOAD_ORDER.index(self.directive) if self.directive in LOAD_ORDER else -1


@dataclass
class SystemCallFilters:
    """All filters of a service. ``error_number`` is what SystemCallFilter= answers unless an entry says otherwise."""

    filters: list[Filter] = field(default_factory=list)
    error_number: str = KILLED
    default_answer: str = ""
    """The answer of an allow-list to calls that systemd does not know, if that is an answer of its own (from 255)."""
    single_answers: dict[str, str] = field(default_factory=dict)
    """The answers that an allow-list gives to single calls, each with the line that says so."""

    @property
    def failure(self) -> tuple[str, str] | None:
        """The directive and line at which the set-up of the unit fails (status 228/SECCOMP), if there is one.

        libseccomp refuses a rule whose answer is the filter's default one (``seccomp_rule_add`` gives EACCES): an
        allow-list cannot give it to a single call by name (measured with 252, 257 and 262).
        """
        line = self.single_answers.get(self.default_answer or self.error_number)
        return None if line is None else ("SystemCallFilter", line)

    def add(self, directive: str, setting: str, rule: Rule, line: Callable[[Fact], str] | None = None) -> None:
        """Load one more filter. ``line`` names the setting to blame for a fact where there are several."""
        self.filters.append(Filter(directive, setting, rule, line))

    def deny_calls(self, directive: str, setting: str, names: frozenset[str], outcome: str = "EPERM") -> None:
        """Load a filter that answers these system calls with an errno (or SIGSYS), as @group filters do."""
        self.add(
            directive,
            setting,
            lambda fact: outcome if isinstance(fact.behaviour, SystemCall) and fact.behaviour.name in names else "",
        )

    def judge(self, fact: Fact) -> Denial | None:
        """Return the denial of the filter whose answer the kernel takes, or ``None``.

        ``seccomp_run_filters`` in the kernel asks the newest filter first and takes the most restrictive action; of
        several that return an errno, the newest decides which.
        """
        if isinstance(fact.behaviour, POINTERS):
            return None
        answers = [(filter_, outcome) for filter_ in self.filters if (outcome := filter_.rule(fact))]
        if not answers:
            return None
        filter_, outcome = max(answers, key=lambda answer: (answer[1] == KILLED, answer[0].loaded_as))
        setting = filter_.line(fact) if filter_.line else filter_.setting
        return Denial(fact, filter_.directive, setting, outcome) if outcome != fact.outcome else None
