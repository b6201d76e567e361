"""The private mount namespace of a service: which mount decides about a path, and what the kernel then says.

Source: ``setup_namespace`` in systemd's ``src/core/namespace.c`` for what is mounted, the kernel's ``fs/namei.c`` for
what follows from it. Not modelled: what a mount from elsewhere (BindPaths= with another source) shows below its
destination, RootDirectory= and its like, and mounts that the host adds later (they arrive writable).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from policy.behaviour import OK, WRITING, Access, Fact, Mounted, PathPair, PathUse
from policy.sandbox.capabilities import CapabilityBounds
from policy.sandbox.denial import Denial
from policy.sandbox.hidden import Looker, hidden_outcome
from policy.sandbox.mount_entry import (
    HIDING,
    Mode,
    MountEntry,
    Remaining,
    is_below,
    is_in_device_mount,
    parent_of,
    remaining,
    without_aliases,
)
from policy.sandbox.process_files import ProcessFiles
from policy.sandbox.read_only import BEFORE_LOOKUP, EROFS, HAPPENED, NAME_ACCESSES, read_only_outcome

OWN_RUN_SINCE = 248
"""The first version in which MountAPIVFS= is about /run as well."""

UNSEEN = "unseen"
"""The outcome of a call that succeeds, but whose effect stays inside of the service's own namespace."""

REMEMBERED = 100_000
"""Directories for which it is kept which mount decides about them."""

_HOST = MountEntry("/", Mode.BIND)
# Where no entry decides: the host's own mounts, as they were when the facts were recorded.


@dataclass
class MountTable:
    """All mount entries of a service. Without a directive that asks for a private namespace none of them counts."""

    capabilities: CapabilityBounds = field(default_factory=CapabilityBounds)
    processes: ProcessFiles = field(default_factory=ProcessFiles)
    separated_by: list[tuple[str, str]] = field(default_factory=list)
    entries: list[MountEntry] = field(default_factory=list)
    _settled: Remaining | None = None
    _provided: frozenset[str] = frozenset()
    _decides: dict[str, MountEntry] = field(default_factory=dict)

    def separate(self, directive: str, setting: str) -> None:
        """Ask for a private mount namespace: what is mounted in it never reaches the host."""
        self.separated_by.append((directive, setting))

    def separate_with_own_trees(self, directive: str, setting: str, version: int) -> None:
        """Ask for a private namespace with /proc, /sys and /dev of its own: several directives imply MountAPIVFS=.

        From 248 an entry for /run belongs to it, and keeps /run writable even where everything is read-only: what is
        in systemd's list is not touched when the read-only flag of ``/`` is set (measured with 252, 257 and 262).
        """
        self.separate(directive, setting)
        if version >= OWN_RUN_SINCE:
            self.add(MountEntry("/run", Mode.IMPLICIT_READ_WRITE, directive, setting, ignore_missing=True))

    def add(self, *entries: MountEntry) -> None:
        """Add entries that count if the namespace is private."""
        self.entries.extend(entries)
        self._settled = None

    @property
    def private(self) -> bool:
        """Whether the service has a mount namespace of its own."""
        return bool(self.separated_by)

    @property
    def mounts(self) -> Mapping[str, MountEntry]:
        """The entries that are left after systemd's sorting and dropping, by path."""
        return self._settle().mounts

    @property
    def failure(self) -> MountEntry | None:
        """The entry at which the set-up of the unit fails (status 226/NAMESPACE), if the table itself shows one."""
        return self._settle().failure

    def _settle(self) -> Remaining:
        if self._settled is None:
            self._settled = remaining(self.entries)
            self._decides = {"/": _HOST, **self._settled.mounts}
            self._provided = frozenset(
                ancestor for path in self._settled.mounts for ancestor in _ancestors(path) if ancestor != path
            )
        return self._settled

    def judge(self, fact: Fact) -> Denial | None:
        """Return how the mounts change the outcome of a fact, or ``None``."""
        if not self.separated_by:
            return None
        failure = (self._settled or self._settle()).failure
        if failure is not None:
            note = f"the unit does not start (226/NAMESPACE): {failure.path} does not exist below the mounts above it"
            return Denial(fact, failure.directive, failure.setting, "ENOENT", note)
        match fact.behaviour:
            case PathUse() as use:
                return self._judge_use(fact, use)
            case PathPair() as pair:
                return self._judge_pair(fact, pair)
        return self.judge_privileged(fact)

    def judge_privileged(self, fact: Fact) -> Denial | None:
        """Judge a fact for which only the namespace itself counts: mounts that are meant for the host."""
        match fact.behaviour:
            case Mounted(in_own_namespace=False) if self.private and fact.outcome in HAPPENED:
                note = "the mount stays inside of the service's private mount namespace"
                return Denial(fact, *self.separated_by[0], UNSEEN, note)
        return None

    def covering(self, path: str, spelled: str = "") -> MountEntry:
        """Return the entry that decides about a path: the nearest one at it or above it.

        ``spelled`` is the path as the service wrote it: an entry that people wrote with the same symlink counts too.
        """
        found = self._nearest(path)
        if spelled and spelled != path:
            link, target = _link_between(spelled, path)
            for entry_path, entry in self.mounts.items():
                if entry_path == link or is_below(entry_path, link):
                    moved = target + entry_path[len(link) :]
                    if (path == moved or is_below(path, moved)) and len(moved) > len(found.path):
                        found = dataclasses.replace(entry, path=moved)
        return found

    def _nearest(self, path: str) -> MountEntry:
        if self._settled is None:
            self._settle()
        place = path
        while (found := self._decides.get(place)) is None:
            place = parent_of(place)
        directory = parent_of(path)
        if place not in (path, directory) and len(self._decides) < REMEMBERED:
            self._decides[directory] = found
        return found

    def read_only(self, path: str) -> bool:
        """Whether a regular file that exists at this path could not be written."""
        return self.private and self._nearest(path).refuses_writes

    def _judge_use(self, fact: Fact, use: PathUse) -> Denial | None:
        if self._is_untouched(use):
            return None
        may_trace = fact.user == 0 and "CAP_SYS_PTRACE" not in self.capabilities.dropped
        outcome, blame = self.processes.outcome(use, fact.outcome, is_root=fact.user == 0, may_trace=may_trace)
        if outcome != fact.outcome:
            return Denial(fact, *blame, outcome)
        denial = self._judge_object(fact, use)
        if denial is None and use.through and without_aliases(use.through) == use.through:
            denial = self._judge_link(fact, use)
        return denial

    def _is_untouched(self, use: PathUse) -> bool:
        """Whether no mount can matter to this use, as for most of them: asked first because it is quick."""
        settled = self._settled or self._settle()
        if use.through or use.path in settled.mounts or use.path.startswith("/proc") or settled.closed_tops:
            return False
        entry = self._nearest(parent_of(use.path))
        if entry.mode in HIDING or entry.no_execute or entry.mode is Mode.NO_EXECUTE:
            return False
        return use.access not in WRITING or not entry.refuses_writes

    def _judge_object(self, fact: Fact, use: PathUse) -> Denial | None:
        by_name = use.access in NAME_ACCESSES and use.path != "/"
        at = parent_of(use.path) if by_name else use.path
        spelled = parent_of(use.through) if by_name and use.through else use.through
        entry = self.covering(at, spelled)
        outcome = fact.outcome
        if outcome == "ENOENT" and entry.ignore_missing and use.path == entry.path:
            return None  # the path was missing when this was recorded, and so is the mount
        if outcome == "EEXIST" and use.path in self.mounts and not self.mounts[use.path].ignore_missing:
            return None  # what is mounted on exists, and that is looked at first
        if outcome == "EXDEV" and entry.mode is not Mode.PRIVATE_TMP:
            return None  # for the fact about both names
        closed = self._closed_above(use.path) if fact.user != 0 else None
        if closed is not None and outcome not in BEFORE_LOOKUP:
            entry, outcome = closed, "EACCES"
        elif entry.mode in HIDING:
            outcome = hidden_outcome(entry, use, outcome, self._looker(fact))
        is_lost = outcome == "ENOENT" and entry.mode in HIDING and parent_of(use.path) != entry.path
        if entry.refuses_writes and not is_lost and (entry.mode not in HIDING or entry.mode is Mode.PRIVATE_TMP):
            outcome = read_only_outcome(use, outcome)
        if outcome == fact.outcome and by_name and self._is_busy(use, outcome):
            entry = self.mounts[use.path]
            outcome = "EBUSY"
        if outcome != fact.outcome:
            return self._blame(fact, self._merged_into(entry, at), outcome)
        return self._judge_execution(fact, use)

    def _closed_above(self, path: str) -> MountEntry | None:
        """Return a fresh file system above a path whose top directory nobody but root can walk through."""
        return next((one for one in self._settle().closed_tops if is_below(path, one.path)), None)

    def _judge_link(self, fact: Fact, use: PathUse) -> Denial | None:
        """The symlink through which a path was reached must be visible as well."""
        entry = self.covering(use.through)
        if entry.mode not in HIDING or (use.created_by_service and entry.mode is not Mode.INACCESSIBLE):
            return None
        link = PathUse(use.through, Access.LOOKUP, created_by_service=use.created_by_service)
        outcome = hidden_outcome(entry, link, fact.outcome, self._looker(fact))
        return self._blame(fact, entry, outcome) if outcome != fact.outcome else None

    def _judge_execution(self, fact: Fact, use: PathUse) -> Denial | None:
        if use.access not in {Access.EXECUTE, Access.MAP_EXECUTE} or fact.outcome not in HAPPENED:
            return None
        # Other entries below a NoExecPaths= entry stay executable: systemd 252 does not go on into them (measured).
        entry = self.covering(use.path, use.through)
        if not (entry.no_execute or entry.mode is Mode.NO_EXECUTE):
            return None
        return self._blame(fact, entry, "EACCES" if use.access is Access.EXECUTE else "EPERM")

    def _is_busy(self, use: PathUse, outcome: str) -> bool:
        """Whether the name is a mount point of ours, which cannot be removed or replaced.

        A name that may be missing at the start can be made while it is missing, as there is no mount then.
        """
        entry = self.mounts.get(use.path)
        if entry is None or (outcome not in HAPPENED and outcome != "ENOTEMPTY"):
            return False
        return use.access is Access.DELETE or not entry.ignore_missing

    def _judge_pair(self, fact: Fact, pair: PathPair) -> Denial | None:
        """Judge in the order of ``do_renameat2`` and ``do_linkat`` in the kernel's ``fs/namei.c``: the directories,
        for links the source, for renames the border between mounts, then whether the target can be written."""
        if fact.outcome in BEFORE_LOOKUP or fact.outcome in {"ENOTDIR", "ELOOP"}:
            return None
        is_link = pair.operation == "link"
        entry, hidden = self._obstacle(fact, pair)
        if hidden not in HAPPENED:
            return self._blame(fact, entry, hidden) if hidden != fact.outcome else None
        if is_link and fact.outcome in {"ENOENT", "EEXIST"}:
            return None
        source = self._nearest(pair.source if is_link else parent_of(pair.source))
        target = self._nearest(parent_of(pair.target))
        is_lost = target.mode is Mode.PRIVATE_TMP and parent_of(pair.target) != target.path
        is_read_only = target.refuses_writes and not is_lost and not _is_on_device_mount(target, pair.target)
        if source.path != target.path and not (is_link and is_read_only):
            return self._blame_border(fact, source, target) if fact.outcome != "EXDEV" else None
        if is_read_only and (is_link or fact.outcome != "EXDEV"):
            return self._blame(fact, self._merged_into(target, parent_of(pair.target)), EROFS)
        return self._judge_names(fact, pair) if fact.outcome in HAPPENED else None

    def _obstacle(self, fact: Fact, pair: PathPair) -> tuple[MountEntry, str]:
        """Return what is met on the way to the names, and by which entry; success means nothing."""
        source = [pair.source] if pair.operation == "link" else []
        for path in (parent_of(pair.source), *source, parent_of(pair.target)):
            closed = self._closed_above(path) if fact.user != 0 else None
            if closed is not None:
                return closed, "EACCES"
            hidden = self._outcome_of_hidden_step(fact, path)
            if hidden not in HAPPENED:
                return self._nearest(path), hidden
        return _HOST, OK

    def _judge_names(self, fact: Fact, pair: PathPair) -> Denial | None:
        """Judge what the names of a pair stand for, on a mount that can be written."""
        if pair.operation == "link":
            return None
        for path in (pair.source, pair.target):
            if path in self.mounts:
                return self._blame(fact, self.mounts[path], "EBUSY")
        for path in (pair.source, *([pair.target] if pair.operation == "exchange" else [])):
            hidden = self._outcome_of_hidden_step(fact, path)
            if hidden not in HAPPENED:
                return self._blame(fact, self._nearest(path), hidden)
        return None

    def _outcome_of_hidden_step(self, fact: Fact, path: str) -> str:
        """Return what a call meets that walks through a path, where something is mounted over it; success means that
        it is no obstacle. Not in /tmp, where facts of their own tell whether the service made the names itself."""
        entry = self._nearest(path)
        if entry.mode not in HIDING or entry.mode is Mode.PRIVATE_TMP or _is_on_device_mount(entry, path):
            return OK
        looker = self._looker(fact)
        if path == entry.path and entry.mode is not Mode.INACCESSIBLE:
            return OK if looker.is_root or entry.permissions & 0o001 else "EACCES"
        return hidden_outcome(entry, PathUse(path, Access.LOOKUP), OK, looker)

    def _blame_border(self, fact: Fact, source: MountEntry, target: MountEntry) -> Denial:
        """Blame the entry that lies deeper: without it both names would be on one mount more likely."""
        deeper = max(source, target, key=lambda entry: (bool(entry.directive), entry.path.count("/"), entry.path))
        return self._blame(fact, deeper, "EXDEV", f"{source.path} and {target.path} are two mounts")

    def _merged_into(self, entry: MountEntry, path: str) -> MountEntry:
        """Return the entry to blame: one that would be writable but for a directive that systemd merged into this."""
        merged = self._settle().merged
        while entry.mode is Mode.READ_ONLY and path not in {entry.path, "/"}:
            if path in merged:
                return merged[path]
            path = parent_of(path)
        return entry

    def _blame(self, fact: Fact, entry: MountEntry, outcome: str, note: str = "") -> Denial:
        blamed = (entry.directive, entry.setting) if entry.directive else self.separated_by[0]
        return Denial(fact, *blamed, outcome, note)

    def _looker(self, fact: Fact) -> Looker:
        is_root = fact.user == 0
        lost = {"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"} <= self.capabilities.dropped.keys()
        return Looker(is_root and not lost, is_root, self._provided.__contains__)


def _is_on_device_mount(entry: MountEntry, path: str) -> bool:
    """Whether the path is on one of the host's file systems that a private /dev shows."""
    return entry.mode is Mode.PRIVATE_DEVICES and is_in_device_mount(path)


def _ancestors(path: str) -> list[str]:
    found = [path]
    while path != "/":
        path = parent_of(path)
        found.append(path)
    return found


def _link_between(spelled: str, real: str) -> tuple[str, str]:
    """Return the leading parts in which two spellings of a path differ: the symlink and what it leads to."""
    first, second = spelled.split("/"), real.split("/")
    while len(first) > 1 and len(second) > 1 and first[-1] == second[-1]:
        first.pop()
        second.pop()
    return "/".join(first), "/".join(second)
