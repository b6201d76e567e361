"""The table of the seeded faults: a line on the terminal, a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.faults.trial import Outcome

HEAD = """# Seeded faults

Written by `make faults`: the drop-in that `harden` cut for a real daemon is made wrong in one place, and validated in a
fresh twin with the recorded use. What must happen then:

- **seen**: validation does not fit: something was blocked, or the service or its workload failed;
- **blamed**: the line with the fault is blamed, and no other line of the drop-in;
- **rolled back**: after every validation the unit is as it was found, with the same configuration, and nothing of ours
  is left; it runs under its own settings;
- **relaxed by the least**: with relaxing on, a drop-in is found that fits, and no setting of it allows more than the
  drop-in before the fault, in the terms of the model.

"Validations" are the test restarts that all of this took; where the model knows the answer, two: one that sees the
fault, and one of the relaxed drop-in. More are those of the search by restarts, for settings that no model knows.
"""


def row(outcome: Outcome) -> str:
    """Return one line for the terminal."""
    verdict = "ok    " if outcome.passed else "NOT OK"
    words = f"{verdict} {outcome.daemon} | {outcome.fault} | {outcome.seen or 'not seen'}"
    words += f" | blamed{'' if outcome.blamed_rightly else ' WRONGLY'}: {'; '.join(outcome.blamed) or 'nobody'}"
    words += f" | {'; '.join(outcome.changes) or 'nothing changed'}"
    words += f" | looser: {', '.join(outcome.looser)}" if outcome.looser else ""
    words += "" if outcome.fits_then else " | DOES NOT FIT THEN"
    words += "" if outcome.rolled_back else " | NOT ROLLED BACK"
    words += f" | {outcome.problem}" if outcome.problem else ""
    return f"{words} | {outcome.restarts} validations,"


def page(outcomes: Sequence[Outcome], date: str) -> str:
    """Return the page, in Markdown."""
    return "\n".join(_lines(outcomes, date)) + "\n"


def _lines(outcomes: Sequence[Outcome], date: str) -> Iterator[str]:
    daemons = {outcome.daemon.partition(",")[0] for outcome in outcomes}
    passed = sum(outcome.passed for outcome in outcomes)
    yield HEAD
    yield f"{date}: {passed} of {len(outcomes)} faults in {len(daemons)} daemons as it must be."
    yield ""
    yield "| daemon | kind | fault | seen | blamed | rolled back | relaxed by | validations | |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for outcome in outcomes:
        yield _row(outcome)


def _row(outcome: Outcome) -> str:
    cells = [
        outcome.daemon,
        outcome.kind,
        f"`{outcome.fault}`",
        outcome.seen or "**no**",
        ("" if outcome.blamed_rightly else "**wrongly** ") + ", ".join(f"`{line}`" for line in outcome.blamed),
        "yes" if outcome.rolled_back else "**no**",
        _shortened(outcome.changes),
        str(outcome.restarts),
        "ok" if outcome.passed else f"**not ok**{_why(outcome)}",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shortened(changes: Sequence[str]) -> str:
    shown = ", ".join(changes[:2])
    return shown + (f", and {len(changes) - 2} more" if len(changes) > 2 else "")


def _why(outcome: Outcome) -> str:
    reasons = [outcome.problem] if outcome.problem else []
    reasons += ["does not fit then"] if not outcome.fits_then else []
    reasons += [f"looser: {', '.join(outcome.looser)}"] if outcome.looser else []
    return f": {'; '.join(reasons)}" if reasons else ""
