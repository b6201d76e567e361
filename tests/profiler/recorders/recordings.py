"""Recordings of commands, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable

from profiler.machine import Host
from profiler.recorders.base import RawCall, RawEvent
from profiler.recorders.strace import StraceRecorder

PYTHON = "/usr/bin/python3"
"""The interpreter that runs recorded programs: no shims, few files."""


def record(*command: str) -> tuple[int, list[RawEvent], StraceRecorder]:
    """Record a command; return its status, the events and the recorder."""
    events: list[RawEvent] = []
    with StraceRecorder(Host(), events.append, command=command) as recorder:
        status = recorder.wait()
    return status, events, recorder


def calls(events: list[RawEvent], *names: str) -> list[RawCall]:
    """Return the calls with these names."""
    return [event for event in events if isinstance(event, RawCall) and event.name in names]


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return when the condition is true; fail if that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)
