"""A process is not mistaken for another with its number."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from profiler.twin import process_identity


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_running_process_is_alive_and_this_one_too(sleeper: subprocess.Popen[bytes]) -> None:
    identity = process_identity.identify(sleeper.pid)
    assert identity is not None
    assert identity.is_alive()
    assert process_identity.own().is_alive()
    assert process_identity.own().pid == os.getpid()


def test_another_start_or_boot_is_another_process(sleeper: subprocess.Popen[bytes]) -> None:
    identity = process_identity.identify(sleeper.pid)
    assert identity is not None
    for other in (replace(identity, start=identity.start - 1), replace(identity, boot="another")):
        assert not other.is_alive()
        assert other.end(1.0)
    assert sleeper.poll() is None, "a process that was not meant got the signal"


def test_a_zombie_is_dead(sleeper: subprocess.Popen[bytes]) -> None:
    identity = process_identity.identify(sleeper.pid)
    assert identity is not None
    assert identity.end(5.0, signal.SIGTERM)
    assert not identity.is_alive(), "it has not been waited for, but it runs no more"
    assert sleeper.wait() == -signal.SIGTERM
    assert identity.end(1.0)


def test_a_process_that_ignores_the_signal_is_not_gone() -> None:
    with subprocess.Popen(["sh", "-c", "trap '' TERM; echo ready; sleep 60"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        identity = process_identity.identify(process.pid)
        assert identity is not None
        assert not identity.end(0.2, signal.SIGTERM)
        assert identity.end(5.0)


def test_a_name_with_blanks_and_brackets_is_understood(tmp_path: object) -> None:
    script = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'a) S 1 (b'); print(); sys.stdout.flush(); sys.stdin.read()"
    )
    with subprocess.Popen(["python3", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        before = process_identity.identify(process.pid)
        process.stdout.readline()
        assert process_identity.identify(process.pid) == before
        process.kill()
