"""The units on a command line, named as for systemctl(1): completed by the shell, with ``--user`` refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from profiler.errors import ToolError, UsageError
from profiler.machine import Host
from profiler.unit.names import services

Command = TypeVar("Command", bound=Callable[..., Any])


def complete_units(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the services of this machine that begin like this; none where systemd does not answer."""
    try:
        return [CompletionItem(name) for name in services(Host(), (f"{incomplete}*",)) if "@." not in name]
    except ToolError:
        return []


def unit_argument(command: Command) -> Command:
    """Add the argument UNIT and ``--system``/``--user``."""
    return scope_option(click.argument("unit", shell_complete=complete_units)(command))


def scope_option(command: Command) -> Command:
    """Add ``--system`` and ``--user``; the command needs no parameter for it."""
    return click.option(
        "--system/--user",
        "system",
        default=True,
        expose_value=False,
        callback=lambda _context, _option, system: _check_scope(system),
        help="Units of the system, the default. Those of a user's own systemd cannot be studied.",
    )(command)


def _check_scope(system: bool) -> None:
    if not system:
        raise UsageError(
            "units of a user's own systemd cannot be studied: its sandbox is another one, and it may not be traced",
            hint="make it a system unit with User=, or record what it runs: unit-tailor record -- COMMAND",
        )
