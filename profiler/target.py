"""The systemd for which a drop-in is made: that of this machine, or a version the user names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from policy.host_facts import HostFacts
from policy.shipped_host_facts import for_version
from profiler.errors import UsageError
from profiler.host import read_host_facts
from profiler.machine import Host

Command = TypeVar("Command", bound=Callable[..., Any])

OLDEST_SYSTEMD = 245
"""The first systemd version whose behaviour the directives' model describes."""


def target_option(command: Command) -> Command:
    """Add ``--systemd VERSION``, handed to the command as ``systemd: int | None``."""
    return click.option(
        "--systemd",
        type=click.IntRange(min=OLDEST_SYSTEMD),
        metavar="VERSION",
        help="Make it for this systemd version from shipped facts. Default: the systemd of this machine.",
    )(command)


def target(systemd: int | None) -> HostFacts:
    """Return the facts of the target. Raises UsageError for a version that nothing is known of."""
    if systemd is None:
        return read_host_facts(Host())
    try:
        return for_version(systemd)
    except ValueError as error:
        raise UsageError(str(error), hint="leave out --systemd to use this machine's own") from None
