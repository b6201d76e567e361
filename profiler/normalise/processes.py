"""The traced processes and what of each must be remembered to understand its next call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from profiler.normalise.credentials import NONE, Credentials
from profiler.normalise.executable_ranges import ExecutableRanges


class Standing(Enum):
    """What a process is to the recording."""

    MANAGER = "manager"  # PID 1 itself
    FORKED = "forked"  # forked by PID 1, has not executed its program yet: systemd's own work
    STUDIED = "studied"  # the service
    STRANGER = "stranger"  # of another unit


@dataclass
class Directories:
    """What threads with CLONE_FS share. Paths as the machine sees them; ``current`` is ``None`` when not known."""

    current: bytes | None = None
    root: bytes = b"/"
    umask: int = 0o022
    moved: bytes | None = None  # a mount that was moved to /: changing the root to it makes it the namespace's own root


@dataclass
class Process:
    """A thread, under the id that the recorder uses for it."""

    pid: int
    leader: int
    parent: int
    standing: Standing
    credentials: Credentials = field(default_factory=Credentials)
    directories: Directories = field(default_factory=Directories)
    descriptors: dict[int, bytes] = field(default_factory=dict)  # what each open number last was
    memory: ExecutableRanges = field(default_factory=ExecutableRanges)
    limits: dict[str, int] = field(default_factory=dict)  # hard limits known so far, by RLIMIT_ name
    nice: int = 0
    control_group: bytes = b""  # the last cgroup that was seen to be given to it
    exec_line: str = "ExecStart"
    program: str = "?"
    executable: bytes = b""
    mount_namespace: int = 0  # 0: the service's; else the id of the process that made its own
    pid_namespace: bool = False  # of its own: what its forks return are no numbers that the recorder uses
    children_in_pid_namespace: bool = False  # after unshare(CLONE_NEWPID)

    @property
    def studied(self) -> bool:
        """Whether what it does is what the service does."""
        return self.standing is Standing.STUDIED


_REMEMBERED = 64  # processes that ended last


class ProcessTable:
    """The living traced processes by thread id. An id that comes again is another process."""

    def __init__(self) -> None:
        self._processes: dict[int, Process] = {}
        self._members: dict[int, set[int]] = {}
        self._lately: dict[int, Process] = {}

    def lately(self, pid: int) -> Process | None:
        """Return the process with this thread id, also if it has just ended: a kill() may return after its victim."""
        return self.get(pid) or self._lately.get(pid)

    def get(self, pid: int) -> Process | None:
        """Return the process with this thread id, if it is known and alive."""
        return self._processes.get(pid)

    def __iter__(self) -> Iterator[Process]:
        return iter(list(self._processes.values()))

    def __len__(self) -> int:
        return len(self._processes)

    def add(self, process: Process) -> Process:
        """Add a process, in the place of a former one with the same id."""
        self.end(process.pid)
        self._lately.pop(process.pid, None)
        self._processes[process.pid] = process
        self._members.setdefault(process.leader, set()).add(process.pid)
        return process

    def fork(self, parent: Process, pid: int, shared: frozenset[str]) -> Process:
        """Add a child of ``parent`` that shares what the CLONE_ flags in ``shared`` say, and has copies of the rest."""
        thread = "CLONE_THREAD" in shared
        standing = Standing.FORKED if parent.standing is Standing.MANAGER and not thread else parent.standing
        child = replace(
            parent,
            pid=pid,
            leader=parent.leader if thread else pid,
            parent=parent.parent if thread or "CLONE_PARENT" in shared else parent.leader,
            standing=standing,
            directories=parent.directories if "CLONE_FS" in shared else replace(parent.directories),
            descriptors=parent.descriptors if "CLONE_FILES" in shared else dict(parent.descriptors),
            memory=parent.memory if "CLONE_VM" in shared else parent.memory.copy(),
            limits=parent.limits if thread else dict(parent.limits),
        )
        if standing is Standing.FORKED and parent.standing is Standing.MANAGER:
            child.control_group = b""
        _enter_namespaces(child, shared)
        return self.add(child)

    def end(self, pid: int) -> None:
        """Forget a process that ended."""
        process = self._processes.pop(pid, None)
        if process is None:
            return
        self._lately[pid] = process
        if len(self._lately) > _REMEMBERED:
            del self._lately[next(iter(self._lately))]
        members = self._members.get(process.leader, set())
        members.discard(pid)
        if not members:
            self._members.pop(process.leader, None)

    def supersede(self, pid: int, leader: int) -> None:
        """Let thread ``pid``, which executed a program, go on under its leader's id."""
        process = self._processes.get(pid)
        if process is not None and pid != leader:
            self.end(pid)
            self.add(replace(process, pid=leader, leader=leader))

    def threads(self, leader: int) -> list[Process]:
        """Return the known threads of a thread group."""
        return [self._processes[pid] for pid in sorted(self._members.get(leader, ()))]


def _enter_namespaces(child: Process, flags: frozenset[str]) -> None:
    if "CLONE_NEWUSER" in flags:
        child.credentials = replace(child.credentials, in_user_namespace=True, ambient=NONE)
    if "CLONE_NEWNS" in flags:
        child.mount_namespace = child.pid
    if "CLONE_NEWPID" in flags or child.children_in_pid_namespace:
        child.pid_namespace = True
    if "CLONE_THREAD" not in flags:
        child.children_in_pid_namespace = False
