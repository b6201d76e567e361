"""What the level strict leaves of the file system: the trees that were used, and execution of what was executed.

The parts belong together and are spread over several directives, so they are worked out once, and held against the
mount table before they are proposed. Nothing is proposed to a unit that has lists of its own, whose lines were not all
seen, or that sees another file system tree than its machine.

An ExecPaths= entry below a read-only mount would be writable, and one that ReadOnlyPaths= names as well is dropped as
superfluous (``drop_nop`` in systemd's ``namespace.c``). So every program is bound onto itself, read-only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from policy.behaviour import Access, Fact, FileKind, PathPair, PathUse
from policy.directives.base import Directive, Evidence
from policy.directives.own_trees import LONGEST_LIST
from policy.directives.writable_paths import Writable, temporary_directories, writable_lists
from policy.level import Level
from policy.path_encoding import encode_path, unbindable_because
from policy.sandbox.mount_entry import is_below, parent_of
from policy.sandbox.read_only import HAPPENED
from policy.settings import build_sandbox, parse_settings

TREES = (
    "/boot",
    "/efi",
    "/media",
    "/mnt",
    "/opt",
    "/srv",
    "/usr/local",
    "/usr/src",
    "/var/backups",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/mail",
    "/var/opt",
    "/var/spool",
    "/var/www",
)
"""Directories that hold what belongs to different services and people (hier(7), file-hierarchy(7)), and nothing that
systemd or libc needs for itself."""

OWN_LISTS = (
    "BindPaths",
    "BindReadOnlyPaths",
    "ExecPaths",
    "InaccessiblePaths",
    "NoExecPaths",
    "RootDirectory",
    "RootImage",
    "TemporaryFileSystem",
)

EXECUTING = frozenset({Access.EXECUTE, Access.MAP_EXECUTE})


@dataclass(frozen=True)
class View:
    """What is proposed: paths for InaccessiblePaths=, TemporaryFileSystem=, the two kinds of binds, and execution."""

    hidden: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()
    bound: tuple[Writable, ...] = ()
    bound_read_only: tuple[Writable, ...] = ()
    executable: tuple[str, ...] = ()
    not_executable: tuple[Writable, ...] = ()


def strict_view(evidence: Evidence) -> View:
    """Return what the level strict leaves, worked out once for all directives that have a part in it."""
    if strict_view not in evidence.memory:
        search = _Search(evidence)
        evidence.memory[strict_view] = search.view() if search.is_free else View()
    found = evidence.memory[strict_view]
    assert isinstance(found, View)
    return found


@dataclass
class _Search:
    evidence: Evidence

    @property
    def is_free(self) -> bool:
        """Whether anything may be proposed."""
        evidence, unit = self.evidence, self.evidence.unit
        seen_lines = {fact.exec_line.lstrip("-@:+!|") for fact in evidence.facts}
        return (
            evidence.level is Level.STRICT
            and evidence.start_up_observed
            and not evidence.uses_rings
            and not unit.dynamic_user
            and not any(unit.values(name) for name in OWN_LISTS)
            and not any(value.startswith("~") or "%" in value for value in unit.values("WorkingDirectory"))
            and all(line.kind in seen_lines for line in unit.exec_lines)
        )

    @cached_property
    def writable(self) -> tuple[Writable, ...]:
        """The list for ProtectSystem=strict."""
        strict = Directive.registry["ProtectSystem"].parse(["strict"], self.evidence.host)
        return next(writable_lists(self.evidence, [strict]), ())

    @cached_property
    def paths(self) -> frozenset[str]:
        """All names that were used, and those that systemd uses for the service."""
        unit = self.evidence.unit
        names = {path for fact in self.evidence.facts for path in _names(fact)}
        names.update(value.removeprefix("-") for value in unit.values("WorkingDirectory"))
        return frozenset(names | set(unit.writable_directories) | {path for path, _ in self.writable})

    @cached_property
    def met(self) -> frozenset[str]:
        """Those of them that were not missing."""
        missed = {path for fact in self.evidence.facts for path in _names(fact) if fact.outcome == "ENOENT"}
        found = {path for fact in self.evidence.facts for path in _names(fact) if fact.outcome != "ENOENT"}
        return self.paths - (missed - found)

    def view(self) -> View:
        """Return the parts, without the trees that would change a fact."""
        trees = list(TREES)
        while True:
            view = self._view_of(trees)
            refused = self._refused(view)
            kept = [tree for tree in trees if not any(path == tree or is_below(path, tree) for path in refused)]
            if kept == trees:
                return view if not refused else View()
            trees = kept

    def _view_of(self, trees: list[str]) -> View:
        hidden = [tree for tree in trees if not any(_touches(path, tree) for path in self.paths)]
        covered = [tree for tree in trees if tree not in hidden and self._can_be_covered(tree)]
        children = sorted({child for tree in covered for child in self._children(tree)})
        writable = dict(self.writable)
        bound = [(child, writable[child]) for child in children if child in writable]
        executable, places = self._executable()
        programs = [(path, True) for path in executable if path not in places]
        read_only = [(child, True) for child in children if child not in writable]
        return View(
            tuple(hidden),
            tuple(covered),
            tuple(bound),
            tuple(sorted({*read_only, *programs})),
            tuple(executable),
            tuple(self._not_executable(places)) if executable else (),
        )

    def _can_be_covered(self, tree: str) -> bool:
        """Whether only names below the tree were used: no listing, no symlink, and nothing made in the tree itself."""
        if any("+" in line.prefixes for line in self.evidence.unit.exec_lines):
            return False  # such a line is freed from all but this
        for fact in self.evidence.of(PathUse):
            use = fact.behaviour
            if isinstance(use, PathUse) and use.through and any(_touches(p, tree) for p in (use.path, use.through)):
                return False
            if isinstance(use, PathUse) and use.path == tree and use.access is not Access.LOOKUP:
                return False
        children = self._children(tree)
        return not any(_touches(tree, path) for path, _ in self.writable) and all(
            not unbindable_because(child) for child in children
        )

    def _children(self, tree: str) -> set[str]:
        """Return what is right below the tree and was there: a name that was only missed need not be."""
        depth = tree.count("/") + 2
        return {"/".join(path.split("/")[:depth]) for path in self.met if is_below(path, tree)}

    def _executable(self) -> tuple[list[str], set[str]]:
        """Return what was executed or mapped as code, and which of that are writable places of the service."""
        executed: set[str] = set()
        places: set[str] = set()
        for fact in self.evidence.confined(PathUse):
            use = fact.behaviour
            if not isinstance(use, PathUse) or use.access not in EXECUTING or fact.outcome not in HAPPENED:
                continue
            if use.kind is not FileKind.REGULAR and not use.path.startswith("/"):
                continue
            place = next((path for path, _ in self.writable if path == use.path or is_below(use.path, path)), "")
            executed.add(place or use.path)
            places |= {place} - {""}
        found = sorted(executed)
        if len(found) > LONGEST_LIST:
            found = sorted(places | {parent_of(path) for path in executed - places})
        usable = len(found) <= LONGEST_LIST and not any(unbindable_because(path) for path in found)
        return (found, places) if usable and "/" not in found else ([], set())

    def _not_executable(self, places: set[str]) -> Iterator[Writable]:
        yield "/", False
        for path, may_be_missing in self.writable:
            if path not in places:
                yield path, may_be_missing
        if temporary_directories(self.evidence):
            yield from (("/tmp", True), ("/var/tmp", True))

    def _refused(self, view: View) -> set[str]:
        """Return the names in facts that come out differently with this view."""
        host, unit = self.evidence.host, self.evidence.unit
        lines = [("ProtectSystem", "strict"), ("PrivateTmp", "yes" if temporary_directories(self.evidence) else "no")]
        lines += [("ReadWritePaths", _word(path, missing, "ReadWritePaths")) for path, missing in self.writable]
        without = build_sandbox(parse_settings([*unit.assignments, *lines], host), host, unit).mounts
        mounts = build_sandbox(parse_settings([*unit.assignments, *lines, *assignments(view)], host), host, unit).mounts
        return {
            path
            for kind in (PathUse, PathPair)
            for fact in self.evidence.confined(kind)
            if mounts.judge(fact) is not None and without.judge(fact) is None
            for path in _names(fact)
        }


def assignments(view: View) -> list[tuple[str, str]]:
    """Return the lines of a view."""
    return [
        *(("InaccessiblePaths", f"-{tree}") for tree in view.hidden),
        *(("TemporaryFileSystem", f"{tree}:ro") for tree in view.covered),
        *(("BindPaths", _word(path, missing, "BindPaths")) for path, missing in view.bound),
        *(("BindReadOnlyPaths", _word(path, missing, "BindReadOnlyPaths")) for path, missing in view.bound_read_only),
        *(("ExecPaths", _word(path, True, "ExecPaths")) for path in view.executable),
        *(("NoExecPaths", _word(path, missing, "NoExecPaths")) for path, missing in view.not_executable),
    ]


def lines_for(directive: str, evidence: Evidence) -> list[str]:
    """Return the lines of one directive in the view of this evidence."""
    return [line for name, line in assignments(strict_view(evidence)) if name == directive]


def _word(path: str, may_be_missing: bool, directive: str) -> str:
    return ("-" if may_be_missing else "") + encode_path(path, directive)


def _touches(path: str, tree: str) -> bool:
    return path == tree or is_below(path, tree)


def _names(fact: Fact) -> tuple[str, ...]:
    match fact.behaviour:
        case PathUse(path=path, through=through):
            return (path, through) if through else (path,)
        case PathPair(source=source, target=target):
            return source, target
    return ()
