"""The results as a file for machines, ``build/conformance.json``, and as a page for people, ``docs/conformance.md``."""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy.directives.base import all_directives
from tests.conformance import call_probes, privilege_probes
from tests.conformance.cases import CANNOT_START, NEEDS_MORE
from tests.conformance.comparison import Pair, Verdict

if TYPE_CHECKING:
    from tests.conformance.run import Findings

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SHOWN = 2000

Row = dict[str, Any]
Document = dict[str, dict[str, Any]]
"""What is kept of each version, by its number: the rows of the directives, and what cannot be falsified."""

PREFACE = """\
# Conformance: the model against real systemds

Made by `make conformance`; do not edit. In twins with the systemd of Debian 12, 13 and the next Debian, a probe process
runs as a unit, first without any setting and then under each value of each directive and under random combinations of
the directives about paths. Everything that it does is a fact in the vocabulary of profiles, and what happens to it is
compared with what `Sandbox.judge` says: the same outcome as before, or the denial with its errno or signal.

A *pair* is a setting (or combination) and a probe, by one user (root, or a user without privileges); *denied* are those
of them in which the setting really changed the outcome. *Explained* pairs differ for a reason that lies in what a fact
can say; the reasons are listed below. A pair that differs without a reason fails the run.
"""


def write(found: Sequence[Findings]) -> None:
    """Write both files. Of versions and directives that were not tried this time the old numbers stay."""
    path = REPOSITORY / "build" / "conformance.json"
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document: Document = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for findings in found:
            kept = document.setdefault(str(findings.version), {"directives": {}})
            kept["directives"] |= {name: _row(name, findings) for name in findings.tried}
            kept["not falsifiable"] = findings.gaps
        path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        page = "\n".join(_page(dict(sorted(document.items())))) + "\n"
        (REPOSITORY / "docs" / "conformance.md").write_text(page, encoding="utf-8")


def _row(directive: str, findings: Findings) -> Row:
    pairs = [pair for pair in findings.pairs if pair.directive == directive]
    counts = Counter(pair.verdict for pair in pairs)
    return {
        "pairs": len(pairs),
        "distinct": distinct(pairs),
        **{verdict.value: counts[verdict] for verdict in Verdict},
        "denied": sum(pair.verdict is Verdict.AGREED and pair.denial is not None for pair in pairs),
        "reasons": dict(Counter(pair.reason for pair in pairs if pair.verdict is Verdict.EXPLAINED)),
        "did not start": {label: why for (name, label), why in findings.not_started.items() if name == directive},
        "never denied": list(never_denied(directive, pairs)),
        "disagreements": [pair.line() for pair in pairs if pair.verdict is Verdict.DISAGREED][:SHOWN],
    }


def distinct(pairs: Iterable[Pair]) -> int:
    """Return the number of different settings and facts, whoever the user."""
    return len({(pair.label, pair.probe.name.replace("/own", "")) for pair in pairs})


def never_denied(directive: str, pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield the values under which nothing was denied although the directive denies something: not falsified here."""
    kind = all_directives().get(directive)
    if kind is None or not kind.denied_examples:
        return
    denied = {
        pair.label
        for pair in pairs
        if pair.denial is not None and (pair.verdict is Verdict.AGREED or pair.after[0] != pair.before[0])
    }
    yield from (label for label in dict.fromkeys(pair.label for pair in pairs) if label not in denied)


def _page(found: Document) -> Iterator[str]:
    yield PREFACE
    yield from _overview(found)
    yield from _directives(found)
    yield from _reasons(found)
    yield from _gaps(found)


def _overview(found: Document) -> Iterator[str]:
    yield "## Versions\n"
    yield "| systemd | pairs | distinct settings and facts | denied | agreed | explained | disagreed |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for version, summary in found.items():
        columns = ("pairs", "distinct", "denied", *(verdict.value for verdict in Verdict))
        numbers = (sum(row[column] for row in summary["directives"].values()) for column in columns)
        yield f"| {' | '.join(map(str, (version, *numbers)))} |"


def _directives(found: Document) -> Iterator[str]:
    yield "\n## Directives\n\nPairs, and in brackets how many of them were denied; `+n` are explained.\n"
    yield f"| directive | {' | '.join(found)} |"
    yield f"|---|{'--:|' * len(found)}"
    for name in (*all_directives(), "combinations of paths"):
        cells = [_cell(summary["directives"].get(name)) for summary in found.values()]
        if any(cell != "-" for cell in cells):
            yield f"| {name} | {' | '.join(cells)} |"


def _cell(row: Row | None) -> str:
    if not row or not row["pairs"]:
        return "-"
    explained = f" +{row['explained']}" if row["explained"] else ""
    wrong = f" **{row['disagreed']} disagreed**" if row["disagreed"] else ""
    return f"{row['pairs']} ({row['denied']}){explained}{wrong}"


def _reasons(found: Document) -> Iterator[str]:
    yield "\n## Explained differences\n"
    numbers: dict[str, Counter[str]] = {}
    for version, summary in found.items():
        for row in summary["directives"].values():
            for reason, number in row["reasons"].items():
                numbers.setdefault(reason, Counter())[version] += number
    for reason, counts in sorted(numbers.items()):
        yield f"- {reason} ({', '.join(f'{number} on {version}' for version, number in sorted(counts.items()))})"


def _gaps(found: Document) -> Iterator[str]:
    yield "\n## What could not be falsified\n\nCapabilities that no action in a twin can show:\n"
    yield from (f"- {name}: {why}" for name, why in privilege_probes.NOT_SHOWN.items())
    yield "\nSystem calls that are not made:\n"
    yield from (f"- {name}: {why}" for name, why in call_probes.NOT_CALLED.items())
    yield "\nFilters under which no program can be started:\n"
    yield from (f"- `SystemCallFilter={value}`: {why}" for value, why in CANNOT_START.items())
    yield "\nValues that a small system has not got what they need for:\n"
    yield from (f"- `{name}={value}`: {why}" for (name, value), why in NEEDS_MORE.items())
    for version, summary in found.items():
        yield f"\n### systemd {version}\n\nProbes that show nothing on this machine:\n"
        yield from (f"- {name}: {why}" for name, why in summary["not falsifiable"].items())
        rows = summary["directives"].values()
        yield from _listed("Settings under which the unit does not start:", [row["did not start"] for row in rows])
        silent = [dict.fromkeys(row["never denied"], "") for row in rows]
        yield from _listed("Settings under which no probe was denied, so that only what they allow was shown:", silent)


def _listed(heading: str, parts: Iterable[Mapping[str, str]]) -> Iterator[str]:
    entries = [f"- `{label}`{f': {why}' if why else ''}" for part in parts for label, why in part.items()]
    if entries:
        yield f"\n{heading}\n"
        yield from entries
