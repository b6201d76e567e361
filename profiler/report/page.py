"""The report as one HTML page that needs nothing else: no script, no network, light and dark, paper and phone.

Everything shown passes through ``terminal.printable`` and then through jinja2's autoescaping: the names in a report are
hostile. A content security policy in the page forbids whatever might get through all the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from importlib.resources import files

import jinja2
from markupsafe import Markup

from policy.report.model import Line, Place, Report
from profiler.report.curve import curve
from profiler.terminal import printable
from profiler.version import VERSION

TEMPLATE = "page.html.jinja"
STYLE = "page.css"


def page(report: Report) -> str:
    """Return the page."""
    room = files("profiler.report")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.from_string(room.joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.render(
        report=report,
        style=Markup(room.joinpath(STYLE).read_text(encoding="utf-8")),  # ours, not the service's
        curves=[(course, curve(course)) for course in report.courses],
        letters=letters,
        directives=_directives(report.lines),
        version=VERSION,
    )


def _directives(lines: Sequence[Line]) -> list[tuple[Line, list[Line]]]:
    # The lines of one directive that follow each other, with the first of them in front.
    groups = [list(group) for _, group in itertools.groupby(lines, lambda line: (line.section, line.name))]
    return [(group[0], group) for group in groups]


def _harmless(value: object) -> object:
    # Markup is what the template itself made; a name never is.
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def letters(place: Place) -> tuple[tuple[str, str, str], ...]:
    """Return for read, write and execute: a letter, the word for its state and a title."""
    return tuple(_letter(letter, word, place) for letter, word in (("r", "read"), ("w", "write"), ("x", "execute")))


def _letter(letter: str, word: str, place: Place) -> tuple[str, str, str]:
    used, allowed = letter in place.used, letter in place.allowed
    if used:
        return letter, "used", f"{word}: done while recording"
    if allowed:
        return letter, "free", f"{word}: not done, but allowed"
    return "·", "shut", f"{word}: not done, and not possible"
