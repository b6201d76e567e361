"""Fuzz everything for a while: ``python -m tests.fuzz.run [INPUTS] [SEED]``; prints a table, writes build/fuzz.json.

INPUTS is the number over all targets, 100,000 if it is not given. Every input has a number of its own, from which it
can be made again: ``python -m tests.fuzz.run TARGET:NUMBER``. Exit status 1 if a promise was broken.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from tests.fuzz.targets import TARGETS

RESULT = Path(__file__).resolve().parents[2] / "build" / "fuzz.json"
DEFAULT_INPUTS = 100_000
SHARES = {"damaged_trace": 5, "damaged_line": 5, "hostile_name": 3, "odd_events": 3, "tracer_lines": 3, "addresses": 1}
"""How the inputs are shared out."""

MOST_FAILURES = 20


@dataclass
class Result:
    """What became of one target: how many inputs, which of them failed, and how many seconds it took."""

    target: str
    inputs: int
    failed: list[str]
    seconds: float


def fuzz(name: str, inputs: int, seed: int) -> Result:
    """Give a target this many inputs."""
    failed: list[str] = []
    began = time.monotonic()
    for number in range(seed, seed + inputs):
        try:
            TARGETS[name](Random(f"{name}:{number}"))
        except Exception as error:
            failed.append(f"{name}:{number}: {type(error).__name__}: {str(error)[:200]}")
            if len(failed) >= MOST_FAILURES:
                break
    return Result(name, inputs, failed, round(time.monotonic() - began, 1))


def shared_out(inputs: int) -> dict[str, int]:
    """Return the number of inputs of each target."""
    whole = sum(SHARES.values())
    return {name: -(-inputs * SHARES[name] // whole) for name in TARGETS}


def again(one: str) -> None:
    """Make one input again and show what is wrong with it."""
    name, _, number = one.partition(":")
    try:
        TARGETS[name](Random(f"{name}:{number}"))
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None
    print(f"{one}: nothing is wrong")


def main() -> int:
    """Run as the command line says."""
    words = sys.argv[1:]
    if words and ":" in words[0]:
        again(words[0])
        return 0
    inputs = int(words[0]) if words else DEFAULT_INPUTS
    seed = int(words[1]) if len(words) > 1 else 0
    results = []
    print(f"{'target':<16}{'inputs':>10}{'failed':>8}{'seconds':>9}")
    for name, share in shared_out(inputs).items():
        result = fuzz(name, share, seed)
        results.append(result)
        print(f"{result.target:<16}{result.inputs:>10,}{len(result.failed):>8}{result.seconds:>9}", flush=True)
        for line in result.failed:
            print(f"  {line}")
    RESULT.parent.mkdir(exist_ok=True)
    document = {"schema_version": 1, "seed": seed, "results": [asdict(result) for result in results]}
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{sum(result.inputs for result in results):,} inputs; written: {RESULT}")
    return int(any(result.failed for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
