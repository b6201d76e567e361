"""What the directives that list paths have in common: systemd.exec(5), "Sandboxing"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.directives.base import Directive, Evidence
from policy.directives.strict_view import lines_for
from policy.host_facts import HostFacts
from policy.path_encoding import system_specifiers
from policy.path_entry import PathEntry, entries_of, written
from policy.sandbox.mount_entry import Mode, MountEntry, is_below
from policy.sandbox.sandbox import Sandbox

MANUAL = "systemd.exec(5), Sandboxing"


@dataclass(frozen=True)
class PathListDirective(Directive, abstract=True):
    """A list of paths, each with an optional ``-`` in front; an empty assignment resets the list.

    Paths are kept as in the unit file, with ``%`` doubled and specifiers in place, and expanded for the unit that the
    directive contributes to.
    """

    manual: ClassVar = MANUAL
    mode: ClassVar[Mode]

    entries: tuple[PathEntry, ...] = ()

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Merge as ``config_parse_namespace_path_strv`` does: append, or start again at an empty line."""
        entries: list[PathEntry] = []
        for assignment in assignments:
            if not assignment.strip():
                entries = []
            else:
                entries.extend(entries_of(assignment, host.systemd_version))
        return cls(tuple(dict.fromkeys(entries)))

    @classmethod
    def of(cls, paths: Iterable[tuple[str, bool]], *, beneath_root: bool = False) -> Self:
        """Return the directive for real paths, each with whether it may be missing, and whether they are those that
        the service sees beneath a root directory of its own."""
        return cls(tuple(PathEntry(path.replace("%", "%%"), missing, beneath_root) for path, missing in paths))

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose what belongs to the view of the level strict; else nothing."""
        lines = lines_for(cls.__name__, evidence)
        return [cls.parse(lines, evidence.host)] if lines else []

    def contribute(self, sandbox: Sandbox) -> None:
        """Add an entry for each path, as the service sees it: beneath its own root a path without ``+`` is one of the
        machine's, which it sees only if the root directory is above it."""
        name = type(self).__name__
        specifiers = system_specifiers(sandbox.unit.name)
        for entry in self.entries:
            path = entry.place(specifiers, sandbox.host.systemd_version)
            if not path:
                continue
            seen = path if entry.beneath_root else _seen_beneath(sandbox.unit.root, path)
            if not seen:
                continue
            setting = f"{name}={written(entry, name)}"
            sandbox.mounts.separate(name, setting)
            sandbox.mounts.add(MountEntry(seen, self.mode, name, setting, ignore_missing=entry.ignore_missing))

    def values(self) -> tuple[str, ...]:
        """Return a reset and one line for each path."""
        name = type(self).__name__
        return ("", *(written(entry, name) for entry in self.entries)) if self.entries else ()

    def intersected(self, own: Self) -> Self:
        """Keep what the unit has as well: these lists take away, so the longer one is the stricter one."""
        return type(self)(tuple(dict.fromkeys((*own.entries, *self.entries))))

    def at_least_as_strict_as(self, other: Self) -> bool:
        """Compare the lists: what takes away is stricter if it has all the paths, what gives back if it has no more."""
        if self.exception_of:
            return _paths(self.entries) <= _paths(other.entries)
        return _paths(other.entries) <= _paths(self.entries)

    def strictness(self) -> int:
        """Return the number of paths."""
        return len(self.entries)


def _paths(entries: Iterable[PathEntry]) -> frozenset[str]:
    return frozenset(entry.path for entry in entries)


def _seen_beneath(root: str | None, path: str) -> str:
    """Return how a service with this root directory sees a path of the machine; empty if it does not."""
    if root is None:
        return path
    return path.removeprefix(root) or "/" if root and (path == root or is_below(path, root)) else ""
