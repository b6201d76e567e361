"""Descriptors of processes, pidfd_open(2): recorders show that one is a process's, not whose."""

from __future__ import annotations

from profiler.normalise import arguments
from profiler.normalise.sighting import Sighting
from profiler.recorders.base import Descriptor

_PREFIX = b"pidfd:"


def note(sighting: Sighting) -> None:
    """Remember which process a successful pidfd_open() named."""
    if sighting.call.result is not None:
        name = _PREFIX + b"%d" % arguments.number(sighting.argument(0))
        sighting.process.descriptors[sighting.call.result] = name


def process_of(sighting: Sighting, position: int) -> int | None:
    """Return the process that the descriptor at this position was opened for, ``None`` if that was not seen."""
    value = sighting.argument(position)
    number = value.number if isinstance(value, Descriptor) else value
    name = sighting.process.descriptors.get(number, b"") if isinstance(number, int) else b""
    return int(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
