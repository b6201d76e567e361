"""systemctl(1) on a machine: asking for properties and changing a unit's state, with errors that name the cause."""

from __future__ import annotations

from collections.abc import Sequence

from profiler.errors import CommandFailed, ToolError
from profiler.machine import Machine

JOB_TIMEOUT = 600.0
"""Seconds a start, stop or reload job may take: longer than systemd's own time limits for all but unusual units."""


class Systemctl:
    """systemctl on one machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def show(self, unit: str, properties: Sequence[str]) -> dict[str, str]:
        """Return the unit's properties; a property that systemd does not know is the empty string."""
        arguments = ["systemctl", "show", f"--property={','.join(properties)}", "--", unit]
        found = dict.fromkeys(properties, "")
        name = ""
        for line in self.machine.run(arguments).stdout.splitlines():
            key, separator, value = line.partition("=")
            if separator and key in found:
                name, found[key] = key, value
            elif name:
                found[name] += "\n" + line  # a value may hold line breaks; the next property starts with its name
        return found

    def change(self, verb: str, unit: str, *, timeout: float = JOB_TIMEOUT) -> None:
        """Run ``start``, ``stop``, ``restart``, ``reload``, ... and wait for the job.

        Raises CommandFailed with systemd's words and the end of the unit's journal when the job fails.
        """
        try:
            self.machine.run(["systemctl", verb, "--", unit], timeout=timeout)
        except CommandFailed as error:
            raise CommandFailed(
                f"systemctl {verb} {unit} failed on {self.machine.name}: {self.reason(unit) or error.message}",
                hint=f"look at: journalctl -u {unit} -n 50",
                status=error.status,
                output=error.output + "\n" + self.journal(unit),
            ) from None

    def daemon_reload(self) -> None:
        """Make systemd read all unit files again."""
        self.machine.run(["systemctl", "daemon-reload"])

    def reset_failed(self, unit: str) -> None:
        """Forget failures and start-limit counts; harmless if there are none."""
        self.machine.run(["systemctl", "reset-failed", "--", unit], check=False)

    def journal(self, unit: str, lines: int = 20) -> str:
        """Return the last lines of the unit's journal, or nothing where there is no journal."""
        arguments = ["journalctl", "--unit", unit, "--lines", str(lines), "--no-pager", "--output=cat"]
        try:
            return self.machine.run(arguments, check=False, timeout=20).stdout.strip()
        except ToolError:
            return ""

    def reason(self, unit: str) -> str:
        """Return in words why a unit failed, or the empty string: its Result and what its last process ended with."""
        from profiler.unit.exit_status import failure_in_words

        properties = self.show(unit, ["Result", "ExecMainCode", "ExecMainStatus", "ControlPID"])
        words = failure_in_words(properties["Result"], properties["ExecMainCode"], properties["ExecMainStatus"])
        last = self.journal(unit, 8).splitlines()
        said = [line for line in last if line and not line.startswith((f"{unit}:", "Start", "Stopp", "Fail"))]
        return f"{words}; its journal says: {said[-1]}" if words and said else words
