"""What a directive is: a class that knows its values, parses, contributes, renders and proposes.

Registration happens when the class is made; a bad declaration is a TypeError at import. Decide, replay, rendering,
explain and the tests all ask these classes, so they cannot disagree. To add a directive, write one class in the file
of its section of systemd.exec(5) and give it one denied example per value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

from policy.behaviour import BEHAVIOURS, Behaviour, Fact, SystemCall
from policy.fact_order import ordered
from policy.host_facts import HostFacts
from policy.level import Level
from policy.sandbox.sandbox import Sandbox
from policy.unit_settings import UnitSettings

RING_CALLS = frozenset({"io_uring_setup", "io_uring_enter"})


@dataclass(frozen=True)
class Evidence:
    """Everything a directive may look at when it proposes values: the facts, the target, the unit and the level.

    ``memory`` keeps what several directives want to know and what takes long to find out, by a key of their choice.
    """

    facts: frozenset[Fact]
    host: HostFacts
    unit: UnitSettings
    start_up_observed: bool = True
    level: Level = Level.STANDARD
    account_directories: frozenset[str] = frozenset()
    memory: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def in_order(self) -> tuple[Fact, ...]:
        """The facts in a fixed order."""
        return tuple(ordered(self.facts))

    @cached_property
    def by_type(self) -> Mapping[type[Behaviour], tuple[Fact, ...]]:
        """The facts by behaviour type, in a fixed order."""
        grouped: dict[type[Behaviour], list[Fact]] = {}
        for fact in self.in_order:
            grouped.setdefault(type(fact.behaviour), []).append(fact)
        return {kind: tuple(facts) for kind, facts in grouped.items()}

    def otherwise(self, facts: Sequence[Fact] | None = None, **changes: Any) -> Evidence:
        """Return evidence that differs in these fields, or has only these of the facts, which keep their order.

        Nothing is remembered but what is known of the facts, if they are the same.
        """
        kept = self.facts if facts is None else frozenset(facts)
        other = replace(self, facts=kept, memory={}, **changes)
        known = {"in_order": tuple(facts)} if facts is not None else {}
        if facts is None:
            known = {name: self.__dict__[name] for name in _OF_FACTS if name in self.__dict__}
        other.__dict__.update(known)
        return other

    def of(self, kind: type[Behaviour]) -> tuple[Fact, ...]:
        """Return the facts with this type of behaviour."""
        return self.by_type.get(kind, ())

    def confined(self, kind: type[Behaviour]) -> tuple[Fact, ...]:
        """Return the facts of this type from Exec lines that run in the sandbox: those without the ``+`` prefix."""
        return self._confined_by_type.get(kind, ())

    @cached_property
    def _confined_by_type(self) -> Mapping[type[Behaviour], tuple[Fact, ...]]:
        return {
            kind: tuple(fact for fact in facts if not fact.exec_line.startswith("+"))
            for kind, facts in self.by_type.items()
        }

    @cached_property
    def uses_rings(self) -> bool:
        """Whether an io_uring was used: what happens inside of it is not among the facts (io_uring(7))."""
        return any(
            isinstance(fact.behaviour, SystemCall) and fact.behaviour.name in RING_CALLS and fact.succeeded
            for fact in self.of(SystemCall)
        )


_OF_FACTS = ("in_order", "by_type", "_confined_by_type", "uses_rings")
# What ``Evidence`` finds out about its facts alone.


@dataclass(frozen=True)
class Directive(ABC):
    """A directive with the value chosen for it, or read from a unit file."""

    registry: ClassVar[dict[str, type[Directive]]] = {}
    since: ClassVar[Mapping[str, int]]
    """First systemd version that understands each value; key "" is the directive itself for lists."""
    manual: ClassVar[str]
    """The manual page and section: "systemd.exec(5), Sandboxing"."""
    summary: ClassVar[str]
    """One line: what it takes away."""
    denied_examples: ClassVar[Mapping[str, Fact]]
    """For each value that denies something: one fact that it must deny (conformance tests use it)."""
    about: ClassVar[tuple[type[Behaviour], ...]] = BEHAVIOURS
    """The behaviours that an element of a list can matter to."""
    needs: ClassVar[tuple[str, ...]] = ()
    """The build options without which systemd accepts the directive and does nothing: ``BPF_FRAMEWORK``."""
    loads: ClassVar[tuple[str, ...]] = ()
    """The libraries that systemd loads at run time for it, and without which it does nothing: ``libbpf``."""
    mechanism: ClassVar[str] = ""
    """What of ``HostFacts.refused`` it is made of, and without which systemd only logs that it does nothing."""
    levels: ClassVar[str] = ""
    """How the levels of tightness differ, in words; empty if they do not."""
    exception_of: ClassVar[tuple[str, ...]] = ()
    """The directives from which it makes exceptions: without them it says nothing, and with them it is looser."""
    never_because: ClassVar[str] = ""
    """Why no recording is enough to propose it, for a directive that is only read and judged; empty for all others."""
    boost_only: ClassVar[bool] = False
    """Whether it denies nothing that a fact can show (for instance KeyringMode=private, the default)."""

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__()
        if abstract:
            return
        missing = [name for name in ("since", "manual", "summary", "denied_examples") if not hasattr(cls, name)]
        if missing or not cls.since:
            raise TypeError(f"{cls.__name__} must declare {', '.join(missing) or 'since'}")
        unknown = set(cls.denied_examples) - set(cls.since) if "" not in cls.since else set()
        if unknown:
            raise TypeError(f"{cls.__name__} has denied examples for values it does not know: {sorted(unknown)}")
        other = cls.registry.setdefault(cls.__name__, cls)
        if other.__module__ != cls.__module__:
            raise TypeError(f"{cls.__name__} is declared in {other.__module__} and in {cls.__module__}")
        cls.registry[cls.__name__] = cls

    @classmethod
    @abstractmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Return the directive as systemd merges these assignments (in order, "" is a reset; none: the default)."""

    @classmethod
    @abstractmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose values, strictest first, each one that the target's systemd knows. May depend on the facts.

        The unit's own value is always added behind the last one by ``decide``.
        """

    @classmethod
    def unenforced(cls, host: HostFacts) -> str:
        """Return why the target takes this directive and does nothing about it; empty if it does, as far as is known.

        What is not enforced protects from nothing: it is neither judged by nor proposed.
        """
        if min(cls.since.values()) > host.systemd_version:
            return f"systemd {host.systemd_version} does not know it"
        missing = [option for option in cls.needs if f"-{option}" in host.features]
        if missing:
            return f"systemd was built without {' '.join(missing)}"
        absent = [library for library in cls.loads if library in host.missing_libraries]
        if absent:
            return f"{' '.join(absent)}, which systemd loads for it, is not installed"
        return host.refused.get(cls.mechanism, "")

    @abstractmethod
    def contribute(self, sandbox: Sandbox) -> None:
        """Add what systemd sets up for this value."""

    @abstractmethod
    def values(self) -> tuple[str, ...]:
        """Return the values to assign, in order, a leading "" being the reset of a list; empty if left unset."""

    def intersected(self, own: Self) -> Self:
        """Return a value that is at least as strict as the unit's own; scalar directives may keep the default."""
        return own if own.strictness() > self.strictness() else self

    def at_least_as_strict_as(self, other: Self) -> bool:
        """Whether this value denies all that the other one denies, as far as values of this directive can be compared.

        By default: whether the other one, as the unit's own, would leave this value as it is.
        """
        return self == other or self.intersected(other) == self

    def extent(self) -> frozenset[str]:
        """Return the names of what is allowed, where the value is a list of such: two values differ by these."""
        return frozenset(self.elements())

    def strictness(self) -> int:
        """How strict this value is, for directives whose values have an order; the default has 0."""
        return 0

    def elements(self) -> tuple[str, ...]:
        """Return the exceptions that a list value makes, each of which some fact should need."""
        return ()

    @classmethod
    def possible_elements(cls, host: HostFacts) -> tuple[str, ...]:  # noqa: ARG003  # lists override it
        """Return the exceptions that the target's systemd knows, where there is a list of them: not of paths."""
        return ()

    def without(self, element: str) -> Self:  # noqa: ARG002  # lists override it
        """Return this value without one of its ``elements``: explain asks which facts it would then deny."""
        return self

    def price(self, evidence: Evidence) -> str:  # noqa: ARG002  # lists override it
        """Return in words how much more this value allows than was seen; empty if it allows no more."""
        return ""

    def elements_for(self, fact: Fact) -> Iterable[str]:
        """Return those of the ``elements`` that can matter to a fact: explain asks about no others."""
        return self.elements() if isinstance(fact.behaviour, self.about) else ()

    def kept_because(self, element: str, evidence: Evidence) -> str:  # noqa: ARG002  # lists override it
        """Return why an element is there although no fact needs it, in words; empty if nothing is known."""
        return ""


def all_directives() -> Mapping[str, type[Directive]]:
    """Return every directive class by name, in the order in which a drop-in lists them."""
    from policy.directives.every import SECTIONS  # importing the sections fills the registry

    places = {module: place for place, module in enumerate(SECTIONS)}
    in_order = sorted(Directive.registry.values(), key=lambda kind: places.get(kind.__module__, len(places)))
    return {kind.__name__: kind for kind in in_order}
