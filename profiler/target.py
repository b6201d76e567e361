"""The systemd for which a drop-in is made: that of this machine, or a version the user names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from policy.host_facts import HostFacts
from policy.shipped_host_facts import for_version, shortcoming
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
    """Return the facts of the target, from what is shipped if a version is named."""
    return read_host_facts(Host()) if systemd is None else for_version(systemd)


def target_remarks(systemd: int | None) -> list[str]:
    """Return what is not exactly known of a version that the user named."""
    words = shortcoming(systemd) if systemd is not None else ""
    return [f"warning: {words}"] if words else []
