"""What a probe does for one behaviour: which sandbox it needs, how the scene is set, and the calls it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from profiler.probe.executor import Executor

HERE = -100
"""AT_FDCWD: a path is absolute, so this is never used."""


class Variant(StrEnum):
    """Which sandbox a probe is done in."""

    EXACT = "exact"  # as it is
    WIDENED = "widened"  # with the calls and capabilities that probes need besides; those are probed in the exact one


@dataclass(frozen=True)
class Need:
    """Something of the scene: a request to the stagehand. ``verb`` and arguments as in ``stagehand``."""

    verb: str
    arguments: tuple[object, ...]


@dataclass(frozen=True)
class Here:
    """What a probe is told when it is its turn: the objects that are there, in the order of the needs."""

    executor: Executor
    objects: tuple[dict[str, int], ...] = ()
    stagehand: int = 0  # the number of a process outside
    ask: Callable[..., dict[str, Any]] = lambda *_words: {}  # has the stagehand do something in the middle of it

    def size(self) -> int:
        """Return the size of the first object, in bytes."""
        return self.objects[0].get("size", 0) if self.objects else 0

    def mode_of_kind(self) -> int:
        """Return st_mode of the first object, 0 if nothing is known."""
        return self.objects[0].get("mode", 0) if self.objects else 0

    def mode(self) -> int:
        """Return the permissions of the first object."""
        return self.objects[0].get("mode", 0o644) & 0o7777 if self.objects else 0o644


@dataclass(frozen=True)
class Action:
    """How to do a behaviour. ``perform`` returns what was seen, or nothing; it raises the OSError that it gets.

    ``apart``: it changes the process, so it gets one of its own. ``is_volatile``: what is seen there is never the same
    twice. ``is_bare``: its arguments are bad on purpose, so it fails also where it is allowed.
    """

    perform: Callable[[Here], str]
    needs: tuple[Need, ...] = ()
    variant: Variant = Variant.WIDENED
    apart: bool = False
    is_volatile: bool = False
    is_bare: bool = False
    calls_stagehand: bool = False


@dataclass(frozen=True)
class NotProbed:
    """Why a behaviour is not done."""

    reason: str
