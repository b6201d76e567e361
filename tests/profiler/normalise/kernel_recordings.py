"""Recordings of small real programs by the eBPF recorder, for the tests of what becomes of its records."""

from __future__ import annotations

import time
from collections.abc import Sequence

from profiler.machine import Host
from profiler.normalise.attribution import Scope
from profiler.normalise.kernel_records import PHASES, KernelNormaliser
from profiler.normalise.objects import MachineObjects
from profiler.recorders.ebpf.availability import availability
from profiler.recorders.ebpf.recorder import EbpfRecorder
from tests.profiler.normalise.conftest import PYTHON, Recording
from tests.requirements import require


def record_in_kernel(
    program: str,
    *arguments: str,
    interpreter: Sequence[str] = (*PYTHON, "-c"),
    missing: frozenset[str] = frozenset(),
) -> Recording:
    """Record a program, as if the kernel had not the ``missing`` hooks; skip where it does not allow it."""
    answer = availability(needs_groups=False)
    require(answer.available, f"the eBPF recorder cannot work here: {answer.reason}")
    normaliser = KernelNormaliser(Scope(), MachineObjects(Host()), started=time.time())
    recorder = EbpfRecorder(Host(), normaliser.feed, command=[*interpreter, program, *arguments], missing=missing)
    recorder.set_epoch(len(PHASES) // 4)
    with recorder:
        if not recorder.sees_capabilities:
            normaliser.without_capabilities()
        status = recorder.wait()
    losses = {**recorder.losses.counts, **normaliser.losses.counts}
    return Recording(normaliser.facts(), status, losses, normaliser.notes.counts)
