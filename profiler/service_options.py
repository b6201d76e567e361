"""Options of the commands that drive a service: its workload, how long to watch, where results go."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from profiler.engines.choice import Engine
from profiler.errors import UsageError
from profiler.recorders.ebpf.loading import Loader
from profiler.recorders.ebpf.loading import wanted as loader_wanted
from profiler.unit.workload import Workload

Command = TypeVar("Command", bound=Callable[..., Any])

UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "ms": 0.001}
"""The units of time of systemd.time(7) that a recording is measured in; without one, seconds."""

LONGEST = 7 * 24 * 3600.0
"""Seconds that one recording may take."""


CHECK_TIMEOUT = 60.0
"""Seconds that a check of the user's may take."""


def seconds(text: str) -> float:
    """Return the seconds in a time span such as ``90``, ``30s`` or ``1min 30s``; raises UsageError for another text."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text)
    spelled = "".join(re.split(r"\s+", text))
    if (
        not parts
        or "".join(number + unit for number, unit in parts) != spelled
        or any(u not in UNITS for _, u in parts)
    ):
        raise UsageError(f"{text!a} is not a time span", hint="write for example: 30s, 5min, 1h 30min")
    span = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not 0 < span <= LONGEST:
        raise UsageError(f"{text} is not between 0 s and {LONGEST:g} s", hint="write for example: 30s, 5min, 1h 30min")
    return span


def _checked(workload: Workload) -> Workload:
    workload.check()
    return workload


def workload_option(command: Command) -> Command:
    """Add ``--workload``, handed to the command as ``workload: Workload | None``."""
    return click.option(
        "--workload",
        metavar="COMMAND",
        callback=lambda _context, _option, value: _checked(Workload(value)) if value else None,
        help="A shell command that uses the service; it must exit 0. In a twin it is run inside the twin.",
    )(command)


def check_option(command: Command) -> Command:
    """Add ``--check``, handed to the command as ``check: Workload | None``."""
    return click.option(
        "--check",
        metavar="COMMAND",
        callback=lambda _context, _option, value: _checked(Workload(value, timeout=CHECK_TIMEOUT)) if value else None,
        help="A shell command that exits 0 if the service is well. It is tried for some seconds.",
    )(command)


def duration_option(command: Command) -> Command:
    """Add ``--for``, handed to the command as ``serving_for``, in seconds."""
    return click.option(
        "--for",
        "serving_for",
        metavar="TIME",
        default=None,
        callback=lambda _context, _option, value: seconds(value) if value else 0.0,
        help="Watch the service for this long (30s, 5min), for traffic that comes by itself.",
    )(command)


def engine_option(command: Command) -> Command:
    """Add ``--engine``, handed to the command as ``engine: Engine``, and ``--ebpf-loader``, which then holds."""
    command = click.option(
        "--ebpf-loader",
        type=click.Choice([loader.value for loader in Loader]),
        default=Loader.AUTO.value,
        expose_value=False,
        callback=lambda _context, _option, value: loader_wanted.set(Loader(value)) and None,
        help="What brings eBPF programs into the kernel: libbpf (compiled already), bcc (compiles here), auto.",
    )(command)
    return click.option(
        "--engine",
        type=click.Choice([engine.value for engine in Engine]),
        default=Engine.AUTO.value,
        callback=lambda _context, _option, value: Engine(value),
        help="What records. auto: the best that works here (unit-tailor doctor says which do).",
    )(command)
