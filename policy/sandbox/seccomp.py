"""The stacked seccomp filters that systemd loads: one per directive, the most restrictive answer wins.

Facts are not raw calls, so a rule is a question to a fact: "which outcome do you force?". Source: systemd
``src/shared/seccomp-util.c``; errno filters return before the kernel looks at anything else, so they are asked first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from policy.behaviour import Fact, SystemCall
from policy.sandbox.denial import KILLED, Denial

Rule = Callable[[Fact], str]
"""Returns the errno's name or ``SIGSYS`` if the filter refuses the fact, else the empty string."""


@dataclass(frozen=True)
class Filter:
    """One loaded filter: the setting that loaded it and its rule."""

    directive: str
    setting: str
    rule: Rule


@dataclass
class SystemCallFilters:
    """All filters of a service."""

    filters: list[Filter] = field(default_factory=list)

    def add(self, directive: str, setting: str, rule: Rule) -> None:
        """Load one more filter."""
        self.filters.append(Filter(directive, setting, rule))

    def deny_calls(self, directive: str, setting: str, names: frozenset[str], outcome: str = "EPERM") -> None:
        """Load a filter that answers these system calls with an errno (or SIGSYS), as @group filters do."""
        self.add(
            directive,
            setting,
            lambda fact: outcome if isinstance(fact.behaviour, SystemCall) and fact.behaviour.name in names else "",
        )

    def judge(self, fact: Fact) -> Denial | None:
        """Return the denial of the most restrictive filter, or ``None``."""
        denial: Denial | None = None
        for filter_ in self.filters:
            outcome = filter_.rule(fact)
            if outcome and outcome != fact.outcome and (denial is None or outcome == KILLED):
                denial = Denial(fact, filter_.directive, filter_.setting, outcome)
        return denial
