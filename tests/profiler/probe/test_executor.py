"""The program that stands in for a service: it makes the calls it is told to, and only those."""

from __future__ import annotations

import errno
import os
import platform
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler import run
from profiler.probe.executor import BUFFER, Died, Executor, image
from tests.requirements import require

HERE = -100


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Executor]:
    require(platform.machine() == "x86_64", "the program is for x86-64")
    program = tmp_path / "executor"
    program.write_bytes(image())
    program.chmod(0o755)
    ours, theirs = socket.socketpair()
    process = run.start([str(program)], stdin=theirs.fileno(), stdout=theirs.fileno())
    theirs.close()
    yield Executor(ours)
    ours.close()
    process.wait(10)
    run.end_group(process)


def test_it_returns_what_the_kernel_returns(executor: Executor, tmp_path: Path) -> None:
    path = tmp_path / "made"

    descriptor = executor.call("openat", HERE, str(path), os.O_RDWR | os.O_CREAT, 0o600)
    executor.call("write", descriptor, b"words", 5)
    executor.call("lseek", descriptor, 0, 0)

    assert executor.into_buffer("read", descriptor, BUFFER, 100) == b"words"
    assert path.read_bytes() == b"words"


def test_a_refusal_has_its_errno(executor: Executor) -> None:
    with pytest.raises(OSError) as caught:
        executor.call("unlinkat", HERE, "/proc/self/nothing", 0)

    assert caught.value.errno == errno.ENOENT


def test_nothing_is_executed_by_looking_at_a_program(executor: Executor) -> None:
    with pytest.raises(OSError) as caught:
        executor.call("execve", "/bin/true", 1, 1)

    assert caught.value.errno == errno.EFAULT
    executor.ping()


def test_a_child_answers_before_its_parent(executor: Executor) -> None:
    parent = executor.call("getpid")

    assert executor.call("vfork") == 0
    assert executor.call("getpid") != parent
    executor.leave_child()

    assert executor.call("getpid") == parent


def test_a_call_that_ends_it_is_noticed(executor: Executor) -> None:
    with pytest.raises(Died):
        executor.call("exit_group", 3)
