"""Options that several commands share, so that they are spelled and mean the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import click

from profiler import progress

Command = TypeVar("Command", bound=Callable[..., Any])


class JsonStyle(StrEnum):
    """How ``--json`` writes, with the words of systemctl(1)."""

    PRETTY = "pretty"
    SHORT = "short"
    OFF = "off"

    def render(self, document: object) -> str:
        """Return the document as JSON text: indented, or in one line."""
        return json.dumps(document, indent=2 if self is JsonStyle.PRETTY else None, sort_keys=False)


def quiet_option(command: Command) -> Command:
    """Add ``-q``/``--quiet``, which silences progress; the command needs no parameter for it."""

    def silence(_context: click.Context, _option: click.Parameter, given: bool) -> None:
        if given:
            progress.be_quiet()

    return click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=silence, help="Show no progress, only errors."
    )(command)


def force_option(command: Command) -> Command:
    """Add ``-f``/``--force``, handed to the command as ``force``."""
    return click.option("-f", "--force", is_flag=True, help="Replace files that exist already.")(command)


def json_option(command: Command) -> Command:
    """Add ``--json[=pretty|short|off]``, handed to the command as ``json_style: JsonStyle``."""
    return click.option(
        "--json",
        "json_style",
        type=click.Choice([style.value for style in JsonStyle]),
        callback=lambda _context, _option, value: JsonStyle(value),
        is_flag=False,
        flag_value=JsonStyle.PRETTY.value,
        default=JsonStyle.OFF.value,
        help="Write JSON to standard output.",
    )(command)
