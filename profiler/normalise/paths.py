"""From the path that a call was given to the object it meant, in the service's own view.

Inside the normaliser paths are bytes as the machine sees them; facts carry them as the service does, as text.
"""

from __future__ import annotations

import os
import re
from collections import deque
from dataclasses import dataclass

from profiler.normalise.byte_paths import directory_of, is_file
from profiler.normalise.objects import ObjectView
from profiler.normalise.processes import Process, ProcessTable
from profiler.recorders.base import Descriptor

_CURRENT_DIRECTORY = -100
_MOST_LINKS = 40  # MAXSYMLINKS of the kernel
_REMEMBERED = 20_000  # links and walks kept, before all are forgotten
_LIFETIME = 5.0  # seconds of the recording for which a link may be taken as unchanged
_PROCESS_PATH = re.compile(rb"/proc/(\d+)(/task/(\d+))?(?=/|$)")


@dataclass(frozen=True)
class Resolved:
    """An object's place. ``real`` has no symlinks; ``path`` is how facts name it, ``through`` how it was spelled.

    ``links`` are the symlinks on the way, ``directories`` all directories that had to be searched.
    """

    real: bytes
    path: str
    through: str = ""
    links: tuple[bytes, ...] = ()
    directories: tuple[bytes, ...] = ()

    @property
    def parent(self) -> bytes:
        """The directory that holds the object's name."""
        return directory_of(self.real)


@dataclass(frozen=True)
class _Walk:
    real: bytes
    links: tuple[bytes, ...]
    directories: tuple[bytes, ...]


class UnknownDirectory(Exception):
    """A relative path, and nobody knows relative to what."""


class PathResolver:
    """Resolves paths through an ``ObjectView``, remembering links for as long as nothing moves them."""

    def __init__(self, objects: ObjectView, processes: ProcessTable) -> None:
        self._objects = objects
        self._processes = processes
        self._links: dict[tuple[int, bytes], bytes | None] = {}
        self._walks: dict[tuple[int, int, bytes, bytes, bytes, bool], _Walk] = {}
        self._forget_at = 0.0
        self.service_root = b""  # RootDirectory= of the unit: what systemd changed the root to before the program ran

    def base(self, process: Process, directory: Descriptor | None) -> bytes:
        """Return the directory that relative paths start from. Raises UnknownDirectory."""
        if directory is not None and directory.target is not None and directory.target.startswith(b"/"):
            if directory.number == _CURRENT_DIRECTORY:
                process.directories.current = directory.target
            return directory.target
        if directory is None or directory.number == _CURRENT_DIRECTORY:
            found = process.directories.current
        else:
            found = process.descriptors.get(directory.number)
        if found is None or not found.startswith(b"/"):
            raise UnknownDirectory
        return found

    def resolve(
        self, process: Process, directory: Descriptor | None, spelled: bytes, follow: bool, found: bytes | None = None
    ) -> Resolved:
        """Resolve a path as the kernel would; ``found`` is the object if the tracer named it.

        Raises UnknownDirectory.
        """
        root = process.directories.root
        start = root if spelled.startswith(b"/") else self.base(process, directory)
        walk = self._walk(process, start, spelled, follow)
        real = found if found is not None and found.startswith(b"/") else walk.real
        path = self.shown(process, real)
        through = ""
        if walk.links:
            through = self.shown(process, _joined(start, spelled))
        return Resolved(real, path, "" if through == path else through, walk.links, walk.directories)

    def at(self, process: Process, real: bytes) -> Resolved:
        """Return the place of an object that is known by its real path already."""
        return Resolved(real, self.shown(process, real))

    def shown(self, process: Process, real: bytes) -> str:
        """Return how facts name a real path: in the service's own root, other processes' numbers generalised."""
        if self.service_root and (real == self.service_root or real.startswith(self.service_root + b"/")):
            real = real[len(self.service_root) :] or b"/"
        match = _PROCESS_PATH.match(real)
        if match is not None:
            task = b"/task/self" if match.group(2) else b""
            real = b"/proc/" + self._relation(process, int(match.group(1))) + task + real[match.end() :]
        return os.fsdecode(real)

    def viewers(self, process: Process) -> list[int]:
        """Return the processes in whose root this process's real paths can be looked at, best first."""
        chain: list[int] = []
        current: Process | None = process
        while current is not None and current.studied and len(chain) < 8:
            if (
                current.directories.root in {b"/", self.service_root}
                and current.mount_namespace == process.mount_namespace
            ):
                chain.append(current.leader)
            parent = self._processes.get(current.parent)
            current = parent if parent is not current else None
        return chain

    def forget(self) -> None:
        """Forget all links: one may have appeared, moved or gone."""
        self._links.clear()
        self._walks.clear()

    def tick(self, time: float) -> None:
        """Note the recording's time; links older than some seconds are looked at again."""
        if time >= self._forget_at:
            self.forget()
            self._forget_at = time + _LIFETIME

    def _relation(self, process: Process, pid: int) -> bytes:
        other = self._processes.lately(pid)
        if pid == process.leader or (other is not None and other.leader == process.leader):
            return b"self"
        return b"own" if other is not None and other.studied else b"other"

    def _walk(self, process: Process, start: bytes, spelled: bytes, follow: bool) -> _Walk:
        root = process.directories.root
        who = process.pid if b"proc" in start or b"proc" in spelled or b"dev" in spelled else 0
        key = (process.mount_namespace, who, root, start, spelled, follow)
        walk = self._walks.get(key)
        if walk is None:
            if len(self._walks) >= _REMEMBERED:
                self.forget()
            walk = self._walk_anew(process, root, start, spelled, follow)
            self._walks[key] = walk
        return walk

    def _walk_anew(self, process: Process, root: bytes, start: bytes, spelled: bytes, follow: bool) -> _Walk:
        top = _parts(root)
        done = _parts(start)
        todo = deque(spelled.split(b"/"))
        links: list[bytes] = []
        directories: dict[bytes, None] = {}
        while todo:
            part = todo.popleft()
            if part in {b"", b"."}:
                continue
            directories[b"/" + b"/".join(done)] = None
            if part == b"..":
                if done != top and done:
                    done.pop()
                continue
            candidate = b"/" + b"/".join([*done, part])
            target = self._link(process, candidate) if todo or follow else None
            if target is None or len(links) >= _MOST_LINKS:
                done.append(part)
                continue
            links.append(candidate)
            if target.startswith(b"/"):
                done = list(top)
            todo.extendleft(reversed(target.split(b"/")))
        return _Walk(b"/" + b"/".join(done), tuple(links), tuple(directories))

    def _link(self, process: Process, path: bytes) -> bytes | None:
        if path == b"/proc/self":
            return b"%d" % process.leader
        if path == b"/proc/thread-self":
            return b"%d/task/%d" % (process.leader, process.pid)
        match = _PROCESS_PATH.match(path)
        if match is not None:
            own = int(match.group(1)) == process.leader
            return _magic(process, path[match.end() :]) if own else None
        key = (process.mount_namespace, path)
        if key not in self._links:
            if len(self._links) >= _REMEMBERED:
                self.forget()
            self._links[key] = self._objects.link_target(path, self.viewers(process))
        return self._links[key]


def _magic(process: Process, name: bytes) -> bytes | None:
    # Links of /proc/self that lead to objects, not to names. The answer for the tool's own process would be wrong.
    if name == b"/cwd":
        return process.directories.current
    if name == b"/root":
        return process.directories.root
    if name == b"/exe":
        return process.executable or None
    if name.startswith(b"/fd/") and name[4:].isdigit():
        target = process.descriptors.get(int(name[4:]))
        return target if target is not None and is_file(target) else None  # a memfd has no other name than this
    return None


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part]


def _joined(start: bytes, spelled: bytes) -> bytes:
    whole = spelled if spelled.startswith(b"/") and start == b"/" else start + b"/" + spelled
    return b"/" + b"/".join(part for part in whole.split(b"/") if part not in {b"", b"."})
