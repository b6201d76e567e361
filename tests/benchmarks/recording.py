"""What being recorded costs a service: untraced, and by each engine, in turns, so that a busy machine slows all.

Each value is a ratio to the untraced runs just before and after. Many short runs, not a few long ones: what a run is
lucky with (which of nginx's processes takes a connection, what else the machine does) is drawn anew for each, and the
median is of more. Nginx and redis run in a twin, are recorded as running services, and are used over loopback.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from profiler import twin
from profiler.machine import Machine
from profiler.unit.unit import Unit
from tests.benchmarks.observers import BESIDE_WHAT, BYSTANDER, SETTLE, TURNS, Observer, observers
from tests.benchmarks.row import Row

NAME = "recording: how many times slower the recorded service is"
SOURCE = Path(__file__).resolve().parents[2] / "fixtures" / "programs" / "loops.c"

LOOPS = {"getppid": 400_000, "open": 40_000, "fork": 300}
"""Loops of each kind that take about a tenth of a second untraced."""

LOOP_BARS = {"getppid": 3.0, "open": 2.0, "fork": 1.25}
BYSTANDER_BARS = {"getppid": 2.5, "nginx": 1.1, "redis GET": 1.1, "redis SET": 1.1}
SERVICE_BAR = 1.1
NEARNESS_BAR = 0.1
"""How far from untraced ebpf may be, as a share of how far strace is."""

MEMORY_BAR = 150.0

SERVICES = {
    "nginx": ("nginx", "ab -q -k -n {count} -c 4 http://127.0.0.1/index.nginx-debian.html", 10_000),
    "redis GET": ("redis-server", "redis-benchmark -q -t get -n {count} -c 20", 20_000),
    "redis SET": ("redis-server", "redis-benchmark -q -t set -n {count} -c 20", 20_000),
}
PACKAGES = ("nginx", "redis-server", "redis-tools", "apache2-utils")
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
    found = observers()
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "loops"
        subprocess.run(["cc", "-O2", "-o", program, SOURCE], check=True)
        rows = [row for kind in LOOPS for row in _loops(program, kind, found)]
        rows += _memory(program)
    return rows + _services(found)


def _interleaved(
    what: str,
    count: int,
    watched: Sequence[tuple[Observer, float]],
    measured: Callable[[Observer | None, int], float],
    bar: float,
) -> list[Row]:
    """Measure in turns; each ratio is to the untraced runs just before and after.

    ``watched`` are observers with how much of ``count`` is done under them; ``measured`` returns seconds for one of it.
    The turns of each are spread evenly over the whole time.
    """
    ratios: dict[str, list[float]] = {observer.name: [] for observer, _ in watched}
    plain = [measured(None, count)]
    turns = [((turn + 0.5) / one.turns, one, share) for one, share in watched for turn in range(one.turns)]
    for _, observer, share in sorted(turns, key=lambda turn: turn[0]):
        took = measured(observer, max(20, int(count * share)))
        plain.append(measured(None, count))
        ratios[observer.name].append(took / statistics.mean(plain[-2:]))
    bars = {BESIDE_WHAT: bar, BYSTANDER: BYSTANDER_BARS.get(what)}
    return [
        Row.of(f"{what}, untraced", [1e6 * value for value in plain], "us"),
        *(Row.of(f"{what}, {name}", values, "times", bars.get(name)) for name, values in ratios.items()),
    ]


def _loops(program: Path, kind: str, found: Sequence[Observer]) -> list[Row]:
    def plainly(command: list[str]) -> None:
        subprocess.run(command, check=True)

    watched = [
        (replace(one, turns=TURNS), one.share) for one in found if one.name != BYSTANDER or kind in BYSTANDER_BARS
    ]
    return _interleaved(
        kind,
        LOOPS[kind],
        watched,
        lambda observer, count: _loop(program, kind, count, observer.run if observer else plainly),
        LOOP_BARS[kind],
    )


def _loop(program: Path, kind: str, count: int, run: Callable[[list[str]], None]) -> float:
    """Return the seconds that one loop takes."""
    result = program.with_name("result")
    result.unlink(missing_ok=True)
    run([str(program), kind, str(count), str(result)])
    return float(result.read_text()) / count


def _memory(program: Path) -> list[Row]:
    rows = []
    for millions in (1, 10):
        command = [sys.executable, "-c", MEMORY, str(program), "getppid", str(millions * 1_000_000), "/dev/null"]
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024
        rows.append(Row.of(f"memory of the recorder after {millions} million calls", [peak], "MB", MEMORY_BAR))
    return rows


def _services(found: Sequence[Observer]) -> list[Row]:
    with twin.up(packages=PACKAGES) as machine:
        rows = []
        for what, (name, load, count) in SERVICES.items():
            unit = Unit.load(machine, name)
            machine.run(["systemctl", "start", name])
            rows += _service(what, unit, load, count, found)
            machine.run(["systemctl", "stop", name])
    return rows


def _service(what: str, unit: Unit, load: str, count: int, found: Sequence[Observer]) -> list[Row]:
    rows = _interleaved(
        what,
        count,
        [(one, one.service_share) for one in found],
        lambda observer, some: _per_request(
            unit.machine, load, some, observer.around(unit) if observer else nullcontext()
        ),
        SERVICE_BAR,
    )
    return rows + _nearness(what, {row.what: row.median for row in rows})


def _nearness(what: str, medians: dict[str, float]) -> list[Row]:
    ebpf, strace = medians.get(f"{what}, ebpf"), medians.get(f"{what}, strace")
    if ebpf is None or strace is None or strace <= 1:
        return []
    nearer = max(0.0, ebpf - 1) / (strace - 1)
    return [Row(f"{what}: ebpf's distance to untraced, of strace's", nearer, "times", bar=NEARNESS_BAR)]


def _per_request(machine: Machine, load: str, count: int, watching: AbstractContextManager[object]) -> float:
    with watching:
        time.sleep(SETTLE)
        printed = machine.run(["sh", "-c", load.format(count=count)], timeout=300).stdout.replace("\r", "\n")
    rates = _RATE.findall(printed)
    if not rates:
        raise SystemExit(f"error: {load} did not tell a rate: {printed[-200:]!r}")
    return 1 / float(rates[-1])
