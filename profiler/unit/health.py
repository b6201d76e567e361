"""Whether a service is well: not only "active", but settled, not restarting, with the process it started with."""

from __future__ import annotations

import time
from dataclasses import dataclass

from profiler.errors import ToolError
from profiler.unit.exit_status import failure_in_words
from profiler.unit.unit import Unit

SETTLE_SECONDS = 1.0
"""How long the main process must stay the same before the service counts as up: for Type=simple systemd says
"started" before the program has even been executed (systemd.service(5))."""

SETTLE_LIMIT = 30.0
"""Seconds after which a service that neither settles nor fails counts as not well."""

WATCHED = ["ActiveState", "SubState", "Result", "MainPID", "NRestarts", "ExecMainCode", "ExecMainStatus", "Type"]


@dataclass(frozen=True)
class Health:
    """A moment of a service: ``problem`` says in words what is wrong, or is empty."""

    active_state: str = "unknown"
    sub_state: str = "unknown"
    main_pid: int = 0
    restarts: int = 0
    problem: str = ""


def observe(unit: Unit) -> Health:
    """Return how the unit is at this moment."""
    found = unit.systemctl.show(unit.name, WATCHED)
    problem = failure_in_words(found["Result"], found["ExecMainCode"], found["ExecMainStatus"])
    if not problem and found["ActiveState"] not in {"active", "reloading"} and found["Type"] != "oneshot":
        problem = f"it is {found['ActiveState']} ({found['SubState']})"
    return Health(
        found["ActiveState"],
        found["SubState"],
        int(found["MainPID"] or 0),
        int(found["NRestarts"] or 0),
        problem,
    )


def wait_until_settled(unit: Unit) -> Health:
    """Wait until the unit has kept its main process for a while, and return how it is then.

    Raises ToolError, with the reason in words, if it fails, or does not settle in time.
    """
    deadline = time.monotonic() + SETTLE_LIMIT
    health, since = observe(unit), time.monotonic()
    while time.monotonic() - since < SETTLE_SECONDS:
        if health.active_state == "failed" or time.monotonic() > deadline:
            break
        time.sleep(0.1)
        now = observe(unit)
        if (now.main_pid, now.restarts, now.active_state) != (health.main_pid, health.restarts, health.active_state):
            health, since = now, time.monotonic()
    if health.problem:
        reason = unit.systemctl.reason(unit.name) or health.problem
        raise ToolError(f"{unit.name} is not well: {reason}", hint=f"look at: journalctl -u {unit.name} -n 50")
    return health


def check_health(unit: Unit, before: Health) -> Health:
    """Return how the unit is now; a restart since ``before`` that nobody asked for is a problem."""
    now = observe(unit)
    if not now.problem and now.restarts > before.restarts:
        return Health(
            now.active_state,
            now.sub_state,
            now.main_pid,
            now.restarts,
            f"it was restarted {now.restarts - before.restarts} times by systemd",
        )
    return now
