"""How long the command takes to say anything at all."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.row import Row

NAME = "start of the command line"
COMMAND = Path(sys.prefix) / "bin" / "unit-tailor"
RUNS = 15


def measure() -> list[Row]:
    """Measure ``--version`` and ``--help`` against a Python that does nothing."""
    nothing = [sys.executable, "-c", "pass"]
    return [
        Row.of("python that does nothing", _times(nothing), "ms"),
        Row.of("unit-tailor --version", _times([str(COMMAND), "--version"]), "ms", bar=500),
        Row.of("unit-tailor --help", _times([str(COMMAND), "--help"]), "ms", bar=500),
    ]


def _times(command: list[str]) -> list[float]:
    return [_milliseconds(command) for _ in range(RUNS)]


def _milliseconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - started)
