"""The eBPF engine."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from policy.behaviour import Fact, Phase
from profiler.engines.base import Assignment, Watch
from profiler.normalise.discovery import Discovery
from profiler.normalise.inherited import inherited_facts
from profiler.normalise.kernel_records import PHASES, KernelNormaliser
from profiler.normalise.objects import MachineObjects
from profiler.recorders.base import Losses
from profiler.recorders.ebpf.recorder import EbpfRecorder
from profiler.recorders.ebpf.records import KernelRecord

LEFT = "with PAMName= a service may be moved into the control group of a session, where it is not seen"
"""What this engine loses of a service for which PAM opens a session."""


class EbpfWatch(Watch):
    """Programs in the kernel, by control group; capabilities are those that the kernel's own checks needed."""

    name = "ebpf"

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._inherited: tuple[Fact, ...] = ()
        self._recorder = EbpfRecorder(
            assignment.machine,
            self._feed,
            group=assignment.control_group,
            members=assignment.running,
            command=assignment.command,
        )
        assignment.clock.listeners.append(self.begin)
        # The kernel checks the programs while the machine's files are listed; neither waits for what the caller does.
        self._recorder.load_ahead()
        executor = ThreadPoolExecutor(1, "ebpf list")
        self._listing = executor.submit(
            KernelNormaliser,
            assignment.scope,
            MachineObjects(assignment.machine),
            started=time.time(),
            was_member=self._was_member,
        )
        executor.shutdown(wait=False)

    def give_up(self) -> None:
        """Unload what was loaded."""
        self._recorder.stop(raising=False)

    def __enter__(self) -> EbpfWatch:
        self._normaliser = self._listing.result()
        self._recorder.set_epoch(PHASES.index(self._assignment.clock.at(time.time())))
        if self._assignment.running:
            self._normaliser.take_over(self._assignment.machine)
        self._recorder.start()
        if not self._recorder.sees_capabilities:
            self._normaliser.without_capabilities()
        if self._assignment.running:
            self._inherited = inherited_facts(self._assignment.machine, self._assignment.scope)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._assignment.running and kind is None:
            self._inherited += inherited_facts(self._assignment.machine, self._assignment.scope)
        self._recorder.__exit__(kind, error, traceback)
        self._normaliser.finish()

    @property
    def lines(self) -> int:
        """How many distinct behaviours the kernel's side sent."""
        return self._recorder.records

    @property
    def losses(self) -> tuple[Losses, ...]:
        """What the kernel's side, the reader and the normaliser lost, and what happened where nobody looked."""
        elsewhere = Losses()
        if self._assignment.in_session:
            elsewhere.add(f"{LEFT} (record it with another engine)", self._assignment.control_group)
        return self._recorder.losses, self._normaliser.losses, elsewhere

    @property
    def notes(self) -> Losses:
        """Where the looser answer was taken, and which tables were full."""
        both = (self._normaliser.notes, self._recorder.notes)
        return Losses(
            {kind: count for notes in both for kind, count in notes.counts.items()},
            {kind: sample for notes in both for kind, sample in notes.samples.items()},
        )

    @property
    def discovery(self) -> Discovery:
        """How the number of facts grew."""
        return self._normaliser.discovery

    def facts(self) -> tuple[Fact, ...]:
        """Return all facts; those observed stand for inferred ones of the same behaviour."""
        return (*self._normaliser.facts(), *self._inherited)

    def wait(self) -> int:
        """Wait for the end of the command."""
        return self._recorder.wait()

    def _feed(self, record: KernelRecord) -> None:
        self._normaliser.feed(record)

    def _was_member(self, process: int) -> bool:
        return self._recorder.was_member(process)

    def begin(self, phase: Phase) -> None:
        """Have the kernel's side mark what happens from now on with this phase."""
        self._recorder.set_epoch(PHASES.index(phase))
