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
from tests.conformance.cases import CANNOT_START
from tests.conformance.comparison import Pair, Verdict

if TYPE_CHECKING:
    from tests.conformance.run import Findings

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SHOWN = 2000

Summaries = dict[str, dict[str, Any]]
"""What is kept of each version, by its number."""

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


def write(found: Sequence[Findings], *, is_whole: bool) -> None:
    """Write the numbers, and if they are whole the page. Versions that were not tried now keep their numbers."""
    path = REPOSITORY / "build" / ("conformance.json" if is_whole else "conformance-part.json")
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document: Summaries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        document |= {str(findings.version): _summary(findings) for findings in found}
        path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        if is_whole:
            page = "\n".join(_page(dict(sorted(document.items())))) + "\n"
            (REPOSITORY / "docs" / "conformance.md").write_text(page, encoding="utf-8")


def _summary(findings: Findings) -> dict[str, Any]:
    rows = {name: dict(counts) for name, counts in _by_directive(findings.pairs).items()}
    return {
        "pairs": len(findings.pairs),
        "distinct": distinct(findings.pairs),
        "verdicts": dict(Counter(pair.verdict.value for pair in findings.pairs)),
        "seconds": round(findings.seconds),
        "directives": rows,
        "explained": dict(Counter(pair.reason for pair in findings.pairs if pair.verdict is Verdict.EXPLAINED)),
        "not tried": findings.not_tried,
        "never denied": list(never_denied(findings)),
        "disagreements": [pair.line() for pair in findings.pairs if pair.verdict is Verdict.DISAGREED][:SHOWN],
    }


def distinct(pairs: Iterable[Pair]) -> int:
    """Return the number of different settings and facts, whoever the user."""
    return len({(pair.label, pair.probe.name.replace("/own", "")) for pair in pairs})


def _by_directive(pairs: Iterable[Pair]) -> dict[str, Counter[str]]:
    rows: dict[str, Counter[str]] = {}
    for pair in pairs:
        row = rows.setdefault(pair.directive, Counter())
        row["pairs"] += 1
        row[pair.verdict.value] += 1
        row["denied"] += pair.verdict is Verdict.AGREED and pair.denial is not None
    return rows


def never_denied(findings: Findings) -> Iterator[str]:
    """Yield the values under which nothing was denied although the directive denies something: not falsified here."""
    denying = {name for name, kind in all_directives().items() if kind.denied_examples}
    denied: Counter[str] = Counter()
    for pair in findings.pairs:
        changed = pair.denial is not None and (pair.verdict is Verdict.AGREED or pair.after[0] != pair.before[0])
        denied[pair.label] += pair.directive in denying and changed
    labels = dict.fromkeys(pair.label for pair in findings.pairs if pair.directive in denying)
    yield from (label or "(nothing)" for label in labels if not denied[label])


def _page(found: Summaries) -> Iterator[str]:
    yield PREFACE
    yield from _overview(found)
    yield from _directives(found)
    yield from _reasons(found)
    yield from _gaps(found)


def _overview(found: Summaries) -> Iterator[str]:
    yield "## Versions\n"
    yield "| systemd | pairs | distinct settings and facts | agreed | explained | disagreed |"
    yield "|--:|--:|--:|--:|--:|--:|"
    for version, summary in found.items():
        numbers = (summary["verdicts"].get(verdict.value, 0) for verdict in Verdict)
        yield f"| {' | '.join(map(str, (version, summary['pairs'], summary['distinct'], *numbers)))} |"


def _directives(found: Summaries) -> Iterator[str]:
    yield "\n## Directives\n\nPairs, and in brackets how many of them were denied; `+n` are explained.\n"
    yield f"| directive | {' | '.join(found)} |"
    yield f"|---|{'--:|' * len(found)}"
    for name in (*all_directives(), "combinations of paths"):
        cells = [_cell(summary["directives"].get(name, {})) for summary in found.values()]
        if any(cell != "-" for cell in cells):
            yield f"| {name} | {' | '.join(cells)} |"
    tried = {name for summary in found.values() for name in summary["directives"]}
    missing = [name for name in all_directives() if name not in tried]
    if missing:
        yield f"\nNot tried: {', '.join(missing)}."


def _cell(counts: Mapping[str, int]) -> str:
    if not counts:
        return "-"
    explained = f" +{counts['explained']}" if counts.get("explained") else ""
    wrong = f" **{counts['disagreed']} disagreed**" if counts.get("disagreed") else ""
    return f"{counts['pairs']} ({counts['denied']}){explained}{wrong}"


def _reasons(found: Summaries) -> Iterator[str]:
    yield "\n## Explained differences\n"
    for reason in sorted({reason for summary in found.values() for reason in summary["explained"]}):
        numbers = {version: summary["explained"].get(reason, 0) for version, summary in found.items()}
        counted = ", ".join(f"{number} on {version}" for version, number in numbers.items() if number)
        yield f"- {reason} ({counted})"


def _gaps(found: Summaries) -> Iterator[str]:
    yield "\n## What could not be falsified\n\nCapabilities that no action in a twin can show:\n"
    yield from (f"- {name}: {why}" for name, why in privilege_probes.NOT_SHOWN.items())
    yield "\nSystem calls that are not made:\n"
    yield from (f"- {name}: {why}" for name, why in call_probes.NOT_CALLED.items())
    yield "\nFilters under which no program can be started:\n"
    yield from (f"- `SystemCallFilter={value}`: {why}" for value, why in CANNOT_START.items())
    for version, summary in found.items():
        yield f"\n### systemd {version}\n"
        for name, why in summary["not tried"].items():
            yield f"- {name}: {why}"
        if summary["never denied"]:
            yield "\nSettings under which no probe was denied, so that only what they allow was shown:\n"
            yield from (f"- `{label}`" for label in summary["never denied"])
