"""One line that says what is going on and fits into a terminal of any width. Pure: text in, text out."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

BAR_CELLS = 12
NARROW = 50
"""Columns below which there is no room for a bar."""

SEPARATOR = " · "
_SWEEP = 4  # cells of the piece that wanders through the bar of a step whose end is not known
_CELLS_PER_SECOND = 8


@dataclass(frozen=True)
class Live:
    """What a step has to say of itself right now, the most important first, and how much of it is done (0.0 to 1.0)."""

    parts: tuple[str, ...] = ()
    fraction: float | None = None


def columns_of(text: str) -> int:
    """Return how many columns a terminal gives to printable text: two to wide characters, none to combining ones."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def cut(text: str, columns: int) -> str:
    """Return as much of the text as fits into this many columns, with an ellipsis for the rest."""
    if columns_of(text) <= columns:
        return text
    kept, used = "", 0
    for character in text:
        used += _columns(character)
        if used > columns - 1:
            break
        kept += character
    return f"{kept}…" if columns > 0 else ""


def bar(fraction: float | None, seconds: float, *, cells: int = BAR_CELLS) -> str:
    """Return a bar that is full as far as a step has got, or in which something moves while that is not known."""
    if fraction is not None:
        full = round(min(max(fraction, 0.0), 1.0) * cells)
        return "━" * full + "─" * (cells - full)
    span = cells - _SWEEP
    place = int(seconds * _CELLS_PER_SECOND) % (2 * span)
    place = place if place <= span else 2 * span - place
    return "─" * place + "━" * _SWEEP + "─" * (span - place)


def span(seconds: float) -> str:
    """Return a time span as systemd.time(7) writes it, to the second: ``45 s``, ``3 min 5 s``, ``2 h 10 min``."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


def compose(title: str, live: Live, seconds: float, columns: int) -> str:
    """Return the line of a step that has run for ``seconds``: title, bar, time, and as many parts as there is room."""
    if columns >= NARROW:
        line = f"{title}  {bar(live.fraction, seconds)}  {span(seconds)}"
    else:
        line = f"{cut(title, columns // 2)}  {span(seconds)}"
    for part in live.parts:
        if columns_of(line + SEPARATOR + part) > columns:
            break
        line += SEPARATOR + part
    return cut(line, columns)


def in_encoding(line: str, encoding: str | None) -> str:
    """Return the line in plain ASCII if the terminal's encoding has no bars and dots."""
    try:
        line.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "".join(_ASCII.get(character, character) for character in line)
    return line


_ASCII = {"━": "#", "─": "-", "·": "|", "…": "~"}


def plain(title: str, parts: Sequence[str]) -> str:
    """Return the same for a log: everything, however long."""
    return f"{title}: {', '.join(parts)}"
