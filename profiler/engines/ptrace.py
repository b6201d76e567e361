"""The ptrace engine."""

from __future__ import annotations

from profiler.engines.tracing import Tracer, TracingWatch
from profiler.normalise.recording import Normaliser
from profiler.recorders.ptrace import PtraceRecorder


class PtraceWatch(TracingWatch):
    """python-ptrace in a process of its own: needs no other program than Python, and is slow."""

    name = "ptrace"

    def _make(self, normaliser: Normaliser, pids: tuple[int, ...]) -> Tracer:
        return PtraceRecorder(
            self._assignment.machine,
            normaliser.feed,
            pids=pids,
            command=self._assignment.command,
            decode=normaliser.needed_calls,
        )
