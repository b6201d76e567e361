"""How commands print what they found: as lines or as JSON, through a pager where a person reads."""

from __future__ import annotations

from collections.abc import Iterable

import click

from profiler import progress
from profiler.documents import Document
from profiler.options import JsonStyle
from profiler.pager import paged


def show(style: JsonStyle, document: Document, lines: Iterable[str]) -> None:
    """Print the document if JSON is wanted, else the lines, on standard output."""
    with paged():
        if style is not JsonStyle.OFF:
            click.echo(style.render(document))
            return
        for line in lines:
            click.echo(line)


def tell(line: str) -> None:
    """Print a line about what was done, on standard error: with ``--quiet`` only if it warns of something."""
    if line.startswith(_WARNINGS) or not progress.is_quiet():
        click.echo(line, err=True)


_WARNINGS = ("warning: ", "lost: ", "note: ", "not exercised: ", "ended by Ctrl-C: ")
