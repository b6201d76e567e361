"""Which paths must stay writable: the shortest list under which a protection of the file system changes no fact.

The list is found by asking the mount table itself: what it refuses is added, as the directory of a name that is made,
removed or replaced and as the object where one is only written in place; names that one call joins get an entry in
common; then the table is asked again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from policy.behaviour import WRITING, Access, Fact, FileKind, PathPair, PathUse
from policy.directives.base import Directive, Evidence
from policy.directives.own_trees import (
    FILES_COME_AND_GO,
    LONGEST_LIST,
    fold,
    generalise,
    is_configuration,
    is_own_directory,
)
from policy.level import Level
from policy.path_encoding import inexpressible_because
from policy.sandbox.mount_entry import Mode, MountEntry, is_below, parent_of
from policy.sandbox.mount_table import MountTable
from policy.sandbox.read_only import HAPPENED, NAME_ACCESSES
from policy.sandbox.sandbox import Sandbox
from policy.settings import parse_settings

Writable = tuple[str, bool]
"""A path, and whether it may be missing when the service starts."""

ROUNDS = 100
"""Each round widens the list, and there are only so many directories above a path."""

HOMES = ("/home", "/run/user", "/root")
"""What ProtectHome= covers."""

PEOPLE = range(1000, 60001)
"""User ids of people: UID_MIN and UID_MAX of login.defs(5)."""

VOLATILE_TREE = "/run"
"""Empty after a boot, so a directory that a service makes if it is missing will be missing (file-hierarchy(7))."""

ALWAYS_THERE = frozenset({"/etc", "/run", "/tmp", "/usr", "/var", "/var/cache", "/var/lib", "/var/log", "/var/tmp"})
"""Directories that no running system lacks."""

PROVIDED_AT_BOOT = ("/run/dbus", "/run/lock", "/run/systemd", "/run/udev", "/run/user")
"""What is in /run before any service starts."""

_NAME = "ReadWritePaths"


def writable_lists(evidence: Evidence, protections: Iterable[Directive]) -> Iterator[tuple[Writable, ...]]:
    """Return the list that each protection needs, in order; protections that no list can save are left out."""
    search = _Search(evidence)
    for protection in protections:
        paths = search.list_for(protection)
        if paths is not None:
            yield paths


def temporary_directories(evidence: Evidence) -> tuple[Directive, ...]:
    """Return PrivateTmp=, if the facts will allow it; else nothing."""
    return _Search(evidence).temporary


def made_if_missing(evidence: Evidence, directory: str) -> tuple[str, ...]:
    """Return the directories right below this one that a boot removes and that the service makes again."""
    return tuple(sorted(path for path in _Search(evidence).volatile if parent_of(path) == directory))


def used_by_users(evidence: Evidence) -> frozenset[str]:
    """Return the paths in home directories that a service of root's used as a user of the machine.

    Who becomes a user to do what that user wants does it for all of them, and each may write to a home of their own.
    Nothing at the level strict.
    """
    if evidence.level is Level.STRICT or not evidence.unit.runs_as_root:
        return frozenset()
    uses = [fact.behaviour for fact in evidence.confined(PathUse) if fact.user in PEOPLE and _happened(fact)]
    return frozenset(use.path for use in uses if isinstance(use, PathUse) and is_below(use.path, HOMES[0]))


def account_directories(evidence: Evidence) -> tuple[str, ...]:
    """Return the directories for state that belong to the accounts of a service, written to in a recording or not.

    They were made for it, and for what only root and itself could write there anyway: queues, caches, journals of
    features that the recorded use had no need of. Nothing at the level strict, nor beneath a root of its own.
    """
    if evidence.level is Level.STRICT or evidence.unit.root is not None:
        return ()
    return tuple(sorted(path for path in evidence.account_directories if not inexpressible_because(path)))


@dataclass
class _Search:
    evidence: Evidence

    @cached_property
    def own(self) -> dict[str, Directive]:
        return parse_settings(self.evidence.unit.assignments, self.evidence.host)

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """The facts about paths that the model can explain under the unit's own settings."""
        mounts = self._sandbox(*self.own.values()).mounts
        facts = (*self.evidence.confined(PathUse), *self.evidence.confined(PathPair))
        return tuple(fact for fact in facts if mounts.judge(fact) is None)

    @cached_property
    def writing(self) -> tuple[Fact, ...]:
        """Those of them that a read-only mount may refuse."""
        return tuple(filter(may_need_writing, self.facts))

    @cached_property
    def made(self) -> frozenset[str]:
        """The names that may be missing when the service starts again: it made them itself, or somebody else did
        while it ran."""
        uses = [fact.behaviour for fact in self.facts if isinstance(fact.behaviour, PathUse) and _happened(fact)]
        new = {use.path for use in uses if use.access in _NEW or use.created_by_service or use.appeared}
        return frozenset(new) | self.made_if_missing | self.homes_of_users

    @cached_property
    def homes_of_users(self) -> frozenset[str]:
        """Home directories that the service uses as a user: tomorrow it may be another user's."""
        return frozenset("/".join(path.split("/")[:3]) for path in used_by_users(self.evidence))

    @cached_property
    def made_if_missing(self) -> frozenset[str]:
        """Directories that were there already, but that the service would have made: mkdir said EEXIST."""
        uses = [fact.behaviour for fact in self.facts if fact.outcome == "EEXIST"]
        return frozenset(
            use.path
            for use in uses
            if isinstance(use, PathUse)
            and use.kind is FileKind.DIRECTORY
            and (is_below(use.path, VOLATILE_TREE) or is_own_directory(parent_of(use.path)))
            and not self._is_provided(use.path)
        )

    def _is_provided(self, path: str) -> bool:
        """Whether systemd makes the directory before the service starts."""
        provided = (*self.evidence.unit.writable_directories, *PROVIDED_AT_BOOT)
        return any(path == directory or is_below(directory, path) for directory in provided)

    @cached_property
    def volatile(self) -> frozenset[str]:
        """Those of them that a boot removes."""
        return frozenset(path for path in self.made_if_missing if is_below(path, VOLATILE_TREE))

    @cached_property
    def temporary(self) -> tuple[Directive, ...]:
        """PrivateTmp=yes, where the facts will allow it: then /tmp is writable without an entry."""
        kind = Directive.registry["PrivateTmp"]
        for private in kind.candidates(self.evidence):
            mounts = self._sandbox(private).mounts
            if all(mounts.judge(fact) is None for fact in self.evidence.facts if _may_be_temporary(fact)):
                return (private,)
        return ()

    def _sandbox(self, *directives: Directive) -> Sandbox:
        sandbox = Sandbox(self.evidence.host, self.evidence.unit)
        for directive in directives:
            directive.contribute(sandbox)
        return sandbox

    def list_for(self, protection: Directive) -> tuple[Writable, ...] | None:
        """Return the paths that must be writable under this protection, ``None`` if no list will do.

        A service that writes below the homes may have ProtectHome=read-only all the same, if the list says where.
        """
        for homes in self.homes:
            paths = self._list_under(protection, homes)
            if paths is not None:
                return paths
        return None

    @cached_property
    def homes(self) -> tuple[tuple[Directive, ...], ...]:
        """What to try for the homes."""
        kind = Directive.registry["ProtectHome"]
        is_free = self.own["ProtectHome"] == kind.parse([], self.evidence.host)
        if not is_free or not any(_is_in_homes(fact) and _happened(fact) for fact in self.writing):
            return ((),)
        return (kind.parse(["read-only"], self.evidence.host),), ()

    def _list_under(self, protection: Directive, homes: tuple[Directive, ...]) -> tuple[Writable, ...] | None:
        blamed = {_NAME, *(type(directive).__name__ for directive in (protection, *homes))}
        kept = [directive for name, directive in self.own.items() if name not in blamed]
        protected = self._sandbox(*kept, *self.temporary, *homes, protection).mounts
        wanted = dict.fromkeys(account_directories(self.evidence), True)
        table = _with_writable(protected, wanted)
        for _ in range(ROUNDS):
            places = self._places_refused(table, blamed)
            if not places:
                return tuple(sorted(_as_mounted(table, wanted).items()))
            before = dict(wanted)
            for place, may_be_missing in places:
                wanted[place] = wanted.get(place, True) and may_be_missing
            if wanted == before or "/" in wanted:
                return None
            table = _with_writable(protected, wanted)
            folded = self._folded(_as_mounted(table, wanted))
            if folded != wanted and not self._places_refused(_with_writable(protected, folded), blamed):
                return tuple(sorted(folded.items()))
        return None

    def _places_refused(self, table: MountTable, blamed: set[str]) -> list[Writable]:
        places = []
        for fact in self.writing:
            denial = table.judge(fact)
            if denial is not None and denial.directive in blamed and not denial.still_refused:
                place = _expressible(self._place(fact))
                places.append((place, not self._is_always_there(place)))
        return places + [(parent_of(path), False) for path in self.volatile if table.read_only(parent_of(path))]

    def _is_always_there(self, place: str) -> bool:
        """Whether a path exists whenever the service starts; all else can go away, and would stop the unit (226)."""
        return place in ALWAYS_THERE or place in self.evidence.unit.writable_directories

    def _place(self, fact: Fact) -> str:
        """Return what to list for a fact; at the level compatible the directory above, if it is the service's own."""
        place = self._narrowest_place(fact)
        wider = parent_of(place)
        return wider if self.evidence.level is Level.COMPATIBLE and is_own_directory(wider) else place

    def _narrowest_place(self, fact: Fact) -> str:
        match fact.behaviour:
            case PathPair(source=source, target=target):
                first, second = self._at_start(parent_of(source)), self._at_start(parent_of(target))
                return _common_directory(first, second)
            case PathUse() as use:
                return self._place_of_use(use)
        return "/"

    def _place_of_use(self, use: PathUse) -> str:
        directory = parent_of(use.path)
        if use.access in NAME_ACCESSES or use.kind in _REPLACED_KINDS:
            return self._at_start(directory)
        is_wide = self.evidence.level is Level.COMPATIBLE and is_configuration(directory)
        is_passing = self.evidence.level is not Level.STRICT and directory in FILES_COME_AND_GO
        if use.kind is FileKind.REGULAR and (is_own_directory(directory) or is_wide or is_passing):
            # Rotation and atomic saving replace such files sooner or later, and a missing file stops the unit (226).
            return self._at_start(directory)
        return self._at_start(use.path)

    def _at_start(self, path: str) -> str:
        """Return the path, or the directory above the topmost part of it that the service makes itself."""
        place = path
        while path != "/":
            if path in self.made:
                place = parent_of(path)
            path = parent_of(path)
        return place

    def _folded(self, wanted: dict[str, bool]) -> dict[str, bool]:
        """Return a shorter list, which may be too wide to be as good: it is to be tried first, the exact one next."""
        return fold(wanted if self.evidence.level is Level.STRICT else generalise(wanted), LONGEST_LIST)


_NEW = frozenset({Access.CREATE, Access.BIND})

_REPLACED_KINDS = frozenset({FileKind.SYMLINK, FileKind.SOCKET, FileKind.FIFO, FileKind.UNKNOWN})
# What a service makes anew rather than keeps; and systemd would follow a symlink to what it leads to.


def may_need_writing(fact: Fact) -> bool:
    """Whether a read-only mount could refuse this: a write-like use, or names that are joined."""
    return not isinstance(fact.behaviour, PathUse) or fact.behaviour.access in WRITING


def _is_in_homes(fact: Fact) -> bool:
    use = fact.behaviour
    return isinstance(use, PathUse) and any(is_below(use.path, home) for home in HOMES)


def _may_be_temporary(fact: Fact) -> bool:
    use = fact.behaviour
    if isinstance(use, PathUse):
        return bool(use.through) or use.path.startswith(_TEMPORARY)
    return isinstance(use, PathPair) and (use.source.startswith(_TEMPORARY) or use.target.startswith(_TEMPORARY))


_TEMPORARY = ("/tmp", "/var/tmp")


def _happened(fact: Fact) -> bool:
    return fact.outcome in HAPPENED


def _with_writable(protected: MountTable, wanted: dict[str, bool]) -> MountTable:
    table = dataclasses.replace(protected, entries=list(protected.entries), separated_by=list(protected.separated_by))
    table.add(
        *(
            MountEntry(path, Mode.READ_WRITE, _NAME, f"{_NAME}={path}", ignore_missing=missing)
            for path, missing in wanted.items()
        )
    )
    return table


def _as_mounted(table: MountTable, wanted: dict[str, bool]) -> dict[str, bool]:
    """Leave out what systemd would drop, because it lies below another entry or is writable anyway."""
    return {
        path: missing
        for path, missing in wanted.items()
        if (mount := table.mounts.get(path)) is not None and mount.directive == _NAME
    }


def _expressible(path: str) -> str:
    """Return the path, or the nearest directory above it that a unit file can name; only one of the service's own."""
    original = path
    while inexpressible_because(path):
        path = parent_of(path)
    return path if path == original or is_own_directory(path) else "/"


def _common_directory(first: str, second: str) -> str:
    common = []
    for one, other in zip(first.split("/"), second.split("/"), strict=False):
        if one != other:
            break
        common.append(one)
    return "/".join(common) or "/"
