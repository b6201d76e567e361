"""Those whose cost is measured: the engines, bpftrace, and being beside what the eBPF engine records."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from profiler.engines.base import Assignment, Watch
from profiler.engines.choice import REGISTRY, Engine
from profiler.machine import Host
from profiler.normalise.attribution import Scope
from profiler.unit.control_group import control_group
from profiler.unit.life import PhaseClock
from profiler.unit.unit import Unit

SETTLE = 0.3
TURNS = 5
TURNS_OF_EBPF = 15
TURNS_OF_BYSTANDER = 9
"""How often each is measured; with services some more often, since their bars are close to 1."""

COUNTING = "tracepoint:raw_syscalls:sys_enter { @[args->id] = count(); }"
# bpftrace needs a tracefs; in mounts of its own, so that nothing is left behind.
BPFTRACE = (
    "mount -t debugfs none /sys/kernel/debug; mount -t tracefs none /sys/kernel/debug/tracing 2>/dev/null;"
    f" exec bpftrace -e '{COUNTING}'"
)


@dataclass(frozen=True)
class Observer:
    """One way of being looked at: ``turns`` times, with ``share`` and ``service_share`` of the work done under it."""

    name: str
    share: float
    service_share: float
    run: Callable[[list[str]], None]
    around: Callable[[Unit], AbstractContextManager[object]]
    turns: int = TURNS


def observers() -> list[Observer]:
    """Return those that work on this machine, bystanders last."""
    shares = {Engine.EBPF: (1.0, 1.0), Engine.STRACE: (0.02, 0.1), Engine.PTRACE: (0.004, 0.03)}
    found = [_engine(engine, *shares[engine]) for engine in REGISTRY if _works(engine)]
    if shutil.which("bpftrace") is not None:
        found.append(Observer("bpftrace", 1.0, 1.0, lambda command: _within(_counted(), command), lambda _: _counted()))
    if any(observer.name == BESIDE_WHAT for observer in found):
        beside = Observer(BYSTANDER, 1.0, 1.0, lambda command: _within(_beside(), command), lambda _: _beside())
        found.append(replace(beside, turns=TURNS_OF_BYSTANDER))
    return found


BESIDE_WHAT = Engine.EBPF.value
BYSTANDER = "bystander of ebpf"


def command_watch(engine: Engine, command: list[str]) -> Watch:
    """Return the recording of a command."""
    return REGISTRY[engine].begin(Assignment(Host(), Scope(), PhaseClock(), command=tuple(command)))


def _works(engine: Engine) -> bool:
    return REGISTRY[engine].available(Assignment(Host(), Scope(), PhaseClock(), command=("true",))).available


def _engine(engine: Engine, share: float, service_share: float) -> Observer:
    def run(command: list[str]) -> None:
        with command_watch(engine, command) as watch:
            watch.wait()

    def around(unit: Unit) -> Watch:
        scope = Scope(unit.name, unit.properties()["ControlGroup"], unit.settings().exec_lines)
        assignment = Assignment(unit.machine, scope, PhaseClock(), control_group(unit), running=True)
        return REGISTRY[engine].begin(assignment)

    return Observer(engine.value, share, service_share, run, around, TURNS_OF_EBPF if engine is Engine.EBPF else TURNS)


def _within(context: AbstractContextManager[object], command: list[str]) -> None:
    with context:
        subprocess.run(command, check=True)


@contextlib.contextmanager
def _counted() -> Iterator[None]:
    counting = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", BPFTRACE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert counting.stdout is not None
        if not counting.stdout.readline().startswith(b"Attach"):  # "Attaching 1 probe..."
            raise SystemExit("error: bpftrace does not start\nhint:  run: bpftrace -e 'BEGIN { exit(); }'")
        time.sleep(SETTLE)
        yield
    finally:
        counting.terminate()
        counting.communicate(timeout=30)


@contextlib.contextmanager
def _beside() -> Iterator[None]:
    watch = command_watch(Engine.EBPF, ["sleep", "600"])
    with watch:
        try:
            time.sleep(SETTLE)
            yield
        finally:
            _end_sleep()
        watch.wait()


def _end_sleep() -> None:
    found = subprocess.run(
        ["pgrep", "--parent", str(os.getpid()), "--exact", "sleep"], capture_output=True, text=True, check=False
    )
    for number in found.stdout.split():
        os.kill(int(number), signal.SIGTERM)
