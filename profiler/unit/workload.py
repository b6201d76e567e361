"""The workload: a command of the user's that uses the service the way it is used in earnest."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from profiler.errors import CommandFailed, UsageError
from profiler.machine import Host, Machine
from profiler.run import Completed

WORKLOAD_TIMEOUT = 3600.0
"""Seconds after which a workload is ended."""

# The user's own directory, where there is one of that name inside the machine: a relative command keeps working.
_IN_DIRECTORY = 'cd -- "$0" 2>/dev/null || cd /; exec /bin/sh -c "$1"'


@dataclass(frozen=True)
class Workload:
    """A shell command that is run inside the machine of the service."""

    command: str
    timeout: float = WORKLOAD_TIMEOUT

    @property
    def words(self) -> list[str]:
        """The words of the command as a shell would split it; none if they cannot be told."""
        try:
            return shlex.split(self.command)
        except ValueError:
            return []

    def check(self) -> None:
        """Raise UsageError if it names a program beside the user that is not there or cannot be run."""
        program = next(iter(self.words), "")
        if not program.startswith(("./", "../")):
            return
        if not Path(program).is_file():
            raise UsageError(f"there is no {program}, which is to use the service", hint=f"look at: ls -l {program}")
        if not os.access(program, os.X_OK):
            raise UsageError(f"{program}, which is to use the service, may not be run", hint=f"run: chmod +x {program}")

    def _by_hand(self, machine: Machine) -> str:
        if machine.name == Host.name:
            return f"run it by hand: {self.command}"
        return f"try it in a twin that stays: unit-tailor twin up lab; unit-tailor twin exec lab -- {self.command}"

    def run(self, machine: Machine) -> Completed:
        """Run it to its end; raises CommandFailed with its last words if it exits with another status than 0."""
        arguments = ["/bin/sh", "-c", _IN_DIRECTORY, str(Path.cwd()), self.command]
        completed = machine.run(arguments, timeout=self.timeout, check=False)
        if completed.status != 0:
            words = (completed.stderr.strip() or completed.stdout.strip()).splitlines()
            raise CommandFailed(
                f"the workload failed (exit status {completed.status})" + (f": {words[-1]}" if words else ""),
                hint=self._by_hand(machine),
                status=completed.status,
                output=completed.stdout + completed.stderr,
            )
        return completed
