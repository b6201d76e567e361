"""The one place that starts processes: fixed environment, argument lists, closed stdin, a time limit always."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, NoReturn

from profiler.errors import CommandFailed, ToolError

DEFAULT_TIMEOUT = 120.0
"""Seconds a program may take before it is ended."""


@dataclass(frozen=True)
class Completed:
    """A program that has ended: its exit status (negative: the signal), and what it printed."""

    command: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the fixed environment in which programs run, so that the user's settings cannot change their output."""
    fixed = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": os.environ.get("HOME", "/root"),
        "SYSTEMD_PAGER": "",
        "SYSTEMD_COLORS": "0",
        "SYSTEMD_URLIFY": "0",
    }
    return {**fixed, **(extra or {})}


def pasteable(command: Sequence[str]) -> str:
    """Return the command as it can be pasted into a shell."""
    return shlex.join(command)


def run(
    command: Sequence[str],
    *,
    timeout: float = DEFAULT_TIMEOUT,
    check: bool = True,
    stdin: str | None = None,
    extra_environment: Mapping[str, str] | None = None,
    shown_as: Sequence[str] | None = None,
) -> Completed:
    """Run a program to its end and return what it printed (bytes that are not UTF-8 as surrogates).

    ``shown_as`` is the command as the user knows it, where the one that runs is wrapped.

    Raises ToolError if it cannot be started or exceeds ``timeout`` seconds, CommandFailed if ``check`` is set and it
    exits with another status than 0.
    """
    shown = shown_as or command
    process = start(command, stdin=subprocess.PIPE if stdin is not None else None, extra_environment=extra_environment)
    try:
        stdout, stderr = process.communicate(os.fsencode(stdin) if stdin is not None else None, timeout=timeout)
    except subprocess.TimeoutExpired:
        end_group(process)
        raise ToolError(f"{shown[0]} did not end within {timeout:g} s", hint=f"try: {pasteable(shown)}") from None
    except BaseException:
        end_group(process)
        raise
    completed = Completed(tuple(shown), process.returncode, os.fsdecode(stdout), os.fsdecode(stderr))
    if check and completed.status != 0:
        raise failure(completed)
    return completed


def start(
    command: Sequence[str],
    *,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
    extra_environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    new_session: bool = True,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own and return at once. Raises ToolError if it cannot be started.

    ``new_session=False`` leaves it in the user's terminal session, for programs that the user talks to.
    """
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment(extra_environment),
            pass_fds=tuple(pass_fds),
            start_new_session=new_session,
        )
    except FileNotFoundError:
        raise ToolError(
            f"{command[0]} is not installed", hint="run: unit-tailor doctor (it names the package to install)"
        ) from None
    except OSError as error:
        raise ToolError(f"cannot start {command[0]}: {error.strerror}", hint=pasteable(command)) from None


def become(command: Sequence[str], *, extra_environment: Mapping[str, str] | None = None) -> NoReturn:
    """Replace this process by a program, which keeps its terminal and standard streams. Raises ToolError if it cannot.

    For commands that stand for another program: its signals, job control and exit status are then simply its own.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    try:
        os.execvpe(command[0], list(command), environment(extra_environment))
    except OSError as error:
        raise ToolError(f"cannot start {command[0]}: {error.strerror}", hint=pasteable(command)) from None


def end_group(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """Send a signal to a started program and everything in its session's process group, then wait for it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        process.wait(timeout=30)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def failure(completed: Completed) -> CommandFailed:
    """Return the error for a program that said no: how it ended, its last words, and the command to paste."""
    how = f"ended by signal {-completed.status}" if completed.status < 0 else f"exit status {completed.status}"
    words = [line for line in (completed.stderr or completed.stdout).strip().splitlines() if line.strip()]
    said = f": {words[-1]}" if words else ""
    return CommandFailed(
        f"{completed.command[0]} failed ({how}){said}",
        hint=f"the command was: {pasteable(completed.command)}",
        status=completed.status,
        output=completed.stderr or completed.stdout,
    )
