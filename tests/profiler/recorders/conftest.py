"""Fixtures of the recorders' tests."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from profiler.machine import Host
from profiler.recorders import strace_command
from tests.requirements import require


@pytest.fixture
def strace_leaves_nothing() -> Iterator[None]:
    """Skip where strace cannot work; afterwards no strace of ours may be left."""
    answer = strace_command.availability(Host(), ())
    require(answer.available, answer.reason)
    yield
    assert not [process.pid for process in psutil.Process().children(recursive=True) if process.name() == "strace"]
