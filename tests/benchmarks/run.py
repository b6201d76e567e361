"""Run the benchmarks, print a table, write ``build/bench.json``; exit 1 if a promise is not kept.

A benchmark is a module of this folder with ``NAME`` (what it measures, in words) and ``measure() -> list[Row]``.
Call: ``python -m tests.benchmarks.run [MODULE...]``
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.row import Row

FOLDER = Path(__file__).resolve().parent
RESULT = FOLDER.parent.parent / "build" / "bench.json"
NO_BENCHMARKS = frozenset({"__init__", "observers", "row", "run"})
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Result:
    """What one benchmark measured, and how long that took in seconds."""

    module: str
    name: str
    took: float
    rows: tuple[Row, ...]


def available() -> list[str]:
    """Return the names of all benchmark modules, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in NO_BENCHMARKS)


def measure(module_name: str) -> Result:
    """Run one benchmark."""
    module = importlib.import_module(f"tests.benchmarks.{module_name}")
    run: Callable[[], list[Row]] = module.measure
    started = time.monotonic()
    rows = run()
    if not rows:
        raise SystemExit(f"error: the benchmark {module_name} measured nothing")
    return Result(module_name, str(module.NAME), round(time.monotonic() - started, 1), tuple(rows))


def machine() -> dict[str, str | int]:
    """Return where this was measured: numbers mean nothing without it."""
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processors": os.cpu_count() or 0,
        "python": platform.python_version(),
    }


def table(result: Result) -> Iterable[str]:
    """Return the lines that show one result."""
    yield f"{result.name}  ({result.module}, {result.took} s)"
    width = max(len(row.what) for row in result.rows)
    for row in result.rows:
        spread = "" if row.smallest is None else f"  [{row.smallest:.3g} .. {row.largest:.3g}, n={row.samples}]"
        bar = "" if row.bar is None else f"  at most {row.bar:g}: {'ok' if row.passed else 'NOT KEPT'}"
        yield f"  {row.what:<{width}}  {row.median:10.3f} {row.unit}{spread}{bar}"


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all, and return the exit status."""
    unknown = sorted(set(arguments) - set(available()))
    if unknown:
        print(
            f"error: no such benchmark: {', '.join(unknown)}\nhint:  there are: {', '.join(available())}",
            file=sys.stderr,
        )
        return 2
    results = []
    for name in arguments or available():
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        results.append(measure(name))
        print("\n".join(table(results[-1])), flush=True)
    RESULT.parent.mkdir(exist_ok=True)
    document = {
        "schema_version": SCHEMA_VERSION,
        "machine": machine(),
        "results": [asdict(result) for result in results],
    }
    RESULT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {RESULT}", file=sys.stderr)
    return 0 if all(row.passed for result in results for row in result.rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
