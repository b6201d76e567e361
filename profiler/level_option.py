"""The option that says how tight a drop-in is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from policy.level import Level

Command = TypeVar("Command", bound=Callable[..., Any])


def level_option(command: Command) -> Command:
    """Add ``--level``, handed to the command as ``level: Level``."""
    return click.option(
        "--level",
        type=click.Choice([level.value for level in Level]),
        callback=lambda _context, _option, value: Level(value),
        default=Level.STANDARD.value,
        show_default=True,
        help="How tight: compatible leaves room, strict is exactly what was recorded.",
    )(command)
