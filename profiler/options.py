"""Options that several commands share, so that they are spelled and mean the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import click

from profiler import pager, progress

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
    """Add ``-q``/``--quiet``, which silences progress and all other news; the command needs no parameter for it."""

    def silence(_context: click.Context, _option: click.Parameter, given: bool) -> None:
        if given:
            progress.be_quiet()

    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=silence,
        help="Show no progress and no news, only errors and warnings.",
    )(command)


def force_option(command: Command) -> Command:
    """Add ``-f``/``--force``, handed to the command as ``force``."""
    return click.option("-f", "--force", is_flag=True, help="Replace files that exist already.")(command)


def dry_run_option(command: Command) -> Command:
    """Add ``--dry-run``, handed to the command as ``dry_run``."""
    return click.option("--dry-run", is_flag=True, help="Check everything and say what would be done, but do nothing.")(
        command
    )


def template_option(help_text: str) -> Callable[[Command], Command]:
    """Add ``--template``, handed to the command as ``for_template``."""
    return click.option("--template", "for_template", is_flag=True, help=help_text)


def add_pager_option(command: click.Command) -> None:
    """Add ``--no-pager`` to a command that is made already: every command takes it, as systemd's own tools do."""

    def refuse(_context: click.Context, _option: click.Parameter, given: bool) -> None:
        if given:
            pager.forbid()

    command.params.append(
        click.Option(
            ["--no-pager"], is_flag=True, expose_value=False, callback=refuse, help="Do not page what is shown."
        )
    )


def accept_bare_json(command: click.Command) -> None:
    """Let ``--json`` stand alone before an argument: click itself would take ``--json FILE`` for the style FILE."""
    parse = command.parse_args

    def parse_args(context: click.Context, arguments: list[str]) -> list[str]:
        return parse(context, _with_style(arguments))

    command.parse_args = parse_args  # type: ignore[method-assign, assignment]


def _with_style(arguments: list[str]) -> list[str]:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    written = list(arguments)
    for place, word in enumerate(arguments[:end]):
        if word == "--json" and (place + 1 == end or arguments[place + 1] not in set(JsonStyle)):
            written[place] = f"--json={JsonStyle.PRETTY}"
    return written


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
