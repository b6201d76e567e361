"""What being recorded costs a service: untraced, and by each engine, in turns, so that a busy machine slows all.

Each value is a ratio to the untraced runs just before and after. Nginx and redis run in a twin, are recorded as running
services, and are used over loopback.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from profiler import twin
from profiler.engines.base import Assignment, Watch
from profiler.engines.choice import REGISTRY, Engine
from profiler.machine import Host, Machine
from profiler.normalise.attribution import Scope
from profiler.unit.control_group import control_group
from profiler.unit.life import PhaseClock
from profiler.unit.unit import Unit
from tests.benchmarks.row import Row

NAME = "recording: how many times slower the recorded service is"
RUNS = 5
SOURCE = Path(__file__).resolve().parents[2] / "fixtures" / "programs" / "loops.c"
SETTLE = 0.3

LOOPS = {"getppid": 400_000, "open": 40_000, "fork": 300}
"""Loops of each kind that take about a tenth of a second untraced."""

SHARE = {Engine.EBPF: 1.0, Engine.STRACE: 0.02, Engine.PTRACE: 0.004}
"""How much of it is done by each engine: per loop they differ by orders of magnitude."""

LOOP_BARS = {"getppid": 3.0, "open": 2.0, "fork": 1.25}
BYSTANDER_BAR = 2.5
SERVICE_BAR = 1.1
MEMORY_BAR = 150.0

SERVICES = {
    "nginx": ("nginx", "ab -q -k -n {count} -c 4 http://127.0.0.1/index.nginx-debian.html", 30_000),
    "redis GET": ("redis-server", "redis-benchmark -q -t get -n {count} -c 20", 60_000),
    "redis SET": ("redis-server", "redis-benchmark -q -t set -n {count} -c 20", 60_000),
}
PACKAGES = ("nginx", "redis-server", "redis-tools", "apache2-utils")
SERVICE_SHARE = {Engine.EBPF: 1.0, Engine.STRACE: 0.1, Engine.PTRACE: 0.03}
_RATE = re.compile(r"(?:Requests per second:\s+|: )([\d.]+)(?: \[#/sec\]| requests per second)")

MEMORY = """
import sys
from pathlib import Path
from profiler.machine import Host
from profiler.normalise.attribution import Scope
from profiler.engines.base import Assignment
from profiler.engines.ebpf import EbpfWatch
from profiler.unit.life import PhaseClock
watch = EbpfWatch(Assignment(Host(), Scope(), PhaseClock(), command=sys.argv[1:]))
with watch:
    watch.wait()
status = Path("/proc/self/status").read_text()
print([line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")][0])
"""


def measure() -> list[Row]:
    """Measure everything."""
    engines = [engine for engine in REGISTRY if _works(engine)]
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "loops"
        subprocess.run(["cc", "-O2", "-o", program, SOURCE], check=True)
        rows = [row for kind in LOOPS for row in _loops(program, kind, engines)]
        rows += _bystander(program)
        rows += _bpftrace(program)
        rows += _memory(program)
    return rows + _services(engines)


def _works(engine: Engine) -> bool:
    return REGISTRY[engine].available(Assignment(Host(), Scope(), PhaseClock(), command=("true",))).available


def _loop(program: Path, kind: str, count: int, watch: Callable[[list[str]], Watch | None]) -> float:
    """Return the seconds that one loop takes."""
    result = program.with_name("result")
    result.unlink(missing_ok=True)
    command = [str(program), kind, str(count), str(result)]
    watching = watch(command)
    if watching is None:
        subprocess.run(command, check=True)
    else:
        with watching:
            watching.wait()
    return float(result.read_text()) / count


def _watch_command(engine: Engine) -> Callable[[list[str]], Watch]:
    return lambda command: REGISTRY[engine].begin(Assignment(Host(), Scope(), PhaseClock(), command=tuple(command)))


def _untraced(_command: list[str]) -> None:
    return None


def _loops(program: Path, kind: str, engines: list[Engine]) -> list[Row]:
    ratios: dict[Engine, list[float]] = {engine: [] for engine in engines}
    plain = [_loop(program, kind, LOOPS[kind], _untraced)]
    for _ in range(RUNS):
        for engine in engines:
            count = max(20, int(LOOPS[kind] * SHARE[engine]))
            took = _loop(program, kind, count, _watch_command(engine))
            plain.append(_loop(program, kind, LOOPS[kind], _untraced))
            ratios[engine].append(took / statistics.mean(plain[-2:]))
    bars = {Engine.EBPF: LOOP_BARS[kind]}
    return [
        Row.of(f"{kind}, untraced", [1e6 * value for value in plain], "us"),
        *(Row.of(f"{kind}, {engine}", ratios[engine], "times", bars.get(engine)) for engine in engines),
    ]


def _bystander(program: Path) -> list[Row]:
    """What every other process on the machine pays while one is recorded."""
    rows = []
    ratios = []
    before = _loop(program, "getppid", LOOPS["getppid"], _untraced)
    for _ in range(RUNS):
        with _asleep():
            took = _loop(program, "getppid", LOOPS["getppid"], _untraced)
        after = _loop(program, "getppid", LOOPS["getppid"], _untraced)
        ratios.append(took / statistics.mean((before, after)))
        before = after
    rows.append(Row.of("getppid, of a process that is not recorded, ebpf", ratios, "times", BYSTANDER_BAR))
    return rows


@contextlib.contextmanager
def _asleep() -> Iterator[None]:
    watch = _watch_command(Engine.EBPF)(["sleep", "2"])
    with watch:
        time.sleep(SETTLE)
        yield
        watch.wait()


def _bpftrace(program: Path) -> list[Row]:
    """Counting system calls with bpftrace, if it is there: the least that looking costs."""
    if shutil.which("bpftrace") is None:
        return []
    ratios = []
    script = "tracepoint:raw_syscalls:sys_enter { @[args->id] = count(); }"
    for _ in range(RUNS):
        before = _loop(program, "getppid", LOOPS["getppid"], _untraced)
        counting = subprocess.Popen(["bpftrace", "-e", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert counting.stdout is not None
            counting.stdout.readline()  # "Attaching 1 probe..."
            time.sleep(SETTLE)
            ratios.append(_loop(program, "getppid", LOOPS["getppid"], _untraced) / before)
        finally:
            counting.terminate()
            counting.communicate(timeout=30)
    return [Row.of("getppid, counted by bpftrace", ratios, "times")]


def _memory(program: Path) -> list[Row]:
    rows = []
    for millions in (1, 10):
        command = [sys.executable, "-c", MEMORY, str(program), "getppid", str(millions * 1_000_000), "/dev/null"]
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024
        rows.append(Row.of(f"memory of the recorder after {millions} million calls", [peak], "MB", MEMORY_BAR))
    return rows


def _services(engines: list[Engine]) -> list[Row]:
    with twin.up(packages=PACKAGES) as machine:
        rows = []
        for what, (name, load, count) in SERVICES.items():
            unit = Unit.load(machine, name)
            machine.run(["systemctl", "start", name])
            rows += _service(what, unit, load, count, engines)
            machine.run(["systemctl", "stop", name])
    return rows


def _service(what: str, unit: Unit, load: str, count: int, engines: list[Engine]) -> list[Row]:
    ratios: dict[Engine, list[float]] = {engine: [] for engine in engines}
    plain = [_per_request(unit.machine, load, count, nullcontext())]
    for _ in range(RUNS):
        for engine in engines:
            some = int(count * SERVICE_SHARE[engine])
            took = _per_request(unit.machine, load, some, _watch_unit(unit, engine))
            plain.append(_per_request(unit.machine, load, count, nullcontext()))
            ratios[engine].append(took / statistics.mean(plain[-2:]))
    bars = {Engine.EBPF: SERVICE_BAR}
    return [
        Row.of(f"{what}, untraced", [1e6 * value for value in plain], "us"),
        *(Row.of(f"{what}, {engine}", ratios[engine], "times", bars.get(engine)) for engine in engines),
    ]


def _watch_unit(unit: Unit, engine: Engine) -> Watch:
    clock = PhaseClock()
    scope = Scope(unit.name, unit.properties()["ControlGroup"], unit.settings().exec_lines)
    return REGISTRY[engine].begin(Assignment(unit.machine, scope, clock, control_group(unit), running=True))


def _per_request(machine: Machine, load: str, count: int, watching: AbstractContextManager[object]) -> float:
    with watching:
        time.sleep(SETTLE)
        printed = machine.run(["sh", "-c", load.format(count=count)], timeout=300).stdout.replace("\r", "\n")
    rates = _RATE.findall(printed)
    if not rates:
        raise SystemExit(f"error: {load} did not tell a rate: {printed[-200:]!r}")
    return 1 / float(rates[-1])
