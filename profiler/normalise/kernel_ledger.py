"""What the handlers are given where the kernel itself has told what other recorders have to work out."""

from __future__ import annotations

from collections.abc import Callable

from policy.behaviour import FileKind
from profiler.normalise.attribution import Scope
from profiler.normalise.objects import ObjectView
from profiler.normalise.owner import kind_of
from profiler.normalise.ownership import Ownership
from profiler.normalise.paths import Resolved
from profiler.normalise.processes import Process, ProcessTable, Standing
from profiler.normalise.sighting import Sighting
from profiler.recorders.ebpf.records import KernelRecord, Mark

_DEEPEST = 64  # generations of processes that are followed to a known one


class CompleteSighting(Sighting):
    """A call whose capability checks the kernel has shown: none is inferred from what the call was."""

    traced = False
    infers = False

    def needs(self, capability: str, reason: str) -> None:
        """Infer nothing."""

    def needs_one(self, capabilities: tuple[str, ...], reason: str) -> None:
        """Infer nothing."""


class KernelOwnership(Ownership):
    """Knows of the object at hand what its record says: whether this open made it, and what it is."""

    _record: KernelRecord | None = None

    def shows(self, record: KernelRecord | None) -> None:
        """Note the record that is worked on."""
        self._record = record

    def was_created(self, process: Process, place: Resolved, time: float) -> bool | None:
        """Return what the kernel said of this open."""
        if self._record is not None and self._record.found is not None:
            return Mark.CREATED in self._record.marks
        return super().was_created(process, place, time)

    def kind(self, process: Process, real: bytes) -> tuple[FileKind, str]:
        """Return type and device of an object, as they were at the time if the record has them."""
        record = self._record
        if record is not None and record.found is not None and record.found.path == real and record.mode:
            kind = kind_of(record.mode)
            if kind in {FileKind.CHARACTER, FileKind.BLOCK}:
                return kind, f"{record.device >> 20}:{record.device & 0xFFFFF}"
            return kind, ""
        return super().kind(process, real)


class FollowedProcesses(ProcessTable):
    """The processes of the service: those that records came from, and those that are in its control group."""

    def __init__(self, objects: ObjectView, scope: Scope, was_member: Callable[[int], bool]) -> None:
        super().__init__()
        self._was_member = was_member
        self._objects = objects
        self._scope = scope
        self._leaders: set[int] = set()

    def followed(self, process: Process) -> None:
        """Note that records come from this process."""
        self._leaders.add(process.leader)

    def get(self, pid: int) -> Process | None:
        """Return the process with this id, ``None`` if it is not one of the service's as far as can be seen now."""
        known = super().get(pid)
        if known is not None:
            return known
        if pid not in self._leaders and not self._was_member(pid) and not self.is_member(pid):
            return None
        process = Process(pid, pid, 0, Standing.STUDIED)
        status = self._objects.process(pid)
        if status is not None:
            process.leader, process.parent, process.credentials = status.leader, status.parent, status.credentials
        return process

    def is_member(self, pid: int) -> bool:
        """Whether a living process belongs to what is studied, as far as its control group or its parents tell."""
        if not self._scope.is_command:
            return any(self._scope.includes(group) for group in self._objects.control_groups(pid))
        # Of a command: whatever descends from a process that is known to be its own.
        for _ in range(_DEEPEST):
            status = self._objects.process(pid)
            if status is None or status.parent <= 1:
                return False
            if status.leader in self._leaders or status.parent in self._leaders:
                return True
            pid = status.parent
        return False
