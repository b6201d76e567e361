"""The figures as a page: what was measured, on what, and what did not work."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.report.outcome import Outcome, Trial
from tests.services.figures import Figure, block

Row = tuple[str, ...]
NOTHING = "–"
EXPLANATION = (Path(__file__).parent / "explanation.md").read_text(encoding="utf-8").rstrip()


def page(outcomes: Sequence[Outcome], figures: Sequence[Figure]) -> str:
    """Return docs/results.md."""
    blocks = [
        "# Results",
        "Written by `make report`; every number was measured, failures included. How to read it is below the tables.",
        "\n".join(f"- {line}" for line in _circumstances(outcomes)),
        "## In short",
        "\n".join(f"- {line}" for line in _summary(outcomes)),
        "## Exposure and soundness",
        _table(EXPOSURE, outcomes),
        "## Tightness",
        _table(TIGHTNESS, outcomes),
        "## Recording",
        _table(RECORDING, outcomes),
        *_recorders(outcomes),
        *([block(figures)] if figures else []),
        "## What did not work",
        "\n".join(f"- {line}" for line in _failures(outcomes)) or "Nothing failed.",
        EXPLANATION,
    ]
    return "\n\n".join(blocks) + "\n"


def _recorders(outcomes: Sequence[Outcome]) -> Iterable[str]:
    rows = [(one, seen) for one in outcomes for seen in one.recorders]
    if not rows:
        return
    yield "## By every recorder"
    yield (
        "The same use, recorded again in a new twin by the other recorders: what of it is denied by the drop-in made"
        " from it, and what of it by the drop-in of the level standard in the tables above."
    )
    yield "\n".join(
        [
            "| daemon | recorder | facts | lost | capabilities | denied by its own | denied by the other's | problem |",
            f"|{' --- |' * 8}",
            *(
                f"| {one.name} | {seen.recorder} | {seen.facts} | {seen.lost} | {_capabilities(seen.capabilities)} |"
                f" {seen.blocked} | {seen.crossed} | {_plain(seen.problem) or 'none'} |"
                for one, seen in rows
            ),
        ]
    )


def _circumstances(outcomes: Iterable[Outcome]) -> list[str]:
    places: dict[tuple[str, int, str], list[str]] = {}
    for one in outcomes:
        places.setdefault((one.when, one.systemd, one.kernel), []).append(one.name)
    return [
        f"{when}, systemd {systemd or 'unknown'} in a twin, kernel {kernel or 'unknown'}: {', '.join(names)}"
        for (when, systemd, kernel), names in sorted(places.items())
    ]


def _summary(outcomes: Sequence[Outcome]) -> Iterable[str]:
    sound = sum(one.levels[level].fits for one in outcomes for level in one.levels)
    yield f"{sound} of {sum(len(one.levels) for one in outcomes)} drop-ins let all of the recorded use through."
    for level in ("standard", "strict"):
        tried = [one.levels[level] for one in outcomes if level in one.levels]
        passed = sum(trial.second_done and not trial.second_problem for trial in tried)
        yield f"The second use passes under {passed} of {len(tried)} drop-ins of the level {level}."
    yield (
        f"Under the generic drop-in, the recorded use passes for {sum(one.generic.fits for one in outcomes)}"
        f" of {len(outcomes)} daemons."
    )
    for words, as_root in (("start as root", True), ("do not", False)):
        levels = [
            trial.exposure
            for one in outcomes
            if one.runs_as_root is as_root and (trial := one.levels.get("standard")) and trial.exposure is not None
        ]
        if levels:
            yield f"Median exposure of the {len(levels)} daemons that {words}: {statistics.median(levels):.1f}."
    kept = [one for one in outcomes if _standard(one).capabilities is not None]
    more = sum(len(set(_standard(one).capabilities or ()) - set(one.capabilities_used)) for one in kept)
    yield f"Capabilities kept that the kernel was not seen to ask for, over {len(kept)} daemons: {more}."


def _failures(outcomes: Iterable[Outcome]) -> Iterable[str]:
    for one in outcomes:
        if one.problem:
            yield f"**{one.name}**: {_plain(one.problem)}"
        if one.second_without:
            yield f"**{one.name}**, second use without any drop-in: {_plain(one.second_without)}"
        for level, trial in (*one.levels.items(), ("generic drop-in", one.generic)):
            yield from _failed(f"**{one.name}**, {level}", trial)


def _failed(who: str, trial: Trial) -> Iterable[str]:
    if trial.problem:
        yield f"{who}, recorded use: {_plain(trial.problem)}"
    if trial.blocked:
        yield f"{who}, blocked: {_shortened(trial.blocked)}"
    if trial.second_problem:
        cause = f"; denied: {_shortened(trial.second_blocked)}" if trial.second_blocked else "; cause not named"
        yield f"{who}, second use: {_plain(trial.second_problem)}{cause}"


def _standard(one: Outcome) -> Trial:
    return one.levels.get("standard", Trial())


def _strict(one: Outcome) -> Trial:
    return one.levels.get("strict", Trial())


def _verdict(trial: Trial) -> str:
    if trial == Trial():
        return NOTHING
    if trial.problem:
        return "**fails**"
    return f"**{len(trial.blocked)} blocked**" if trial.blocked else "ok"


def _second(one: Outcome, trial: Trial) -> str:
    if not trial.second_done:
        return NOTHING
    if one.second_without:
        return "no evidence"
    return "**fails**" if trial.second_problem else "ok"


def _number(value: float | None) -> str:
    return NOTHING if value is None else str(value)


def _overhead(one: Outcome) -> str:
    if not one.workload_seconds or one.workload_seconds_recorded is None:
        return NOTHING
    return f"{one.workload_seconds_recorded / one.workload_seconds:.2f}"


def _capabilities(names: Iterable[str] | None) -> str:
    return NOTHING if names is None else " ".join(name.removeprefix("CAP_") for name in sorted(names)) or "none"


Column = tuple[str, Callable[[Outcome], str]]

EXPOSURE: tuple[Column, ...] = (
    ("daemon", lambda one: one.name),
    ("nothing done", lambda one: _number(one.exposure_before)),
    ("generic drop-in", lambda one: _number(one.generic.exposure)),
    ("it works", lambda one: _verdict(one.generic)),
    ("standard", lambda one: _number(_standard(one).exposure)),
    ("floor", lambda one: _number(one.floor)),
    ("recorded use", lambda one: _verdict(_standard(one))),
    ("second use", lambda one: _second(one, _standard(one))),
    ("strict", lambda one: _number(_strict(one).exposure)),
    ("recorded use", lambda one: _verdict(_strict(one))),
    ("second use", lambda one: _second(one, _strict(one))),
)

TIGHTNESS: tuple[Column, ...] = (
    ("daemon", lambda one: one.name),
    ("capabilities asked for", lambda one: _capabilities(one.capabilities_used)),
    ("kept beyond these", lambda one: _capabilities(_beyond(one))),
    ("before", lambda one: _number(one.capabilities_before)),
    ("families used", lambda one: " ".join(one.families_used).replace("AF_", "") or "none"),
    ("allowed", lambda one: _standard(one).families.replace("AF_", "") or NOTHING),
    (
        "system calls used / standard / strict / before",
        lambda one: _joined(
            one.calls_used, _standard(one).calls_let_through, _strict(one).calls_let_through, one.calls_before
        ),
    ),
    (
        "writable directories standard / strict / before",
        lambda one: _joined(
            _standard(one).writable_directories, _strict(one).writable_directories, one.writable_before
        ),
    ),
)

RECORDING: tuple[Column, ...] = (
    ("daemon", lambda one: one.name),
    ("unit", lambda one: f"`{one.unit}`"),
    ("recorder", lambda one: one.recorder or NOTHING),
    ("facts", lambda one: str(one.facts)),
    ("lost", lambda one: str(one.lost)),
    ("denied by replay", lambda one: str(one.replayed_blocked)),
    ("workload, s", lambda one: _number(one.workload_seconds)),
    ("while recorded, s", lambda one: _number(one.workload_seconds_recorded)),
    ("times as long", _overhead),
    ("everything, s", lambda one: str(one.took)),
)


def _beyond(one: Outcome) -> set[str] | None:
    kept = _standard(one).capabilities
    return None if kept is None else set(kept) - set(one.capabilities_used)


def _joined(*numbers: float | None) -> str:
    return " / ".join(map(_number, numbers))


def _table(columns: tuple[Column, ...], outcomes: Iterable[Outcome]) -> str:
    rows: list[Row] = [tuple(title for title, _ in columns), ("---",) * len(columns)]
    rows += [tuple(_plain(value(one)) for _, value in columns) for one in outcomes]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _shortened(texts: Sequence[str], at_most: int = 4) -> str:
    shown = "; ".join(_plain(text) for text in texts[:at_most])
    return shown + (f"; and {len(texts) - at_most} more" if len(texts) > at_most else "")


def _plain(text: str) -> str:
    # One line, and nothing in it ends a cell.
    return " ".join(text.split()).replace("|", "\\|")
