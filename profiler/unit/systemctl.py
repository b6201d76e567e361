"""systemctl(1) on a machine: asking for properties and changing a unit's state, with errors that name the cause."""

from __future__ import annotations

import time
from collections.abc import Sequence

from profiler.errors import CommandFailed, ToolError
from profiler.machine import Machine

JOB_TIMEOUT = 600.0
"""Seconds a start, stop or reload job may take: longer than systemd's own time limits for all but unusual units."""


STOP_LIMIT = 90.0
"""Seconds for the stop of a unit that sets no limit itself: systemd's own default (DefaultTimeoutStopSec=). A service
that cannot end under a drop-in, because it may not write what it writes last, would be waited for without end."""

STOP_TIME = "TimeoutStopUSec"


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

    def change(self, verb: str, unit: str, *, timeout: float = JOB_TIMEOUT, forgiving: bool = False) -> None:
        """Run ``start``, ``stop``, ``restart``, ``reload``, ... and wait for the job.

        A stop without a limit that hangs ends with SIGKILL. Raises CommandFailed for that, unless ``forgiving``, and,
        with systemd's words and the end of the unit's journal, when the job fails.
        """
        killed = False
        try:
            if verb in {"stop", "restart"} and self.show(unit, [STOP_TIME])[STOP_TIME] == "infinity":
                killed = self._stop_with_limit(verb, unit)
                verb = "start" if verb == "restart" else verb  # this waits for what the job goes on to do
            self.machine.run(["systemctl", verb, "--", unit], timeout=timeout)
        except CommandFailed as error:
            raise CommandFailed(
                f"systemctl {verb} {unit} failed on {self.machine.name}: {self.reason(unit) or error.message}",
                hint=f"look at: journalctl -u {unit} -n 50",
                status=error.status,
                output=error.output + "\n" + self.journal(unit),
            ) from None
        if killed and not forgiving:
            raise CommandFailed(
                f"{unit} did not stop within {STOP_LIMIT:g} s and was killed",
                hint=f"look at: journalctl -u {unit} -n 50",
                output=self.journal(unit),
            )

    def _stop_with_limit(self, verb: str, unit: str) -> bool:
        """Begin a job and see to it that the unit's processes end; whether they had to be killed for that."""
        self.machine.run(["systemctl", "--no-block", verb, "--", unit])
        deadline = time.monotonic() + STOP_LIMIT
        killed = False
        while time.monotonic() < deadline:
            found = self.show(unit, ["ActiveState", "Job"])
            if found["Job"] in {"", "0"} or found["ActiveState"] not in {"active", "reloading", "deactivating"}:
                return killed
            time.sleep(0.1)
            if time.monotonic() > deadline and not killed:
                self.machine.run(["systemctl", "kill", "--signal=KILL", "--", unit], check=False)
                killed, deadline = True, time.monotonic() + STOP_LIMIT
        return killed

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
