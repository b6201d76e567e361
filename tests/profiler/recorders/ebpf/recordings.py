"""Recordings of commands, for tests."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from profiler.machine import Host
from profiler.recorders.base import Losses
from profiler.recorders.ebpf.recorder import EbpfRecorder
from profiler.recorders.ebpf.records import KernelRecord, RecordKind

PROGRAMS = Path(__file__).parents[4] / "fixtures" / "programs"


@dataclass
class Taken:
    """What a recording of a command gave."""

    records: list[KernelRecord] = field(default_factory=list)
    losses: Losses = field(default_factory=Losses)
    notes: Losses = field(default_factory=Losses)
    status: int = 0

    def calls(self) -> set[str]:
        """The names of the calls that were made."""
        return {record.call for record in self.records if record.kind is RecordKind.CALL}

    def of(self, call: str, kind: RecordKind = RecordKind.PATHS) -> list[KernelRecord]:
        """The records of one call."""
        return [record for record in self.records if record.call == call and record.kind is kind]


def take(*command: str, sizes: dict[str, int] | None = None) -> Taken:
    """Record a command."""
    taken = Taken()
    with EbpfRecorder(Host(), taken.records.append, command=command, sizes=sizes) as recorder:
        taken.status = recorder.wait()
    taken.losses, taken.notes = recorder.losses, recorder.notes
    return taken


def take_program(name: str, *arguments: str, sizes: dict[str, int] | None = None) -> Taken:
    """Record one of the programs in fixtures/programs."""
    return take(sys.executable, "-I", "-S", str(PROGRAMS / name), *arguments, sizes=sizes)


def take_code(code: str, *arguments: str) -> Taken:
    """Record a few lines of Python."""
    return take(sys.executable, "-I", "-S", "-c", code, *arguments)
