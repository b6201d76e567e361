"""Looking at the machine while the recording runs: files, links and processes, as the service sees them.

Everything here may be gone or changed by the time it is looked at; then the answer is ``None``, never a guess.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from policy.behaviour import FileKind
from profiler.machine import Machine
from profiler.normalise.baseline import Baseline
from profiler.normalise.birth import birth_time
from profiler.normalise.credentials import Credentials, Ids, capabilities_in
from profiler.normalise.ipc_objects import IpcOwner, look_up
from profiler.normalise.owner import kind_of

_Answer = TypeVar("_Answer")

HEADER_SIZE = 4096
"""Bytes of a program that are read to find its interpreter."""


@dataclass(frozen=True)
class ObjectStatus:
    """An object as lstat(2) shows it. ``device`` is "major:minor" of nodes; ``changed`` its st_ctime."""

    mode: int
    owner: int
    group: int
    device: str = ""
    changed: float = 0.0

    @property
    def kind(self) -> FileKind:
        """The type of the object."""
        return kind_of(self.mode)


@dataclass(frozen=True)
class ProcessStatus:
    """A living process as /proc/PID/status shows it, and its current directory, if that can be seen."""

    leader: int
    parent: int
    credentials: Credentials
    umask: int = 0o022
    current_directory: bytes | None = None


class ObjectView(Protocol):
    """What is asked about the machine. ``viewers`` are processes in whose root a path is meant, best first."""

    def status(self, path: bytes, viewers: Sequence[int]) -> ObjectStatus | None:
        """Return the status of the object at a path without symlinks, ``None`` if there is none."""

    def link_target(self, path: bytes, viewers: Sequence[int]) -> bytes | None:
        """Return where the symlink at a path leads, ``None`` if there is none."""

    def born(self, path: bytes, viewers: Sequence[int]) -> float | None:
        """Return when the object at a path was created, ``None`` if nobody knows."""

    def header(self, path: bytes, viewers: Sequence[int]) -> bytes:
        """Return the first bytes of a regular file, empty if it cannot be read."""

    def attribute(self, path: bytes, name: str, viewers: Sequence[int]) -> bytes | None:
        """Return an extended attribute, ``None`` if there is none."""

    def forbids_set_uid(self, path: bytes, viewers: Sequence[int]) -> bool:
        """Whether the file system of a path is mounted nosuid."""

    def process(self, pid: int) -> ProcessStatus | None:
        """Return a living process."""

    def control_groups(self, pid: int) -> tuple[bytes, ...]:
        """Return the cgroup paths of a living process."""

    def hard_limits(self, pid: int) -> dict[str, int]:
        """Return the hard resource limits of a living process by their RLIMIT_ name."""

    def setting(self, name: str, otherwise: int) -> int:
        """Return a number below /proc/sys."""

    def ipc_owner(self, kind: str, number: int, viewers: Sequence[int]) -> IpcOwner | None:
        """Return whose the ``shm``, ``msg`` or ``sem`` object with this number is, ``None`` if there is none."""

    def baseline(self) -> Baseline:
        """Return what stands on the machine now, before a recording; takes up to some seconds."""


class MachineObjects:
    """The objects of a machine, seen through /proc/PID/root of the service's processes."""

    def __init__(self, machine: Machine) -> None:
        self._root = os.fsencode(machine.root).rstrip(b"/")

    def status(self, path: bytes, viewers: Sequence[int]) -> ObjectStatus | None:
        """Return the status of the object at a path, see ``ObjectView``."""
        return self._ask(path, viewers, _status)

    def link_target(self, path: bytes, viewers: Sequence[int]) -> bytes | None:
        """Return where the symlink at a path leads, see ``ObjectView``."""
        return self._ask(path, viewers, os.readlink)

    def born(self, path: bytes, viewers: Sequence[int]) -> float | None:
        """Return when the object at a path was created, see ``ObjectView``."""
        return self._ask(path, viewers, birth_time)

    def header(self, path: bytes, viewers: Sequence[int]) -> bytes:
        """Return the first bytes of a regular file, see ``ObjectView``."""
        return self._ask(path, viewers, _header) or b""

    def attribute(self, path: bytes, name: str, viewers: Sequence[int]) -> bytes | None:
        """Return an extended attribute, see ``ObjectView``."""
        return self._ask(path, viewers, lambda place: os.getxattr(place, name, follow_symlinks=False))

    def forbids_set_uid(self, path: bytes, viewers: Sequence[int]) -> bool:
        """Whether the file system of a path is mounted nosuid, see ``ObjectView``."""
        return self._ask(path, viewers, lambda place: bool(os.statvfs(place).f_flag & os.ST_NOSUID)) or False

    def process(self, pid: int) -> ProcessStatus | None:
        """Return a living process, see ``ObjectView``."""
        fields = dict(re.findall(rb"(?m)^(\w+):[ \t]*(.*)$", self._read(pid, "status")))
        current = None
        with contextlib.suppress(OSError):
            current = os.readlink(self._root + f"/proc/{pid}/cwd".encode())  # noqa: PTH115
        try:
            return ProcessStatus(
                leader=int(fields[b"Tgid"]),
                parent=int(fields[b"PPid"]),
                credentials=_credentials(fields),
                umask=int(fields[b"Umask"], 8),
                current_directory=current,
            )
        except (KeyError, ValueError, TypeError):
            return None

    def control_groups(self, pid: int) -> tuple[bytes, ...]:
        """Return the cgroup paths of a living process, see ``ObjectView``."""
        lines = self._read(pid, "cgroup").splitlines()
        return tuple(line.split(b":", 2)[2] for line in lines if line.count(b":") >= 2)

    def hard_limits(self, pid: int) -> dict[str, int]:
        """Return the hard resource limits of a living process, see ``ObjectView``."""
        found = re.findall(rb"(?m)^Max ([a-z ]+?) {2,}\S+ +(\S+)", self._read(pid, "limits"))
        return {
            _LIMITS[name]: _UNLIMITED if value == b"unlimited" else int(value)
            for name, value in found
            if name in _LIMITS
        }

    def setting(self, name: str, otherwise: int) -> int:
        """Return a number below /proc/sys, see ``ObjectView``."""
        try:
            with open(self._root + b"/proc/sys/" + name.encode(), "rb") as file:  # noqa: PTH123
                return int(file.read(64))
        except (OSError, ValueError):
            return otherwise

    def ipc_owner(self, kind: str, number: int, viewers: Sequence[int]) -> IpcOwner | None:
        """Return whose an IPC object is, see ``ObjectView``; the machine's own if no viewer lives any more."""
        return look_up(self._root, kind, number, (*viewers, 1))

    def baseline(self) -> Baseline:
        """Return what stands on the machine now, see ``ObjectView``."""
        return Baseline.of(self._root)

    def _read(self, pid: int, name: str) -> bytes:
        try:
            with open(self._root + f"/proc/{pid}/{name}".encode(), "rb") as file:  # noqa: PTH123
                return file.read(65536)
        except OSError:
            return b""

    def _ask(self, path: bytes, viewers: Sequence[int], question: Callable[[bytes], _Answer]) -> _Answer | None:
        # In the root of the first viewer that still lives and sees the path, else in the machine's own: one may have
        # changed its root since the call. A zombie has no root any more.
        for viewer in viewers:
            with contextlib.suppress(OSError), _opened(self._root + b"/proc/%d/root" % viewer) as root:
                inside = _beneath(os.readlink(root), path)  # noqa: PTH115
                if inside is None:
                    continue
                with contextlib.suppress(OSError, ValueError):
                    return question(root + inside)
                return None
        with contextlib.suppress(OSError, ValueError):
            return question(self._root + path)
        return None


@contextlib.contextmanager
def _opened(place: bytes) -> Iterator[bytes]:
    """Hold a directory open, so that it stays the one it is; its name is yielded."""
    descriptor = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield b"/proc/self/fd/%d" % descriptor
    finally:
        os.close(descriptor)


def _beneath(top: bytes, path: bytes) -> bytes | None:
    """Return how a path is spelled in the root ``top``, ``None`` if it lies outside."""
    prefix = top.rstrip(b"/")
    if path != prefix and not path.startswith(prefix + b"/"):
        return None
    return path[len(prefix) :] or b"/"


def _status(place: bytes) -> ObjectStatus:
    found = os.lstat(place)
    is_node = stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)
    device = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}" if is_node else ""
    return ObjectStatus(found.st_mode, found.st_uid, found.st_gid, device, found.st_ctime)


def _header(place: bytes) -> bytes:
    # The service may have put a FIFO or a device here meanwhile: never block on it, never follow a link.
    descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, HEADER_SIZE, 0) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)


def _credentials(fields: dict[bytes, bytes]) -> Credentials:
    sets = {name: capabilities_in(int(fields[b"Cap" + name], 16)) for name in (b"Prm", b"Eff", b"Inh", b"Amb", b"Bnd")}
    return Credentials(
        user=Ids(*(int(word) for word in fields[b"Uid"].split())),
        group=Ids(*(int(word) for word in fields[b"Gid"].split())),
        groups=frozenset(int(word) for word in fields[b"Groups"].split()),
        permitted=sets[b"Prm"],
        effective=sets[b"Eff"],
        inheritable=sets[b"Inh"],
        ambient=sets[b"Amb"],
        bounding=sets[b"Bnd"],
        no_new_privileges=fields.get(b"NoNewPrivs") == b"1",
    )


_UNLIMITED = 2**64 - 1

_LIMITS = {
    b"cpu time": "RLIMIT_CPU",
    b"file size": "RLIMIT_FSIZE",
    b"data size": "RLIMIT_DATA",
    b"stack size": "RLIMIT_STACK",
    b"core file size": "RLIMIT_CORE",
    b"resident set": "RLIMIT_RSS",
    b"processes": "RLIMIT_NPROC",
    b"open files": "RLIMIT_NOFILE",
    b"locked memory": "RLIMIT_MEMLOCK",
    b"address space": "RLIMIT_AS",
    b"file locks": "RLIMIT_LOCKS",
    b"pending signals": "RLIMIT_SIGPENDING",
    b"msgqueue size": "RLIMIT_MSGQUEUE",
    b"nice priority": "RLIMIT_NICE",
    b"realtime priority": "RLIMIT_RTPRIO",
    b"realtime timeout": "RLIMIT_RTTIME",
}
