"""A machine on which a systemd runs: this host, or a twin of it. Everything that studies a unit goes through one."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from profiler import run


class Machine(ABC):
    """Where a service lives: its programs are started, and its files and processes are seen, through this."""

    name: str

    @property
    @abstractmethod
    def root(self) -> Path:
        """The machine's root directory as seen from this process (``/``, or ``/proc/PID/root``)."""

    @property
    def leader(self) -> int:
        """The machine's PID 1, as this process numbers it."""
        return 1

    @abstractmethod
    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command line that runs ``arguments`` inside the machine, in all its namespaces."""

    def command_here(self, arguments: Sequence[str]) -> list[str]:
        """Return the same for a program that the user names: in the user's directory, if the machine has one there."""
        return self.command(arguments)

    def path(self, inside: str) -> Path:
        """Return where an absolute path of the machine is seen from here. Symlinks below are *not* confined to it."""
        return self.root / inside.lstrip("/")

    def run(
        self,
        arguments: Sequence[str],
        *,
        timeout: float = run.DEFAULT_TIMEOUT,
        check: bool = True,
        stdin: str | None = None,
        extra_environment: Mapping[str, str] | None = None,
    ) -> run.Completed:
        """Run a program inside the machine to its end; errors as in ``profiler.run.run``."""
        return run.run(
            self.command(arguments),
            timeout=timeout,
            check=check,
            stdin=stdin,
            extra_environment=extra_environment,
            shown_as=arguments,
        )

    def start(
        self,
        arguments: Sequence[str],
        *,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.PIPE,
        extra_environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program inside the machine and return at once."""
        return run.start(self.command(arguments), stdout=stdout, stderr=stderr, extra_environment=extra_environment)


class Host(Machine):
    """The machine that this process runs on."""

    name = "this host"

    @property
    def root(self) -> Path:
        """The root directory."""
        return Path("/")

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the arguments as they are."""
        return list(arguments)

    @staticmethod
    def has_systemd() -> bool:
        """Whether systemd is PID 1 here (sd_booted(3): the directory /run/systemd/system exists)."""
        return Path("/run/systemd/system").is_dir()
