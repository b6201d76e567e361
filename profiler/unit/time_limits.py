"""The times that systemd gives a unit: how long a start, a stop, a run may take, and how often the watchdog is fed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from profiler.errors import ToolError
from profiler.unit.unit import Unit

INFINITE = 2**64 - 1
"""What systemd writes for a time without end, in microseconds (USEC_INFINITY)."""

SETTINGS = {
    "TimeoutStartUSec": ("Service", "TimeoutStartSec"),
    "TimeoutStopUSec": ("Service", "TimeoutStopSec"),
    "TimeoutAbortUSec": ("Service", "TimeoutAbortSec"),
    "RuntimeMaxUSec": ("Service", "RuntimeMaxSec"),
    "JobTimeoutUSec": ("Unit", "JobTimeoutSec"),
    "JobRunningTimeoutUSec": ("Unit", "JobRunningTimeoutSec"),
}
"""The properties that hold them as they are in force, defaults included, and the settings that they come from."""

WATCHDOG = "WatchdogSec"
WATCHDOG_IN_FORCE = "WatchdogUSec"
"""What holds for the process that runs: a new WatchdogSec= counts from the next start on, and the service may send
another time (``service_get_watchdog_usec`` in systemd's ``src/core/service.c``)."""

_MICROSECONDS = re.compile(r"^\s*\S?s: (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class TimeLimit:
    """A setting that ends something after a time, in microseconds."""

    section: str
    name: str
    microseconds: int


def time_limits(unit: Unit) -> tuple[TimeLimit, ...]:
    """Return what ends the unit's jobs and processes after a time; what has no end is left out.

    WatchdogSec= is what the unit's files say, drop-ins of ours aside. Raises ToolError if systemd cannot be asked.
    """
    shown = unit.systemctl.show(unit.name, list(SETTINGS))
    texts = [(*SETTINGS[name], text) for name, text in shown.items() if text]
    watchdogs = [value for name, value in unit.settings().assignments if name == WATCHDOG and value.strip()]
    texts += [("Service", WATCHDOG, value) for value in watchdogs[-1:]]
    spans = microseconds(unit, [text for _, _, text in texts])
    limits = [TimeLimit(section, name, span) for (section, name, _), span in zip(texts, spans, strict=True)]
    return tuple(limit for limit in limits if 0 < limit.microseconds < INFINITE)


def watchdog_in_force(unit: Unit) -> int:
    """Return the microseconds within which the running service must report to systemd; 0 if it need not."""
    found = microseconds(unit, [unit.systemctl.show(unit.name, [WATCHDOG_IN_FORCE])[WATCHDOG_IN_FORCE] or "0"])[0]
    return found if found < INFINITE else 0


def microseconds(unit: Unit, spans: Sequence[str]) -> list[int]:
    """Return time spans as systemd itself reads them (systemd.time(7)); a number without a unit is in seconds."""
    if not spans:
        return []
    answer = unit.machine.run(["systemd-analyze", "timespan", "--", *spans]).stdout
    found = [int(number) for number in _MICROSECONDS.findall(answer)]
    if len(found) != len(spans):
        raise ToolError(f"systemd-analyze says {answer!a} of the time limits of {unit.name}")
    return found
