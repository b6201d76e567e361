"""Whether reading keeps up with strace: time beside strace alone, lines a second of the grammar, memory."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
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
from profiler.recorders.strace_process import PIPE_BYTES
from tests.benchmarks.row import Row

NAME = "strace: recording, reading, memory"
ROOT = Path(__file__).resolve().parents[2]
TRACE = ROOT / "fixtures" / "traces" / "nginx-strace-6.1.trace.gz"
ROUNDS = 5
TURNS = 24
"""How often each way of recording the loop is measured, in short turns. strace and the loop either share a processor or
wake each other on two, which makes a factor of two and is the scheduler's choice; so the ratio is the median over many
turns, in each of which the ways are neighbours and come in another order."""

BUSY = "i=0; while [ $i -lt 6000 ]; do i=$((i + 1)); : < /etc/hostname; [ -e /nonexistent ]; cd /; done"
FEWEST_EVENTS = 60_000
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
    """Measure everything."""
    availability = strace_command.availability(Host(), ())
    if not availability.available:
        raise SystemExit(f"error: {availability.reason}")
    return [*_recording(), *_reading(), *_memory()]


def _recording() -> list[Row]:
    ways = {"alone": _strace_alone, "piped": _piped, "recorded": _recorded}
    took: dict[str, list[float]] = {name: [] for name in ways}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS):
        for name in sorted(ways, key=lambda name: (list(ways).index(name) + turn) % len(ways)):
            before = _spent()
            took[name].append(ways[name]())
            spent[name].append(_spent() - before)
    least = min(took["recorded"]) / min(took["alone"])
    return [
        Row.of("a shell loop under strace -o /dev/null", took["alone"], "s"),
        Row.of("the same, into a pipe that is only emptied", took["piped"], "s"),
        Row.of("the same, recorded", took["recorded"], "s"),
        Row.of("the pipe / strace alone", _ratios(took["piped"], took["alone"]), "times"),
        Row.of("recorded / strace alone", _ratios(took["recorded"], took["alone"]), "times", bar=1.10),
        Row("the same, the least of each", least, "times", samples=TURNS),
        Row.of(
            "in processor time of strace and the loop", _ratios(spent["recorded"], spent["alone"]), "times", bar=1.10
        ),
    ]


def _ratios(these: list[float], those: list[float]) -> list[float]:
    return [this / that for this, that in zip(these, those, strict=True)]


def _spent() -> float:
    # Processor time of all children so far: what a busy machine does not change much.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _strace_alone() -> float:
    command = [*strace_command.arguments("/dev/null"), "--", "/bin/sh", "-c", BUSY]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def _piped() -> float:
    # What writing to somebody costs strace, however fast they read.
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    command = [*strace_command.arguments(f"/proc/self/fd/{writing}"), "--", "/bin/sh", "-c", BUSY]
    began = time.perf_counter()
    process = subprocess.Popen(command, pass_fds=[writing])
    os.close(writing)
    while os.read(reading, PIPE_BYTES):
        time.sleep(0.01)
    os.close(reading)
    process.wait()
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
    if count < FEWEST_EVENTS or recorder.losses.counts:
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
