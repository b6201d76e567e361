"""How commands print what they found: as lines or as JSON, through a pager where a person reads."""

from __future__ import annotations

from collections.abc import Iterable

import click

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
