"""The strace engine."""

from __future__ import annotations

import time
from types import TracebackType

from policy.behaviour import Fact
from profiler.engines.base import Assignment, Watch
from profiler.normalise.objects import MachineObjects
from profiler.normalise.recording import Normaliser
from profiler.recorders.base import Losses
from profiler.recorders.strace import StraceRecorder


class StraceWatch(Watch):
    """strace on PID 1 of the machine, or around a command; capabilities are inferred."""

    name = "strace"

    def __init__(self, assignment: Assignment) -> None:
        self._normaliser = Normaliser(
            assignment.scope,
            MachineObjects(assignment.machine),
            started=time.time(),
            phase_at=assignment.clock.at,
        )
        self._recorder = StraceRecorder(
            assignment.machine,
            self._normaliser.feed,
            decode=self._normaliser.needed_calls,
            command=assignment.command,
        )

    def __enter__(self) -> StraceWatch:
        self._recorder.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._recorder.__exit__(kind, error, traceback)
        self._normaliser.finish()

    @property
    def lines(self) -> int:
        """How many lines of trace were read."""
        return self._recorder.lines

    @property
    def losses(self) -> tuple[Losses, ...]:
        """What strace and the normaliser lost."""
        return self._recorder.losses, self._normaliser.losses

    @property
    def notes(self) -> Losses:
        """Where the looser answer was taken."""
        return self._normaliser.notes

    def facts(self) -> tuple[Fact, ...]:
        """Return all facts."""
        return self._normaliser.facts()

    def wait(self) -> int:
        """Wait for the end of the command and everything it started."""
        return self._recorder.wait()
