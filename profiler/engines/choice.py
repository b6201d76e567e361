"""Which engine records: the one asked for, or the best that works on the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from profiler.engines.base import Assignment, Watch
from profiler.engines.ebpf import LEFT, EbpfWatch
from profiler.engines.ptrace import PtraceWatch
from profiler.engines.strace import StraceWatch
from profiler.errors import ExitCode, ToolError
from profiler.machine import Machine
from profiler.recorders import ptrace, strace_command
from profiler.recorders.base import Availability
from profiler.recorders.ebpf import availability as ebpf_availability


class Engine(StrEnum):
    """The engines by name, the best first; ``auto`` takes the first that works."""

    AUTO = "auto"
    EBPF = "ebpf"
    STRACE = "strace"
    PTRACE = "ptrace"  # slow: everything goes through one Python process


@dataclass(frozen=True)
class _Entry:
    begin: type[Watch]
    available: Callable[[Assignment], Availability]
    note: str = ""  # what the user should know before choosing it


def _strace_available(assignment: Assignment) -> Availability:
    return strace_command.availability(assignment.machine, () if assignment.command else (1,))


def _ebpf_available(assignment: Assignment) -> Availability:
    answer = _proven_ebpf(not assignment.command)
    if answer.available and assignment.in_session and not answer.lost:
        return replace(answer, lost=LEFT)
    return answer


@cache
def _proven_ebpf(needs_groups: bool) -> Availability:  # a key of the cache
    # The proof hands all programs to the kernel, which takes half a second: once for all rounds of a validation.
    return ebpf_availability.availability(needs_groups=needs_groups)


def _ptrace_available(assignment: Assignment) -> Availability:
    return ptrace.availability(assignment.machine)


REGISTRY: dict[Engine, _Entry] = {
    Engine.EBPF: _Entry(EbpfWatch, _ebpf_available),
    Engine.STRACE: _Entry(StraceWatch, _strace_available),
    Engine.PTRACE: _Entry(PtraceWatch, _ptrace_available, ptrace.SLOW),
}
"""The engines in the order in which ``auto`` tries them."""


def choose(engine: Engine, assignment: Assignment, announce: Callable[[str], None] = lambda _text: None) -> Watch:
    """Return the recording that this engine, or with ``auto`` the best that works, will make.

    What is announced and raised is as for ``select``.
    """
    return REGISTRY[select(engine, assignment, announce)].begin(assignment)


def select(engine: Engine, assignment: Assignment, announce: Callable[[str], None] = lambda _text: None) -> Engine:
    """Return which engine will record: this one, or with ``auto`` the best that works; nothing is begun.

    What ``auto`` cannot use, or leaves because it would lose something, is announced with the reason. Raises ToolError
    with the remedy if nothing works.
    """
    refused: list[tuple[Engine, Availability]] = []
    for candidate, entry in REGISTRY.items():
        if engine not in {Engine.AUTO, candidate}:
            continue
        answer = entry.available(assignment)
        if answer.available and (engine is candidate or not answer.lost):
            for other, why in refused:
                announce(f"{other} {_why_not(why)}; recording with {candidate}")
            if answer.lost:
                announce(f"{candidate} loses something here: {answer.lost}")
            if entry.note:
                announce(f"{candidate}: {entry.note}")
            return candidate
        refused.append((candidate, answer))
    raise _refusal(assignment.machine, refused)


def is_slow(engine: Engine) -> bool:
    """Whether an engine can slow a service down so much that systemd loses patience with it."""
    return REGISTRY[engine].begin.slow


def _why_not(answer: Availability) -> str:
    return f"would lose something: {answer.lost}" if answer.available else f"cannot be used: {answer.reason}"


def _refusal(machine: Machine, refused: list[tuple[Engine, Availability]]) -> ToolError:
    reasons = "; ".join(f"{engine}: {answer.reason or answer.lost}" for engine, answer in refused)
    remedies = dict(refused)
    best = remedies.get(Engine.STRACE, refused[-1][1])  # what every machine can have
    message = f"nothing can be recorded on {machine.name}: {reasons}"
    return ToolError(message, hint=best.remedy, exit_code=ExitCode.USAGE)
