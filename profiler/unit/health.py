"""Whether a service is well: not only "active", but settled, not restarting, with the process it started with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from profiler.errors import CommandFailed, ToolError
from profiler.unit.exit_status import failure_in_words
from profiler.unit.listening import in_words, listening
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload

Answer = TypeVar("Answer")

SETTLE_SECONDS = 1.0
"""How long the main process must stay the same before the service counts as up: for Type=simple systemd says
"started" before the program has even been executed (systemd.service(5))."""

READY_SECONDS = 0.2
"""The same for a service that is seen to be ready; its first second is then over while it is already used."""

TELLS_WHEN_READY = frozenset({"notify", "notify-reload", "dbus", "oneshot"})
"""Types of services that systemd calls started when they have said so, or are done (systemd.service(5), Type=)."""

RELOAD_SETTLE_SECONDS = 0.3
"""The same after a reload, which starts no program anew: what goes wrong later is seen when the health is checked."""

SETTLE_LIMIT = 30.0
"""Seconds after which a service that neither settles nor fails counts as not well."""

MOST_RESTARTS = 3
"""How often systemd may restart a service (Restart=) while it settles: some need another one that is not up yet."""

PATIENCE = 10.0
"""Seconds in which a service that has started must listen where it listened before, and the user's check succeed:
systemd counts Type=simple services as started before they do anything."""

WATCHED = [
    "ActiveState",
    "SubState",
    "Result",
    "MainPID",
    "NRestarts",
    "ExecMainCode",
    "ExecMainStatus",
    "Type",
    "StatusText",
    "StatusErrno",
    "ControlGroup",
]


@dataclass(frozen=True)
class Health:
    """A moment of a service: ``problem`` says in words what is wrong, or is empty.

    ``since`` is from when on it was seen like this without a change, as ``time.monotonic`` tells it.
    """

    active_state: str = "unknown"
    sub_state: str = "unknown"
    main_pid: int = 0
    restarts: int = 0
    problem: str = ""
    service_type: str = ""
    control_group: str = ""
    since: float = 0.0


def observe(unit: Unit) -> Health:
    """Return how the unit is at this moment."""
    found = unit.systemctl.show(unit.name, WATCHED)
    problem = failure_in_words(found["Result"], found["ExecMainCode"], found["ExecMainStatus"])
    if not problem and found["ActiveState"] not in {"active", "reloading"} and found["Type"] != "oneshot":
        problem = f"it is {found['ActiveState']} ({found['SubState']})"
    if not problem and found["StatusErrno"] not in {"", "0"}:  # ERRNO= of sd_notify(3)
        problem = f"it reports the error {os.strerror(int(found['StatusErrno']))}: {found['StatusText']}"
    return Health(
        found["ActiveState"],
        found["SubState"],
        int(found["MainPID"] or 0),
        int(found["NRestarts"] or 0),
        problem,
        found["Type"],
        found["ControlGroup"],
        time.monotonic(),
    )


def wait_until_settled(
    unit: Unit, seconds: float = SETTLE_SECONDS, is_ready: Callable[[Health], bool] = lambda _health: False
) -> Health:
    """Wait until the unit has kept its main process for ``seconds``, and return how it is then.

    READY_SECONDS are enough if ``is_ready`` says so: the caller sees to it that the rest is over before it judges.
    Raises ToolError, with the reason in words, if it fails, or does not settle in time.
    """
    deadline = time.monotonic() + SETTLE_LIMIT
    first = health = observe(unit)
    while (lasted := time.monotonic() - health.since) < seconds:
        loops = health.restarts - first.restarts >= MOST_RESTARTS
        if health.active_state == "failed" or loops or time.monotonic() > deadline:
            break
        if lasted >= READY_SECONDS and health.active_state == "active" and is_ready(health):
            break
        time.sleep(0.1)
        now = observe(unit)
        if (now.main_pid, now.restarts, now.active_state) != (health.main_pid, health.restarts, health.active_state):
            health = now
    if health.restarts - first.restarts >= MOST_RESTARTS and not health.problem:
        health = replace(health, problem=_loop_in_words(unit, health.restarts - first.restarts))
    if health.problem:
        reason = unit.systemctl.reason(unit.name) or health.problem
        raise ToolError(f"{unit.name} is not well: {reason}", hint=f"look at: journalctl -u {unit.name} -n 50")
    return health


def _loop_in_words(unit: Unit, restarts: int) -> str:
    # Between two deaths its properties show nothing wrong; the journal does.
    deaths = [line for line in unit.systemctl.journal(unit.name).splitlines() if "process exited" in line]
    return f"systemd restarted it {restarts} times" + (f": {deaths[-1]}" if deaths else "")


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


@dataclass(frozen=True)
class Wellness:
    """What being well means for one service: where it must listen, and a command of the user's that must succeed.

    ``may_end_on_reload`` is for who ends by its own ExecReload=, whatever it runs under, or is not held to anything.
    """

    listeners: frozenset[str] = field(default_factory=frozenset)
    check: Workload | None = None
    may_end_on_reload: bool = False

    @classmethod
    def of(cls, unit: Unit, check: Workload | None = None, group: str = "") -> Wellness:
        """Take a running service as the measure. ``group`` is its control group, if that is known already."""
        return cls(listening(unit, group), check)

    def is_ready(self, unit: Unit, health: Health) -> bool:
        """Whether a service that has started is seen to be ready: it listens again, or its type tells."""
        if self.listeners:
            return self.listeners <= listening(unit, health.control_group)
        return health.service_type in TELLS_WHEN_READY

    def problem(self, unit: Unit, health: Health | None = None) -> str:
        """Return in words what is wrong with a service that has settled, or the empty string.

        ``health`` is what was seen of it last. It has a few seconds to get well: systemd calls many services started
        before they listen.
        """
        group = health.control_group if health else ""
        if self.listeners and (missing := _patiently(lambda: sorted(self.listeners - listening(unit, group)))):
            return f"it does not listen any more on {', '.join(map(in_words, missing))}"
        words = _patiently(lambda: self._complaint(unit))
        return words or observe(unit).problem

    def _complaint(self, unit: Unit) -> str:
        try:
            if self.check is not None:
                self.check.run(unit.machine)
        except CommandFailed as error:
            return error.message.replace("the workload failed", "the check failed", 1)
        return ""


def _patiently(question: Callable[[], Answer]) -> Answer:
    # Asks until nothing is missing any more, or the time is over.
    deadline = time.monotonic() + PATIENCE
    while (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer
