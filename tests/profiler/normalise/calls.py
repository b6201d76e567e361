"""Raw calls and a machine, made by hand, for what no test can make a real systemd do at will."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from profiler.normalise.baseline import Baseline
from profiler.normalise.ipc_objects import IpcOwner
from profiler.normalise.objects import ObjectStatus, ProcessStatus
from profiler.recorders.base import Descriptor, RawCall, Symbol, Value

HERE = Descriptor(-100, b"/")


@dataclass
class BareMachine:
    """A machine on which nothing can be looked at but what is put in: for events of a time that is gone."""

    objects: dict[bytes, ObjectStatus] = field(default_factory=dict)
    links: dict[bytes, bytes] = field(default_factory=dict)
    processes: dict[int, ProcessStatus] = field(default_factory=dict)
    groups: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    ipc: dict[tuple[str, int], IpcOwner] = field(default_factory=dict)

    def status(self, path: bytes, viewers: Sequence[int]) -> ObjectStatus | None:
        return self.objects.get(path)

    def link_target(self, path: bytes, viewers: Sequence[int]) -> bytes | None:
        return self.links.get(path)

    def born(self, path: bytes, viewers: Sequence[int]) -> float | None:
        return None

    def header(self, path: bytes, viewers: Sequence[int]) -> bytes:
        return b""

    def attribute(self, path: bytes, name: str, viewers: Sequence[int]) -> bytes | None:
        return None

    def forbids_set_uid(self, path: bytes, viewers: Sequence[int]) -> bool:
        return False

    def process(self, pid: int) -> ProcessStatus | None:
        return self.processes.get(pid)

    def control_groups(self, pid: int) -> tuple[bytes, ...]:
        return self.groups.get(pid, ())

    def hard_limits(self, pid: int) -> dict[str, int]:
        return dict(self.limits)

    def baseline(self) -> Baseline:
        return Baseline()

    def ipc_owner(self, kind: str, number: int, viewers: Sequence[int]) -> IpcOwner | None:
        return self.ipc.get((kind, number))

    def setting(self, name: str, otherwise: int) -> int:
        return otherwise


class Trace:
    """Builds raw calls with rising times."""

    def __init__(self) -> None:
        self.time = 1000.0

    def call(self, pid: int, name: str, *arguments: Value, result: int | None = 0, error: str = "") -> RawCall:
        self.time += 0.001
        return RawCall(pid, self.time, name, arguments, -1 if error else result, error)

    def opened(self, pid: int, path: bytes, flags: str = "O_RDONLY", number: int = 3) -> RawCall:
        self.time += 0.001
        target = Descriptor(number, path)
        return RawCall(pid, self.time, "openat", (HERE, path, Symbol(flags)), number, "", target)

    def forked(self, pid: int, child: int, flags: str = "SIGCHLD") -> RawCall:
        return self.call(pid, "clone", Symbol(flags), result=child)

    def executed(self, pid: int, path: bytes, error: str = "") -> RawCall:
        return self.call(pid, "execve", path, (path,), 0, error=error)
