"""Whether reading keeps up with strace: time beside strace alone, lines a second of the grammar, memory."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from profiler.machine import Host
from profiler.normalise.recording import NEEDED_CALLS
from profiler.recorders import strace_command, strace_values
from profiler.recorders.base import Losses
from profiler.recorders.strace import StraceRecorder
from profiler.recorders.strace_lines import LineReader
from tests.benchmarks.row import Row

NAME = "strace: recording, reading, memory"
ROOT = Path(__file__).resolve().parents[2]
TRACE = ROOT / "fixtures" / "traces" / "nginx-strace-6.1.trace.gz"
ROUNDS = 5
BUSY = "i=0; while [ $i -lt 10000 ]; do i=$((i + 1)); : < /etc/hostname; [ -e /nonexistent ]; cd /; done"
LINES = (100_000, 1_000_000, 10_000_000)

MEMORY = """
import gzip, itertools, json, re, sys
from profiler.recorders.base import Losses
from profiler.recorders.strace_lines import LineReader
from profiler.normalise.recording import NEEDED_CALLS

path, wanted = sys.argv[1], int(sys.argv[2])
lines = gzip.open(path).read().splitlines(keepends=True)
losses = Losses()
reader = LineReader(losses, decode=NEEDED_CALLS)
for event in reader.read(itertools.islice(itertools.cycle(lines), wanted)):
    pass
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([reader.lines, peak]))
"""


def measure() -> list[Row]:
    """Measure in turns, so that a busy machine slows both sides."""
    availability = strace_command.availability(Host(), ())
    if not availability.available:
        raise SystemExit(f"error: {availability.reason}")
    alone: list[float] = []
    recorded: list[float] = []
    spent: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        started = _spent()
        alone.append(_strace_alone())
        between = _spent()
        recorded.append(_recorded())
        spent.append((between - started, _spent() - between))
    rows = [
        Row.of("a shell loop under strace -o /dev/null", alone, "s"),
        Row.of("the same, recorded", recorded, "s"),
        Row("recorded / strace alone", min(recorded) / min(alone), "times", samples=ROUNDS, bar=1.10),
    ]
    ratio = min(after for _, after in spent) / min(before for before, _ in spent)
    rows.append(Row("the same in processor time of strace and the loop", ratio, "times", samples=ROUNDS, bar=1.10))
    rows += _reading()
    rows += _memory()
    return rows


def _spent() -> float:
    # Processor time of all children so far: what a busy machine does not change much.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _strace_alone() -> float:
    command = [*strace_command.arguments("/dev/null"), "--", "/bin/sh", "-c", BUSY]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def _recorded() -> float:
    count = 0

    def consume(_event: object) -> None:
        nonlocal count
        count += 1

    recorder = StraceRecorder(Host(), consume, command=["/bin/sh", "-c", BUSY], decode=NEEDED_CALLS)
    began = time.perf_counter()
    with recorder:
        recorder.wait()
    took = time.perf_counter() - began
    if count < 50_000 or recorder.losses.counts:
        raise SystemExit(f"error: {count} events, {recorder.losses}")
    return took


def _reading() -> list[Row]:
    repeated = gzip.decompress(TRACE.read_bytes()).splitlines(keepends=True) * 40
    rows = []
    traces = (("of a daemon's trace", repeated, 1e6 / 150_000), ("with a path never seen before", _new_paths(), None))
    for what, lines, bar in traces:
        speeds = []
        for _ in range(ROUNDS):
            strace_values.arguments.cache_clear()
            reader = LineReader(Losses(), decode=NEEDED_CALLS)
            began = time.process_time()
            for _event in reader.read(lines):
                pass
            speeds.append((time.process_time() - began) / len(lines) * 1e6)
            if reader.losses.counts:
                raise SystemExit(f"error: {reader.losses}")
        row = Row.of(f"reading a line {what}", speeds, "us", bar=bar)
        rows += [row, Row(f"lines a second {what}", round(1e6 / row.median), "lines", samples=ROUNDS)]
    return rows


def _new_paths() -> list[bytes]:
    # What find(1) does in a large tree: every line is another one, so nothing that was read before helps.
    with tempfile.NamedTemporaryFile() as file:
        find = ["find", "/usr", "-xdev", "-size", "+1G"]
        subprocess.run([*strace_command.arguments(file.name), "--", *find], check=True, stdout=subprocess.DEVNULL)
        return file.read().splitlines(keepends=True)[:200_000]


def _memory() -> list[Row]:
    rows = []
    for wanted in LINES:
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(TRACE), str(wanted)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        read, peak = json.loads(done.stdout)
        if read != wanted:
            raise SystemExit(f"error: {read} lines read instead of {wanted}")
        rows.append(Row(f"memory after {wanted:,} lines", round(peak, 1), "MB", bar=150))
    return rows
