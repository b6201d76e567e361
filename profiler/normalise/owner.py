"""Whose an object is, and what its mode allows."""

from __future__ import annotations

from dataclasses import dataclass

from policy.behaviour import FileKind
from profiler.normalise.objects import kind_of


@dataclass(frozen=True)
class Owner:
    """Owner, group and mode (with type) of an object at some time."""

    user: int
    group: int
    mode: int

    @property
    def kind(self) -> FileKind:
        """The type of the object."""
        return kind_of(self.mode)
