"""The strace engine."""

from __future__ import annotations

from profiler.engines.tracing import Tracer, TracingWatch
from profiler.normalise.recording import Normaliser
from profiler.recorders.strace import StraceRecorder


class StraceWatch(TracingWatch):
    """strace, which works everywhere; the service runs several times slower while it is recorded."""

    name = "strace"

    def _make(self, normaliser: Normaliser, pids: tuple[int, ...]) -> Tracer:
        return StraceRecorder(
            self._assignment.machine,
            normaliser.feed,
            pids=pids,
            command=self._assignment.command,
            decode=normaliser.needed_calls,
        )
