"""Head-room: systemd waits longer for a service that a tracer slows down, for as long as it is recorded.

For a unit that is restarted, by a drop-in for this boot only. A process keeps the watchdog that it was started with
(``watchdog_original_usec`` in systemd's ``src/core/service.c``), so to one that runs already, and to the one that is
left running, systemd is told another time in the way in which services do it themselves (WATCHDOG_USEC= of
sd_notify(3)). What the service sees does not change: its $WATCHDOG_USEC stays, so it reports as often as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from profiler.machine import Machine
from profiler.status_line import span
from profiler.unit.time_limits import WATCHDOG, TimeLimit, watchdog_in_force
from profiler.unit.unit import OUR_HEAD_ROOM, Unit
from profiler.validate.guard import NOTIFY_SOCKET
from profiler.validate.placing import put, take_away

MORE = 300
"""Seconds that systemd waits longer: a call costs 0.05 ms with strace and 0.2 ms with ptrace, so this is room for more
than a million of them, and bounded, so that a service that hangs is still found out."""

Announce = Callable[[str], None]


@dataclass(frozen=True)
class HeadRoom:
    """The time limits of a unit, all of which are to be longer for a while; none for a unit that has none."""

    limits: tuple[TimeLimit, ...] = ()

    @property
    def watchdog(self) -> int:
        """The watchdog of the unit itself, in microseconds; 0 if it has none."""
        return next((limit.microseconds for limit in self.limits if limit.name == WATCHDOG), 0)

    @property
    def text(self) -> str:
        """The drop-in."""
        lines = []
        for section in dict.fromkeys(limit.section for limit in self.limits):
            lines.append(f"[{section}]")
            lines += [f"{one.name}={longer(one.microseconds)}us" for one in self.limits if one.section == section]
        if self.watchdog:  # Environment= comes after what systemd sets itself (systemd.exec(5))
            lines += ["[Service]", f"Environment=WATCHDOG_USEC={self.watchdog}"]
        return "".join(f"{line}\n" for line in lines)

    def in_words(self, unit: str) -> str:
        """Return what is announced."""
        names = ", ".join(f"{limit.name}=" for limit in self.limits)
        return f"tracing is slow: systemd waits {span(MORE)} longer for {unit} until the recording ends ({names})"


def longer(microseconds: int) -> int:
    """Return a time limit with head-room, in microseconds."""
    return microseconds + MORE * 1_000_000


def head_room_path(unit: str) -> str:
    """Return where the drop-in is: before one on trial, which must be the last."""
    return f"/run/systemd/system/{unit}.d/{OUR_HEAD_ROOM}"


def give(unit: Unit, room: HeadRoom, announce: Announce) -> None:
    """Put the drop-in in its place and say so; systemd has to be reloaded. To be used while ``guarded``."""
    if room.limits:
        put(unit.machine, head_room_path(unit.name), room.text.encode())
        announce(room.in_words(unit.name))


def take_back(unit: Unit, room: HeadRoom) -> None:
    """Take the drop-in away, make systemd read that, and give the process that runs its own watchdog again."""
    if not room.limits:
        return
    take_away(unit.machine, head_room_path(unit.name))
    unit.systemctl.daemon_reload()
    if room.watchdog and watchdog_in_force(unit) == longer(room.watchdog):  # not what the service asked for itself
        tell_watchdog(unit.machine, unit.properties()["MainPID"], room.watchdog)


def tell_watchdog(machine: Machine, process: str, microseconds: int) -> None:
    """Tell systemd, in the name of a service's main process, within what time it reports; the time begins anew."""
    words = ["systemd-notify", f"--pid={process}", f"WATCHDOG_USEC={microseconds}"]
    machine.run(words, extra_environment={"NOTIFY_SOCKET": NOTIFY_SOCKET}, check=False)
