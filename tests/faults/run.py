"""Seed faults into the drop-ins of real daemons, print the table, write ``build/faults.json`` and ``docs/faults.md``.

Call: ``python -m tests.faults.run [--reuse] [USE...]``, a use being ``nginx`` or the beginning of another one's name.
Named uses replace their older outcomes, the others keep theirs. ``--reuse`` takes the drop-ins of the run before.
Exits 1 if a fault was not seen, blamed, rolled back or relaxed as it must be.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from policy import drop_in
from profiler import profile_file
from profiler.errors import ToolError
from profiler.twin import require_possible
from tests.faults.faults import FAULTS, USES
from tests.faults.page import page, row
from tests.faults.trial import Outcome, Study, try_fault
from tests.system.daemons import Daemon

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "build" / "faults.json"
PAGE = ROOT / "docs" / "faults.md"
DROP_INS = ROOT / "build" / "faults"
SCHEMA_VERSION = 1
HARDENING_TIMEOUT = 600


def main(arguments: list[str]) -> int:
    """Try the faults of all uses, or of the named ones, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make faults", description="Tries faults on real daemons.")
    parser.add_argument("uses", nargs="*", metavar="USE")
    parser.add_argument("--reuse", action="store_true", help="take the drop-ins of the run before")
    options = parser.parse_args(arguments)
    chosen = [use for use in USES if not options.uses or any(use.name.startswith(name) for name in options.uses)]
    if not chosen:
        parser.error(f"there are: {'; '.join(use.name for use in USES)}")
    try:
        require_possible()
    except ToolError as error:
        print(f"error: {error.message}\nhint:  {error.hint}", file=sys.stderr)
        return 1
    names = {use.name for use in chosen}
    outcomes: list[Outcome] = []
    for use in chosen:
        outcomes += _try_all(use, reuse=options.reuse)
        others = [one for one in read() if one.daemon not in names] if options.uses else []
        write([*others, *outcomes])
    print(f"wrote {PAGE} and {FIGURES}", file=sys.stderr)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _try_all(use: Daemon, *, reuse: bool) -> list[Outcome]:
    print(f"{use.name}: cutting its drop-in ...", file=sys.stderr, flush=True)
    study = harden(use, DROP_INS / use.name.replace(" ", "-").replace("/", "_"), reuse=reuse)
    outcomes = []
    for fault in (fault for fault in FAULTS if fault.daemon == use.name):
        began = time.monotonic()
        outcomes.append(try_fault(fault, study))
        print(f"{row(outcomes[-1])} {time.monotonic() - began:.0f} s", flush=True)
    return outcomes


def harden(use: Daemon, directory: Path, *, reuse: bool = False) -> Study:
    """Cut the drop-in as a user does. Raises SystemExit if that does not work."""
    base = use.unit.removesuffix(".service")
    profile, conf = directory / f"{base}.profile", directory / f"{base}.conf"
    if not (reuse and profile.exists() and conf.exists()):
        program = Path(sys.executable).parent / "unit-tailor"
        command = [str(program), "harden", use.unit, *use.options, "-o", str(directory), "-f"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=HARDENING_TIMEOUT, check=False)
        if done.returncode != 0:
            raise SystemExit(f"error: {use.name} could not be hardened:\n{done.stdout}{done.stderr}")
    return Study(use, drop_in.parse(conf.read_bytes()), profile_file.read_profile(profile))


def write(outcomes: Sequence[Outcome]) -> None:
    """Write both files, in the order of the faults."""
    places = {(fault.daemon, str(fault)): place for place, fault in enumerate(FAULTS)}
    known = [one for one in outcomes if (one.daemon, one.fault) in places]
    known.sort(key=lambda outcome: places[outcome.daemon, outcome.fault])
    document = {
        "schema_version": SCHEMA_VERSION,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "kernel": os.uname().release,
        "outcomes": [asdict(outcome) for outcome in known],
    }
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(known, str(document["date"])), encoding="utf-8")


def read() -> list[Outcome]:
    """Return the outcomes of an earlier run."""
    document = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    if document.get("schema_version") != SCHEMA_VERSION:
        return []
    return [_outcome(values) for values in document["outcomes"]]


def _outcome(values: Mapping[str, Any]) -> Outcome:
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Outcome(**plain)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
