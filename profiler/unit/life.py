"""One life of a service, driven by us: start-up, workload, reload, stop, and back to the state it was found in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from policy.behaviour import Phase
from profiler.errors import CommandFailed, ToolError
from profiler.unit.health import Health, Wellness, check_health, observe, wait_until_settled
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload

LONGEST_WATCH = 7 * 24 * 3600.0
"""Seconds after which watching a running service ends by itself."""


@dataclass
class PhaseClock:
    """Which phase it was when: recorders ask it with the time of each call."""

    starts: list[tuple[float, Phase]] = field(default_factory=list)
    listeners: list[Callable[[Phase], None]] = field(default_factory=list)

    def begin(self, phase: Phase) -> None:
        """Note that a phase begins now, and tell whoever wants to know at that moment."""
        self.starts.append((time.time(), phase))
        for listener in self.listeners:
            listener(phase)

    def at(self, moment: float) -> Phase:
        """Return the phase at a moment, in seconds since the epoch."""
        phase = Phase.START_UP
        for start, begun in self.starts:
            if start > moment:
                break
            phase = begun
        return phase

    @property
    def seen(self) -> tuple[Phase, ...]:
        """The phases that were reached, in the order of a life."""
        reached = {phase for _, phase in self.starts}
        return tuple(phase for phase in Phase if phase in reached)


@dataclass(frozen=True)
class Lived:
    """How a life went: the service's health at its end, and what cut the workload short, if anything did."""

    health: Health = field(default_factory=Health)
    workload_error: CommandFailed | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class Life:
    """What to do during one life of the service."""

    unit: Unit
    workload: Workload | None = None
    serving_for: float = 0.0  # seconds to wait for other people's traffic
    announce: Callable[[str], None] = lambda _text: None
    wellness: Wellness = field(default_factory=Wellness)  # what must be so after the use, before the stop

    def drive(self, clock: PhaseClock) -> Lived:
        """Restart, use, reload and stop the service; it ends in the state in which it was found.

        A failing workload and Ctrl-C cut the serving short, but not the rest. Raises ToolError when the service does
        not come up, CommandFailed when one of its jobs fails.
        """
        with self._found_state() as was_active:
            clock.begin(Phase.START_UP)
            self.announce(f"starting {self.unit.name}")
            self._start()
            before = wait_until_settled(self.unit)
            error, interrupted = self._serve(clock)
            if not error and not interrupted:
                self._reload(clock)
            lived = Lived(self._health(before), error, interrupted)
            clock.begin(Phase.STOP)
            self.announce(f"stopping {self.unit.name}")
            self.unit.systemctl.change("restart" if was_active else "stop", self.unit.name)
            if was_active:
                wait_until_settled(self.unit)
        return lived

    def attend(self, clock: PhaseClock) -> Lived:
        """Use and watch the service as it runs, without starting or stopping anything.

        With neither a workload nor a time to watch, Ctrl-C is the regular end.
        """
        before = observe(self.unit)
        if self.workload is None and not self.serving_for:
            clock.begin(Phase.SERVING)
            self.announce("watching until Ctrl-C")
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(LONGEST_WATCH)
            return Lived(check_health(self.unit, before))
        error, interrupted = self._serve(clock)
        return Lived(check_health(self.unit, before), error, interrupted)

    def _health(self, before: Health) -> Health:
        health = check_health(self.unit, before)
        return health if health.problem else replace(health, problem=self.wellness.problem(self.unit))

    def _start(self) -> None:
        # restart, never start: a socket-activated unit that is not running comes up the same way
        self.unit.systemctl.reset_failed(self.unit.name)
        self.unit.systemctl.change("restart", self.unit.name)

    def _serve(self, clock: PhaseClock) -> tuple[CommandFailed | None, bool]:
        clock.begin(Phase.SERVING)
        try:
            if self.workload is not None:
                self.announce("running the workload")
                self.workload.run(self.unit.machine)
            if self.serving_for:
                self.announce(f"watching for {self.serving_for:g} s")
                time.sleep(self.serving_for)
        except CommandFailed as error:
            return error, False
        except KeyboardInterrupt:
            return None, True
        return None, False

    def _reload(self, clock: PhaseClock) -> None:
        if self.unit.properties()["CanReload"] != "yes" or not self.unit.is_active():
            return
        clock.begin(Phase.RELOAD)
        self.announce(f"reloading {self.unit.name}")
        self.unit.systemctl.change("reload", self.unit.name)
        wait_until_settled(self.unit)

    @contextmanager
    def _found_state(self) -> Iterator[bool]:
        was_active = self.unit.is_active()
        try:
            yield was_active
        except BaseException:
            self._put_back(was_active)
            raise

    def _put_back(self, was_active: bool) -> None:
        # Errors here must not hide the one that brought us here.
        try:
            if was_active and not self.unit.is_active():
                self.unit.systemctl.reset_failed(self.unit.name)
                self.unit.systemctl.change("restart", self.unit.name)
            elif not was_active:
                self.unit.systemctl.change("stop", self.unit.name)
        except ToolError as error:
            self.announce(f"could not put {self.unit.name} back: {error.message}")
