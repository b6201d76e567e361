"""Measure daemons of ``fixtures/daemons``, write ``build/report.json`` and ``docs/results.md``; exit 1 if one fails.

Call: ``python -m tests.report.run [--levels LEVEL,...] [--engine ENGINE] [DAEMON...]``. Named daemons replace their
older figures, all others keep theirs; without names everything is measured anew. The name ``services`` stands for the
small services of ``fixtures/services``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from policy.level import Level
from profiler.engines.choice import Engine
from profiler.errors import ToolError
from profiler.twin import require_possible
from tests.report.measure import Study, measure
from tests.report.outcome import Outcome, Trial
from tests.report.recorders import OTHERS, Seen
from tests.report.table import page
from tests.services.figures import Figure, measure_services
from tests.system.daemons import ALL_DAEMONS

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "build" / "report.json"
PAGE = ROOT / "docs" / "results.md"
SCHEMA_VERSION = 2
SMALL = "services"
SMALL_OTHERS = (Engine.PTRACE,)
"""Recorders that are quick enough for what takes no time anyway."""


def main(arguments: list[str]) -> int:
    """Measure, write, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make report", description="Measures the daemons of fixtures/daemons.")
    parser.add_argument("daemons", nargs="*", metavar="DAEMON", help="only these; the others keep their older figures")
    parser.add_argument("--levels", default="standard,strict", help="levels of tightness, with commas between")
    parser.add_argument("--engine", default="auto", choices=[engine.value for engine in Engine])
    parser.add_argument(
        "--others", default=",".join(OTHERS), help="recorders that look at the same use as well, with commas between"
    )
    parser.add_argument("--date", default=datetime.datetime.now(datetime.UTC).date().isoformat(), help="of the figures")
    options = parser.parse_args(arguments)
    unknown = set(options.daemons) - {daemon.name for daemon in ALL_DAEMONS} - {SMALL}
    if unknown:
        parser.error(f"no such daemon: {', '.join(sorted(unknown))}")
    try:
        require_possible()
    except ToolError as error:
        print(f"error: {error.message}\nhint:  {error.hint}", file=sys.stderr)
        return 1
    levels = tuple(map(Level, filter(None, options.levels.split(","))))
    others = tuple(map(Engine, filter(None, options.others.split(","))))
    known, figures = read(FIGURES) if options.daemons else ({}, [])
    for daemon in ALL_DAEMONS:
        if options.daemons and daemon.name not in options.daemons:
            continue
        print(f"measuring {daemon.name} ...", file=sys.stderr, flush=True)
        study = Study(daemon, levels, Engine(options.engine), _say, others)
        known[daemon.name] = measure(study, options.date)
        print(f"  {_verdict(known[daemon.name])}, {known[daemon.name].took} s", file=sys.stderr, flush=True)
        write(known.values(), figures)
    if not options.daemons or SMALL in options.daemons:
        print("studying the small services ...", file=sys.stderr, flush=True)
        figures = [
            figure
            for engine in dict.fromkeys((Engine(options.engine), *others, *(SMALL_OTHERS if others else ())))
            for figure in measure_services(engine, options.date, _say, prove=engine == options.engine)
        ]
    write(known.values(), figures)
    print(f"wrote {PAGE} and {FIGURES}", file=sys.stderr)
    failed = [*_failed_daemons(known.values()), *_failed_services(figures)]
    print("".join(f"failed: {line}\n" for line in failed), end="", file=sys.stderr)
    return 1 if failed else 0


def _failed_daemons(outcomes: Iterable[Outcome]) -> Iterable[str]:
    for outcome in outcomes:
        if _verdict(outcome) != "ok":
            yield f"{outcome.name}: {_verdict(outcome)}"
        yield from (
            f"{outcome.name}: {seen.blocked} facts of {seen.recorder} are blocked"
            for seen in outcome.recorders
            if seen.blocked
        )


def _failed_services(figures: Sequence[Figure]) -> Iterable[str]:
    # What another recorder cannot record (a tracer takes tracing away from the service) is a limit that the page names.
    for figure in figures:
        if figure.blocked:
            yield f"{figure.name}: {figure.blocked} facts of {figure.engine} are blocked"
        if figure.problem and figure.engine == figures[0].engine:
            yield f"{figure.name}: {figure.problem}"


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _verdict(outcome: Outcome) -> str:
    if outcome.problem:
        return outcome.problem
    unsound = [level for level, trial in outcome.levels.items() if not trial.fits]
    standard = outcome.levels.get("standard", Trial())
    return ", ".join(
        [
            *(f"does not fit at {level}" for level in unsound),
            *([standard.second_problem] * bool(standard.second_problem)),
        ]
    ) or ("ok" if not outcome.replayed_blocked else "denied by replay")


def write(outcomes: Iterable[Outcome], figures: Sequence[Figure]) -> None:
    """Write both files, daemons by name."""
    in_order = sorted(outcomes, key=lambda outcome: outcome.name)
    document = {
        "schema_version": SCHEMA_VERSION,
        "daemons": [asdict(outcome) for outcome in in_order],
        "services": [asdict(figure) for figure in figures],
    }
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(in_order, figures), encoding="utf-8")


def read(path: Path) -> tuple[dict[str, Outcome], list[Figure]]:
    """Return the figures of an earlier run: daemons by name, and small services; none if not of this layout."""
    if not path.is_file():
        return {}, []
    document = json.loads(path.read_text(encoding="utf-8"))
    if document.get("schema_version") != SCHEMA_VERSION:
        return {}, []
    figures = [Figure(**_tuples(values)) for values in document.get("services", ())]
    return {values["name"]: _outcome(values) for values in document["daemons"]}, figures


def _outcome(values: Mapping[str, Any]) -> Outcome:
    levels = {name: _trial(trial) for name, trial in values["levels"].items()}
    seen = [Seen(**_tuples(one)) for one in values["recorders"]]
    return Outcome(**_tuples({**values, "generic": _trial(values["generic"]), "levels": levels, "recorders": seen}))


def _trial(values: Mapping[str, Any]) -> Trial:
    return Trial(**_tuples(values))


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
