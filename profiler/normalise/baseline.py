"""What stood where before the recording began.

The recorder's output is read after the fact: a file that was created, given away and renamed within a millisecond shows
nothing of that any more. Names and owners as they were at the start tell what the service's own calls have changed.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from profiler.normalise.byte_paths import directory_of
from profiler.normalise.credentials import Ids
from profiler.normalise.owner import Owner

TREES = (b"/etc", b"/var", b"/run", b"/tmp", b"/srv", b"/opt", b"/home", b"/root", b"/mnt", b"/media", b"/dev/shm")
"""Where services write."""

_USERS = re.compile(rb"(?m)^Uid:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)$")

MOST_NAMES = 100_000
MOST_SECONDS = 3.0


class Baseline:
    """Owners and modes of the objects that existed at the start, in the directories that could be listed in time."""

    def __init__(self) -> None:
        self._owners: dict[bytes, Owner] = {}
        self._listed: set[bytes] = set()
        self._same: dict[tuple[int, int, int], Owner] = {}
        self.users: dict[int, Ids] = {}
        """Whose the processes were that ran at the start, by their numbers on the machine."""

    @classmethod
    def of(
        cls,
        root: bytes = b"",
        trees: Iterable[bytes] = TREES,
        *,
        most_names: int = MOST_NAMES,
        most_seconds: float = MOST_SECONDS,
    ) -> Baseline:
        """List these trees of the machine at ``root``, upper levels first, for as long as the limits allow."""
        baseline = cls()
        end = time.monotonic() + most_seconds
        baseline._note_processes(root)
        todo = deque(trees)
        baseline._add_roots(root, todo)
        while todo and len(baseline._owners) < most_names and time.monotonic() < end:
            todo.extend(baseline._list(root, todo.popleft()))
        return baseline

    def covers(self, path: bytes) -> bool:
        """Whether it is known if there was an object at this path."""
        above = directory_of(path)
        return above in self._listed or (above != path and self.covers(above) and above not in self._owners)

    def owner(self, path: bytes) -> Owner | None:
        """Return the owner of the object that stood at this path, ``None`` if there was none or it is not known."""
        return self._owners.get(path)

    def __len__(self) -> int:
        return len(self._owners)

    def _add_roots(self, root: bytes, trees: Iterable[bytes]) -> None:
        for tree in trees:
            with contextlib.suppress(OSError):
                status = os.lstat(root + tree)
                self._owners[tree] = Owner(status.st_uid, status.st_gid, status.st_mode)

    def _note_processes(self, root: bytes) -> None:
        for status in Path(os.fsdecode(root) + "/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):  # it has just ended
                found = _USERS.search(status.read_bytes())
                if found is not None:
                    self.users[int(status.parent.name)] = Ids(*map(int, found.groups()))

    def _list(self, root: bytes, directory: bytes) -> list[bytes]:
        below: list[bytes] = []
        found: dict[bytes, Owner] = {}
        try:
            with os.scandir(root + directory) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    path = directory + b"/" + entry.name
                    numbers = (status.st_uid, status.st_gid, status.st_mode)
                    owner = self._same.get(numbers)
                    if owner is None:
                        owner = self._same[numbers] = Owner(*numbers)
                    found[path] = owner
                    if entry.is_dir(follow_symlinks=False):
                        below.append(path)
        except OSError:
            return []
        self._owners.update(found)
        self._listed.add(directory)
        return below
