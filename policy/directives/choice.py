"""Directives whose value is one word out of a few: yes or no, or a small enumeration."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.directives.base import Directive, Evidence
from policy.host_facts import HostFacts
from policy.sandbox.sandbox import Sandbox

_YES = frozenset({"1", "yes", "y", "true", "t", "on"})
_NO = frozenset({"0", "no", "n", "false", "f", "off"})


def parse_boolean(word: str) -> bool | None:
    """Return what ``parse_boolean`` in systemd's ``src/basic/parse-util.c`` makes of a word, ``None`` if nothing."""
    lowered = word.lower()
    if lowered in _YES:
        return True
    return False if lowered in _NO else None


@dataclass(frozen=True)
class Choice(Directive, abstract=True):
    """A directive with one word as its value. ``since`` holds every word but the default."""

    value: str

    order: ClassVar[tuple[str, ...]] = ("no", "yes")
    """The words from the loosest, which is the default, to the strictest."""
    ordered: ClassVar[bool] = True
    """Whether each word denies at least what the word before it denies; if not, ``order`` is one of preference."""

    @classmethod
    def default(cls) -> str:
        """Return the value of a unit that says nothing."""
        return cls.order[0]

    @classmethod
    def known_words(cls, host: HostFacts) -> tuple[str, ...]:
        """Return the words that the target's systemd understands, loosest first."""
        version = host.systemd_version
        if min(cls.since.values()) > version:
            return (cls.default(),)
        return tuple(word for word in cls.order if cls.since.get(word, 0) <= version)

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Return the last value that systemd understands; it ignores the others with a warning."""
        value = cls.default()
        for assignment in assignments:
            word = cls.normal_form(assignment.strip())
            if word in cls.known_words(host):
                value = word
        return cls(value)

    @classmethod
    def normal_form(cls, word: str) -> str:
        """Return yes and no for their many spellings, other words as they are."""
        boolean = parse_boolean(word) if word not in cls.order else None
        return word if boolean is None else ("yes" if boolean else "no")

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose every word but the default, strictest first; nothing if nobody saw the service start."""
        if not evidence.start_up_observed:
            return ()
        return [cls(word) for word in reversed(cls.known_words(evidence.host)) if word != cls.default()]

    def contribute(self, sandbox: Sandbox) -> None:
        """Add what systemd sets up, unless this is the default."""
        if self.value != self.default():
            self.enforce(sandbox)

    @abstractmethod
    def enforce(self, sandbox: Sandbox) -> None:
        """Add what systemd sets up for a value other than the default."""

    @property
    def setting(self) -> str:
        """The line as it stands in a unit file."""
        return f"{type(self).__name__}={self.value}"

    def values(self) -> tuple[str, ...]:
        """Return the word, or nothing for the default."""
        return () if self.value == self.default() else (self.value,)

    def at_least_as_strict_as(self, other: Self) -> bool:
        """Compare places in the order; words without an order are only stricter than the default."""
        if not self.ordered:
            return self == other or other.value == self.default()
        return self.strictness() >= other.strictness()

    def strictness(self) -> int:
        """Return the place of the word in the order."""
        return self.order.index(self.value)
