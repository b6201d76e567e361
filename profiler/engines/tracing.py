"""The engines that trace every call: a tracer, and the normaliser that makes facts of what it saw."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol

from policy.behaviour import Fact, PrivilegeGained
from profiler.engines.base import Assignment, Watch
from profiler.normalise.discovery import Discovery
from profiler.normalise.inherited import inherited_facts
from profiler.normalise.objects import MachineObjects
from profiler.normalise.presence import running
from profiler.normalise.recording import Normaliser
from profiler.recorders import strace_command
from profiler.recorders.base import Losses

LATE = "process of the unit that ran untraced"
UNPRIVILEGED = "program that runs without its privileges, because the tracer may not trace it with them"


class Tracer(Protocol):
    """What the recorders of raw calls have in common."""

    losses: Losses

    @property
    def lines(self) -> int:
        """How many events were read."""

    def start(self) -> None:
        """Begin; returns when everything asked for is traced."""

    def stop(self) -> None:
        """End, and hand over what is left."""

    def wait(self) -> int:
        """Wait for the end of the command."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, whatever happened."""


class TracingWatch(Watch):
    """A tracer on PID 1 of the machine, or around a command; capabilities are inferred.

    Of a unit that runs already, all processes are traced as well, and their state is taken over from /proc.
    """

    slow = True

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._objects = MachineObjects(assignment.machine)
        self._normaliser = Normaliser(
            assignment.scope, self._objects, started=time.time(), phase_at=assignment.clock.at
        )
        self._present = self._members() if assignment.running else []
        self._inherited: tuple[Fact, ...] = ()
        self._tracer = self._make(self._normaliser, (1, *self._present))

    def _make(self, normaliser: Normaliser, pids: tuple[int, ...]) -> Tracer:
        raise NotImplementedError

    def __enter__(self) -> TracingWatch:
        if self._assignment.running:
            self._normaliser.take_over(self._assignment.machine, self._present)
        self._tracer.start()
        if self._assignment.running:
            self._inherited = inherited_facts(self._assignment.machine, self._assignment.scope)
            self._count_late()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tracer.__exit__(kind, error, traceback)
        self._normaliser.finish()
        self._count_weakened()

    @property
    def lines(self) -> int:
        """How many events were read."""
        return self._tracer.lines

    @property
    def losses(self) -> tuple[Losses, ...]:
        """What the tracer and the normaliser lost."""
        return self._tracer.losses, self._normaliser.losses

    @property
    def notes(self) -> Losses:
        """Where the looser answer was taken."""
        return self._normaliser.notes

    @property
    def discovery(self) -> Discovery:
        """How the number of facts grew."""
        return self._normaliser.discovery

    def facts(self) -> tuple[Fact, ...]:
        """Return all facts."""
        return (*self._normaliser.facts(), *self._inherited)

    def wait(self) -> int:
        """Wait for the end of the command and everything it started."""
        return self._tracer.wait()

    def _members(self) -> list[int]:
        scope = self._assignment.scope
        return running(
            self._assignment.machine, lambda pid: any(map(scope.includes, self._objects.control_groups(pid)))
        )

    def _count_weakened(self) -> None:
        # Under a tracer without CAP_SYS_PTRACE, execve(2) ignores set-uid bits and file capabilities.
        if not strace_command.may_trace_others():
            for fact in self._normaliser.facts():
                if isinstance(fact.behaviour, PrivilegeGained):
                    self._tracer.losses.add(UNPRIVILEGED, fact.behaviour.path)

    def _count_late(self) -> None:
        # Born between our look at the unit and the tracer's arrival, from a process that was not traced yet.
        for pid in self._members():
            found = strace_command.tracers(self._assignment.machine, pid)
            if found and not all(found):
                self._tracer.losses.add(LATE, f"pid {pid}")
