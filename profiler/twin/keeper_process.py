"""The keeper as its owner sees it: started with a job, asked how it went, let go or told to end."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from profiler import run
from profiler.errors import ToolError
from profiler.machine import Host
from profiler.twin import dismantling, state
from profiler.twin.cgroups import PREFIX
from profiler.twin.job import DETACH, Job, Report
from profiler.twin.keeper_program import command_line
from profiler.twin.state import Record

END_WITHIN = 20.0
"""Seconds that a keeper may take to clean up before it is killed and the cleaning is done by us."""


class KeeperProcess:
    """A running keeper. Whatever happens to this process, the keeper notices and cleans up."""

    def __init__(self, job: Job, name: str, extra_environment: Mapping[str, str] | None = None) -> None:
        """Start it; it inherits the job's lock. Raises ToolError if it cannot be started."""
        self.directory = job.directory
        reading, self._line = os.pipe2(os.O_CLOEXEC)
        try:
            self._process = _start(job, name, reading, extra_environment or {})
        except BaseException:
            os.close(self._line)
            raise
        finally:
            os.close(reading)

    def report(self, seconds: float) -> None:
        """Wait until the keeper has done its job; raise what it raised, or ToolError after ``seconds``."""
        stream = self._process.stdout
        assert stream is not None
        deadline = time.monotonic() + seconds
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise ToolError(f"the twin's keeper did not answer within {seconds:g} s", hint="try again")
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                raise RuntimeError(f"the twin's keeper ended without an answer: {self._last_words()}")
            line += chunk
        Report.from_line(line).require()

    def let_go(self) -> None:
        """Let the twin outlive this process."""
        os.write(self._line, DETACH)
        os.close(self._line)
        self._line = -1
        self._close_streams()

    def end(self) -> None:
        """Have the keeper clean up and wait until it has; clean up in its stead if it does not in time.

        Raises ToolError naming what could not be removed.
        """
        if self._line >= 0:
            os.close(self._line)
            self._line = -1
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_WITHIN)
        run.end_group(self._process)
        self._close_streams()
        dismantle_if_dead(self.directory)

    def _close_streams(self) -> None:
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _last_words(self) -> str:
        status = self._process.wait(END_WITHIN)
        assert self._process.stderr is not None
        return f"status {status}\n{os.fsdecode(self._process.stderr.read())}"


def begin(record: Record, job: Job, extra_environment: Mapping[str, str] | None = None) -> KeeperProcess:
    """Claim a directory for a new twin and start a keeper that does a job in it.

    Raises UsageError if there is a twin of that name, ToolError if the keeper cannot be started.
    """
    try:
        claim = state.claim(record.name)
    except OSError as error:
        raise state.fault_of(error) or error from None
    try:
        record.write(claim.directory)
        keeper = KeeperProcess(replace(job, directory=claim.directory, lock=claim.lock), record.name, extra_environment)
    except BaseException as error:
        os.close(claim.lock)
        dismantle_if_dead(claim.directory)
        if isinstance(error, OSError) and (fault := state.fault_of(error)) is not None:
            raise fault from None
        raise
    os.close(claim.lock)
    return keeper


def _start(job: Job, name: str, standard_input: int, extra: Mapping[str, str]) -> subprocess.Popen[bytes]:
    scope = []
    if Host.has_systemd():
        # The groups below a scope with Delegate= are ours (systemd's docs/CGROUP_DELEGATION.md).
        scope = [
            "systemd-run",
            "--scope",
            "--quiet",
            "--collect",
            f"--unit={PREFIX}{name}.scope",
            "-pDelegate=yes",
            "--",
        ]
    with os.fdopen(standard_input, "rb", closefd=False) as line:
        return run.start([*scope, *command_line(job)], stdin=line, pass_fds=(job.lock,), extra_environment=extra)


def dismantle_if_dead(directory: Path) -> bool:
    """Remove what a dead keeper left behind; return whether there was anything. Raises ToolError if any of it stays."""
    try:
        lock = state.take_if_dead(directory)
    except FileNotFoundError:
        return False
    if lock is None:
        return False
    try:
        dismantling.dismantle(directory)
    finally:
        os.close(lock)
    return True
