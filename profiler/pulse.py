"""What a recording is at, for whoever waits for it: how much is known, how fast it grows, whether it is complete."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from profiler.engines.base import Watch
from profiler.normalise.discovery import MINUTE
from profiler.status_line import Live, span
from profiler.unit.life import PhaseClock

QUIET = 20.0
"""Seconds without a new fact after which that is worth saying."""

COMPLETE = 180.0
"""Seconds without a new fact after which a recording looks complete: what the service does now, it has done before."""


@dataclass(frozen=True)
class Pulse:
    """A recording in progress. ``lasts`` is how many seconds of serving it was told to watch, 0 if it was not told."""

    watch: Watch
    clock: PhaseClock
    lasts: float = 0.0
    began: float = field(default_factory=time.time)

    def live(self) -> Live:
        """Return the moment in words, the most important first, and how much of the time to watch is over."""
        discovery = self.watch.discovery
        quiet = time.monotonic() - discovery.latest
        recently = discovery.since(time.time() - MINUTE)
        parts = [f"{discovery.count:,} facts"]
        if quiet >= COMPLETE:
            parts.append(f"nothing new for {int(quiet // 60)} min: the recording looks complete")
        elif quiet >= QUIET:
            parts.append(f"nothing new for {span(quiet // 5 * 5)}")
        else:
            parts.append(f"{recently:,} new a minute")
        phase = (self.clock.starts[-1][1].value,) if self.clock.starts else ()
        return Live((*parts, *phase, f"{self.watch.lines:,} events"), self._fraction())

    def _fraction(self) -> float | None:
        serving = self.clock.serving_since
        return (time.time() - serving) / self.lasts if self.lasts and serving else None
