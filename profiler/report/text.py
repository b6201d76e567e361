"""The report as lines for a terminal: the same tables as on the page, without the drawing."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from policy.report.model import Course, Line, Opening, Place, Report
from profiler.report.curve import curve
from profiler.status_line import columns_of
from profiler.terminal import printable

INDENT = "  "


def lines(report: Report, columns: int = 0) -> list[str]:
    """Return the report, each line printable; with ``columns`` those that are longer go on below, indented."""
    sections = [
        ("", _summary(report)),
        ("LEFT OPEN", _openings(report.openings)),
        (f"DROP-IN ({report.drop_in})", _drop_in(report.lines)),
        ("PATHS (small: done; in brackets: allowed, not done)", _tree(report.places)),
        ("SYSTEM CALLS", _calls(report)),
        ("CAPABILITIES", _capabilities(report)),
        ("SOCKETS", _sockets(report)),
        ("PROCESSES", _processes(report)),
        ("RECORDINGS", _courses(report)),
        ("ADVICE", report.advice),
    ]
    shown: list[str] = []
    for title, content in sections:
        body = [part for line in content for part in _wrapped(printable(line), columns)]
        if body:
            shown += [*([""] if shown else []), *([title] if title else []), *body]
    return shown


def table(rows: Iterable[Sequence[str]], *, indent: str = INDENT) -> list[str]:
    """Return rows with their columns one below the other; the last column is as long as it is."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(columns_of, column)) for column in zip(*(row[:-1] for row in cells), strict=True)]
    return [
        indent
        + INDENT.join([*(_padded(cell, width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in cells
    ]


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - columns_of(cell))


def _wrapped(line: str, columns: int) -> list[str]:
    if columns <= 0 or columns_of(line) <= columns:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(
        line.strip(),
        columns,
        initial_indent=indent,
        subsequent_indent=indent + INDENT,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )


def _summary(report: Report) -> Iterator[str]:
    levels = report.levels
    yield f"{report.unit} with {report.drop_in}, on systemd {report.systemd}"
    yield ""
    capabilities = sum(one.allowed for one in report.capabilities.kept)
    yield from table(
        [
            ("exposure", f"{levels.before} {levels.before_word} -> {levels.after} {levels.after_word}"),
            ("lowest possible", f"{levels.floor} for what was recorded, {levels.kind_floor} for {levels.kind}"),
            ("replay", f"{report.replay.judged} facts, {len(report.replay.blocked)} blocked"),
            ("system calls", f"{report.calls.used} used, {report.calls.allowed} of {report.calls.known} allowed"),
            ("capabilities", f"{capabilities} left"),
        ]
    )
    yield from (f"{INDENT}blocked: {words}" for words in report.replay.blocked)
    yield from (f"{INDENT}note: {remark}" for remark in report.remarks)


def _openings(openings: Sequence[Opening]) -> Iterator[str]:
    for one in openings:
        cost = f"{one.cost:.2f}" if one.cost else "-"
        yield f"{INDENT}{cost:>5}  {one.directive}: {' '.join(one.values)}"
        details = [*one.reasons, *([f"... and {one.more} more"] if one.more else [])]
        details += [f"price: {one.price}"] if one.price else []
        details += [one.remark] if one.remark else []
        yield from (f"{INDENT * 5}{line}" for line in details)


def _drop_in(settings: Sequence[Line]) -> Iterator[str]:
    for line in settings:
        yield f"{INDENT}{line.name}={line.value}"
        notes = [*filter(None, [line.summary, line.remark]), *line.reasons, *(f"BLOCKS: {one}" for one in line.blocks)]
        yield from (f"{INDENT * 3}{note}" for note in notes)


def _tree(place: Place, depth: int = 1) -> Iterator[str]:
    letters = "".join(
        letter if letter in place.used else f"({letter})" if letter in place.allowed else "-" for letter in "rwx"
    )
    missing = "  missing" if place.missing else ""
    yield f"{letters:<9}{INDENT * depth}{place.name}{missing}"
    for child in place.children:
        yield from _tree(child, depth + 1)


def _calls(report: Report) -> list[str]:
    rows = [("group", "used", "allowed besides", "blocked", "what was used")]
    rows += [
        (group.name, str(len(group.used)), str(len(group.allowed)), str(len(group.blocked)), " ".join(group.used))
        for group in report.calls.groups
    ]
    return table(rows)


def _capabilities(report: Report) -> Iterator[str]:
    for one in report.capabilities.kept:
        used = f"used {len(one.evidence) + one.more} times" if one.evidence else "not used"
        yield f"{INDENT}{one.name}: {'left' if one.allowed else 'taken away'}, {used}"
        yield from (f"{INDENT * 3}{words}" for words in one.evidence)
        if one.more:
            yield f"{INDENT * 3}... and {one.more} more"
    yield f"{INDENT}taken away: {' '.join(report.capabilities.dropped) or 'none'}"


def _sockets(report: Report) -> Iterator[str]:
    for one in report.sockets:
        yield f"{INDENT}{one.family} {one.type} ({', '.join(one.exec_lines)}): {'' if one.allowed else 'BLOCKED '}"
        yield from (f"{INDENT * 3}{address}" for address in one.addresses)
        if one.more:
            yield f"{INDENT * 3}... and {one.more} more"


def _processes(report: Report) -> list[str]:
    rows: list[tuple[str, ...]] = [("Exec line", "facts", "users", "phases", "executed")]
    rows += [
        (
            one.kind,
            str(one.facts) if one.facts else one.ran.value,
            " ".join(map(str, one.users)),
            " ".join(one.phases),
            " ".join(one.executed or one.programs),
        )
        for one in report.exec_lines
    ]
    programs = [("program", "facts", "users", "Exec lines")]
    programs += [
        (one.name, str(one.facts), " ".join(map(str, one.users)), " ".join(one.exec_lines)) for one in report.programs
    ]
    return [*table(rows), "", *table(programs)]


def _courses(report: Report) -> list[str]:
    rows: list[tuple[str, ...]] = [("recorder", "workload", "ended", "took", "90 % known after", "phases")]
    rows += [_course(one) for one in report.courses]
    shares = [("phase", "facts", "new")]
    shares += [(one.phase, str(one.facts), str(one.new)) for one in report.phases]
    return [*table(rows), "", *table(shares)]


def _course(course: Course) -> tuple[str, ...]:
    drawn = curve(course)
    phases = ", ".join(f"{band.phase} {band.took}" for band in drawn.bands) if drawn else ""
    took, settled = (drawn.duration, drawn.settled) if drawn else ("unknown", "unknown")
    return (course.recorder, course.workload, course.ending, took, settled, phases)
