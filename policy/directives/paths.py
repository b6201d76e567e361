"""The directives of systemd.exec(5) about the file system as a whole: "Paths" and "Sandboxing"."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from policy.behaviour import WRITING, Access, Fact, FileKind, Mounted, PathPair, PathUse
from policy.directives.base import Evidence
from policy.directives.choice import Choice
from policy.directives.path_list import MANUAL, PathListDirective
from policy.directives.writable_paths import HOMES, account_directories, made_if_missing, writable_lists
from policy.directives.writing_price import price_of_writing
from policy.level import Level
from policy.path_entry import PathEntry, entries_of, written
from policy.sandbox.mount_entry import Mode, MountEntry, is_below, parent_of, without_aliases
from policy.sandbox.sandbox import Sandbox
from policy.settings import build_sandbox, parse_settings

_SYSTEM = ("/usr", "/boot", "/efi")
_SPLIT_SYSTEM = ("/lib", "/lib64", "/bin", "/sbin")
RUN = "/run"
OF_THE_SYSTEM = ("/run/credentials", "/run/dbus", "/run/systemd", "/run/udev")
"""Directories in /run whose files decide what systemd, udev and the message bus do (file-hierarchy(7))."""

_KERNEL_TREES = ("/proc", "/sys", "/dev")


@dataclass(frozen=True)
class ProtectSystem(Choice):
    """Makes the operating system's directories, or with ``strict`` everything, read-only.

    Facts: every write-like use of a path, failed ones included, because a read-only mount may answer EROFS where
    something else was answered before. Not judged: writes inside of an io_uring; where one was used, nothing is
    proposed.
    """

    since: ClassVar = {"yes": 214, "full": 214, "strict": 232}
    order: ClassVar = ("no", "yes", "full", "strict")
    manual: ClassVar = MANUAL
    summary: ClassVar = "makes the file system read-only, except what is listed in ReadWritePaths="
    denied_examples: ClassVar = {
        "yes": Fact(PathUse("/usr/share/example", Access.CREATE, FileKind.REGULAR)),
        "full": Fact(PathUse("/etc/example.conf", Access.WRITE, FileKind.REGULAR)),
        "strict": Fact(PathUse("/srv/example", Access.DELETE, FileKind.REGULAR)),
    }

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose all values, unless file operations inside of an io_uring may have gone unseen."""
        return [] if evidence.uses_rings else super().candidates(evidence)

    def contribute(self, sandbox: Sandbox) -> None:
        """Mount read-only; DynamicUser= implies strict. The unit's own directories are bound writable in any case."""
        if sandbox.unit.dynamic_user and self.value != "strict":
            dataclasses.replace(self, value="strict")._protect(sandbox, "DynamicUser=yes")
        elif self.value != self.default():
            self.enforce(sandbox)
        sandbox.mounts.add(*(MountEntry(path, Mode.BIND) for path in sandbox.unit.writable_directories))

    def enforce(self, sandbox: Sandbox) -> None:
        """Add the table of ``protect_system_{yes,full,strict}_table``."""
        self._protect(sandbox, self.setting)

    def _protect(self, sandbox: Sandbox, setting: str) -> None:
        name = type(self).__name__
        sandbox.mounts.separate(name, setting)
        if self.value == "strict":
            sandbox.mounts.add(MountEntry("/", Mode.READ_ONLY, name, setting))
            for path in (*_KERNEL_TREES, *HOMES):
                sandbox.mounts.add(MountEntry(path, Mode.IMPLICIT_READ_WRITE, name, setting, ignore_missing=True))
            return
        etc = ("/etc",) if self.value == "full" else ()
        split = _SPLIT_SYSTEM if sandbox.host.systemd_version < 255 else ()
        for path in (*_SYSTEM, *etc, *split):
            sandbox.mounts.add(MountEntry(path, Mode.READ_ONLY, name, setting, ignore_missing=True))


@dataclass(frozen=True)
class PrivateMounts(Choice):
    """Gives the service a mount namespace of its own, and nothing else.

    Facts: successful changes of the mount table in the service's first mount namespace: they no longer reach the
    host, without any errno.
    """

    since: ClassVar = {"yes": 239}
    manual: ClassVar = MANUAL
    summary: ClassVar = "keeps mounts of the service from the host"
    denied_examples: ClassVar = {"yes": Fact(Mounted("mount", "/mnt/example"))}

    def enforce(self, sandbox: Sandbox) -> None:
        """Ask for the namespace."""
        sandbox.mounts.separate(type(self).__name__, self.setting)


@dataclass(frozen=True)
class ReadWritePaths(PathListDirective):
    """Lists what stays writable below a read-only mount: a directory for what is made, removed or replaced in it.

    Facts: the write-like uses that ProtectSystem= would refuse. Every entry is a mount of its own: rename and link
    between two of them fail with EXDEV, so names that are joined share an entry; the entry itself cannot be removed
    or replaced, so it is the directory of the name.
    """

    since: ClassVar = {"": 231}
    mode: ClassVar = Mode.READ_WRITE
    exception_of: ClassVar = ("ProtectSystem", "ReadOnlyPaths", "ProtectHome", "TemporaryFileSystem")
    about: ClassVar = (PathUse, PathPair)
    levels: ClassVar = (
        "strict lists what was written in; standard the directory above names that count (dates, numbers, hashes) and"
        " above several in a tree for state, all of /var/log for a log right in it, and directories that belong to the"
        " service's accounts in /var/lib, /var/log, /var/cache and /var/spool, and in /etc if used; compatible the"
        " directory above as well, where that is the service's own"
    )
    summary: ClassVar = "lists what stays writable"
    denied_examples: ClassVar = {"/srv/example": Fact(PathUse("/srv/example", Access.DELETE, FileKind.DIRECTORY))}

    granted: frozenset[str] = field(default=frozenset(), compare=False)
    """Those that the unit's own mounts leave writable, whether its list has them or not."""

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose what ProtectSystem=strict needs, or else what its looser values need."""
        if not evidence.start_up_observed or evidence.uses_rings:
            return []
        protections = [
            ProtectSystem(word) for word in reversed(ProtectSystem.known_words(evidence.host)) if word != "no"
        ]
        own = build_sandbox(parse_settings(evidence.unit.assignments, evidence.host), evidence.host, evidence.unit)
        beneath_root = evidence.unit.root is not None
        lists = (cls.of(paths, beneath_root=beneath_root) for paths in writable_lists(evidence, protections))
        return (proposed._beside(own) for proposed in lists)

    def _beside(self, own: Sandbox) -> Self:
        granted = (entry.path for entry in self.entries if not own.mounts.read_only(entry.path.replace("%%", "%")))
        return replace(self, granted=frozenset(granted))

    def intersected(self, own: Self) -> Self:
        """Keep what is writable in both: the narrower of two paths of which one is above the other.

        Without a list of its own the unit may have everything writable; ``candidates`` asks its mounts.
        """
        if not own.entries:
            return self
        same = {
            entry.path for entry in own.entries
        }  # of two for one path the unit's own: it may allow it to be missing
        narrower = [
            entry
            for entry in self.entries
            if entry.path not in same
            and (entry.path in self.granted or any(_covers(other, entry) for other in own.entries))
        ]
        narrower += [other for other in own.entries if any(_covers(entry, other) for entry in self.entries)]
        return replace(self, entries=tuple(dict.fromkeys(narrower)))

    def at_least_as_strict_as(self, other: Self) -> bool:
        """Whether everything that this value keeps writable is so by the other one too."""
        return all(any(_covers(outer, entry) for outer in other.entries) for entry in self.entries)

    def strictness(self) -> int:
        """Return 0: what is writable has no order by number."""
        return 0

    def elements(self) -> tuple[str, ...]:
        """Return the paths as written."""
        return tuple(written(entry, type(self).__name__) for entry in self.entries)

    def without(self, element: str) -> Self:
        """Leave one path out."""
        return type(self)(tuple(entry for entry in self.entries if written(entry, type(self).__name__) != element))

    def price(self, evidence: Evidence) -> str:
        """Count the names that were made or written in these paths, and those that were only read or looked up."""
        return price_of_writing([_place_of(element) for element in self.elements()], evidence)

    def elements_for(self, fact: Fact) -> Iterable[str]:
        """Return the paths at or above what the fact is about; all, where a symlink may lead there from anywhere."""
        match fact.behaviour:
            case PathUse(access=access) if access not in WRITING:
                return ()
            case PathUse(path=path, through=""):
                return self._above(path)
            case PathUse():
                return self.elements()
            case PathPair(source=source, target=target):
                return (*self._above(source), *self._above(target))
        return ()

    @functools.cached_property
    def _by_place(self) -> dict[str, str]:
        return {_place_of(element): element for element in self.elements()}

    def _above(self, path: str) -> tuple[str, ...]:
        places = self._by_place
        found = [places[path]] if path in places else []
        while path != "/":
            path = parent_of(path)
            if path in places:
                found.append(places[path])
        return tuple(found)

    def kept_because(self, element: str, evidence: Evidence) -> str:
        """Name the directories that the service would have to make after a boot, and what another directive keeps
        writable without meaning to (``MountTable.separate_with_own_trees``)."""
        paths = [entry.path for entry in self.entries if written(entry, type(self).__name__) == element]
        made = [made for path in paths for made in made_if_missing(evidence, path.replace("%%", "%"))]
        if made:
            return f"the service makes {made[0]!a} if it is missing, and a boot removes it"
        if any(path.replace("%%", "%") in account_directories(evidence) for path in paths):
            return "it belongs to an account that the service runs as, which did not need it while it was recorded"
        in_run = any(is_below(path, "/run") or path == "/run" for path in paths)
        return "without it, only a side effect of other directives keeps /run writable" if in_run else ""


@functools.cache
def _place_of(element: str) -> str:
    """Return the path of an element, "/" where only the unit's specifiers can tell it."""
    entry = next(iter(entries_of(element)), None)
    return "/" if entry is None or "%" in entry.path else without_aliases(entry.path)


def _covers(outer: PathEntry, inner: PathEntry) -> bool:
    return outer.path == inner.path or is_below(inner.path, outer.path)


@dataclass(frozen=True)
class ReadOnlyPaths(PathListDirective):
    """Makes the listed paths read-only.

    Facts: write-like uses below them. Only /run is proposed: ProtectSystem=strict leaves it writable as soon as another
    directive implies MountAPIVFS=, even where it was read-only in the unit's own settings. For a service that makes
    names in /run itself it is what systemd and its like keep there: units, for instance, that would be run by root. Not
    at the level compatible, unless the unit's own settings have it so.
    """

    since: ClassVar = {"": 231}
    levels: ClassVar = "compatible proposes nothing, unless the unit's own settings have /run read-only"
    mode: ClassVar = Mode.READ_ONLY
    summary: ClassVar = "makes the listed paths read-only"
    denied_examples: ClassVar = {
        "/srv/example": Fact(PathUse("/srv/example/file", Access.WRITE, FileKind.REGULAR)),
    }

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose /run, then the directories in it that belong to the system and that nothing was written in."""
        own = build_sandbox(parse_settings(evidence.unit.assignments, evidence.host), evidence.host, evidence.unit)
        is_wanted = own.mounts.read_only(RUN) or evidence.level is not Level.COMPATIBLE
        unseen = not evidence.start_up_observed or evidence.uses_rings
        if not is_wanted or unseen:
            return []
        written = {path for fact in evidence.of(PathUse) for path in _written_below_run(fact)}
        spared = [path for path in OF_THE_SYSTEM if not any(is_below(one, path) or one == path for one in written)]
        beneath_root = evidence.unit.root is not None
        lists = ([(RUN, beneath_root)], [(path, True) for path in spared])
        return [cls.of(paths, beneath_root=beneath_root) for paths in lists]


def _written_below_run(fact: Fact) -> tuple[str, ...]:
    use = fact.behaviour
    is_one = isinstance(use, PathUse) and use.access in WRITING and is_below(use.path, RUN)
    return (use.path,) if is_one and isinstance(use, PathUse) else ()


@dataclass(frozen=True)
class InaccessiblePaths(PathListDirective):
    """Covers the listed paths with something empty that nobody may open.

    Facts: every use of or below them. Entries below an inaccessible path are dropped by systemd without a word.
    """

    since: ClassVar = {"": 231}
    mode: ClassVar = Mode.INACCESSIBLE
    levels: ClassVar = "strict only: trees that nothing was used of"
    summary: ClassVar = "hides the listed paths"
    denied_examples: ClassVar = {
        "/srv/example": Fact(PathUse("/srv/example/file", Access.READ, FileKind.REGULAR)),
    }


@dataclass(frozen=True)
class NoExecPaths(PathListDirective):
    """Takes execution away below the listed paths. Facts: execve, and mmap(PROT_EXEC) of libraries."""

    since: ClassVar = {"": 248}
    mode: ClassVar = Mode.NO_EXECUTE
    levels: ClassVar = "strict only: everything, and each writable directory"
    summary: ClassVar = "takes execution of files away below the listed paths"
    denied_examples: ClassVar = {
        "/srv/example": Fact(PathUse("/srv/example/tool", Access.EXECUTE, FileKind.REGULAR)),
    }


@dataclass(frozen=True)
class ExecPaths(PathListDirective):
    """Gives execution back below the listed paths, where NoExecPaths= took it. Denies nothing by itself."""

    since: ClassVar = {"": 248}
    mode: ClassVar = Mode.EXECUTE
    exception_of: ClassVar = ("NoExecPaths",)
    levels: ClassVar = "strict only: what was executed or mapped as code"
    summary: ClassVar = "gives execution back below the listed paths"
    denied_examples: ClassVar = {"/srv/example": Fact(PathUse("/srv/example", Access.DELETE, FileKind.DIRECTORY))}

    def intersected(self, own: Self) -> Self:
        """Keep what both give back."""
        return own if not self.entries else self
