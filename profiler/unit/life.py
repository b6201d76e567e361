"""One life of a service, driven by us: start-up, workload, reload, stop, and back to the state it was found in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from policy.behaviour import Phase
from profiler.errors import CommandFailed, ToolError
from profiler.status_line import span
from profiler.unit.health import (
    RELOAD_SETTLE_SECONDS,
    SETTLE_SECONDS,
    Health,
    Wellness,
    check_health,
    observe,
    wait_until_settled,
)
from profiler.unit.unit import RUNNING, Unit
from profiler.unit.workload import Workload

LONGEST_WATCH = 7 * 24 * 3600.0
"""Seconds after which watching a running service ends by itself."""


ENDING = "ending the recording; Ctrl-C again gives it up"


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
    def serving_since(self) -> float:
        """When the service was first left to serve, in seconds since the epoch; 0 if it has not come to that."""
        return next((start for start, phase in self.starts if phase is Phase.SERVING), 0.0)

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
    ended_on_reload: str = ""  # how, in words


@dataclass(frozen=True)
class Life:
    """What to do during one life of the service."""

    unit: Unit
    workload: Workload | None = None
    serving_for: float = 0.0  # seconds to wait for other people's traffic
    announce: Callable[[str], None] = lambda _text: None
    wellness: Wellness = field(default_factory=Wellness)  # what must be so after the use, before the stop
    leaves_stopped: bool = False  # whatever it was found as, for a caller that starts it again in its own way

    def drive(self, clock: PhaseClock) -> Lived:
        """Restart, use, reload and stop the service; it ends in the state in which it was found, or stopped.

        A failing workload and Ctrl-C cut a life short, but the service is stopped in order; a second Ctrl-C is raised.
        Raises ToolError when the service does not come up, CommandFailed when one of its jobs fails.
        """
        with self._found_state() as found:
            was_active = found.active_state in RUNNING
            lived = self._live(clock, found)
            clock.begin(Phase.STOP)
            self.announce(ENDING if lived.interrupted else f"stopping {self.unit.name}")
            try:
                self._stop(was_active)
            except KeyboardInterrupt:
                if lived.interrupted:
                    raise
                self.announce(ENDING)
                self._stop(was_active)
                lived = replace(lived, interrupted=True)
        return lived

    def _stop(self, was_active: bool) -> None:
        again = was_active and not self.leaves_stopped
        self.unit.systemctl.change("restart" if again else "stop", self.unit.name)
        if again:
            wait_until_settled(self.unit)

    def _live(self, clock: PhaseClock, before: Health) -> Lived:
        # Until something cuts it short: start-up, use and reload.
        error, ended_on_reload = None, ""
        try:
            clock.begin(Phase.START_UP)
            self.announce(f"starting {self.unit.name}")
            self._start()
            before = wait_until_settled(self.unit, is_ready=lambda health: self.wellness.is_ready(self.unit, health))
            error = self._serve(clock)
            if error is None:
                ended_on_reload = self._reload(clock)
                before = observe(self.unit) if ended_on_reload else before
                # What dies within its first second is seen to die, however soon it was ready to be used.
                time.sleep(max(0.0, before.since + SETTLE_SECONDS - time.monotonic()))
            return Lived(self._health(before), error, ended_on_reload=ended_on_reload)
        except KeyboardInterrupt:
            return Lived(check_health(self.unit, before), error, interrupted=True)

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
        try:
            error = self._serve(clock)
        except KeyboardInterrupt:
            self.announce(ENDING)
            return Lived(check_health(self.unit, before), interrupted=True)
        return Lived(check_health(self.unit, before), error)

    def _health(self, before: Health) -> Health:
        health = check_health(self.unit, before)
        return health if health.problem else replace(health, problem=self.wellness.problem(self.unit, health))

    def _start(self) -> None:
        # restart, never start: a socket-activated unit that is not running comes up the same way
        self.unit.systemctl.reset_failed(self.unit.name)
        self.unit.systemctl.change("restart", self.unit.name)

    def _serve(self, clock: PhaseClock) -> CommandFailed | None:
        clock.begin(Phase.SERVING)
        try:
            if self.workload is not None:
                self.announce("running the workload")
                self.workload.run(self.unit.machine)
            if self.serving_for:
                self.announce(f"watching for {span(self.serving_for)}")
                time.sleep(self.serving_for)
        except CommandFailed as error:
            return error
        return None

    def _reload(self, clock: PhaseClock) -> str:
        # Returns how the service ended by its own reload, if it did and may; then it is started again.
        found = self.unit.systemctl.show(self.unit.name, ["CanReload", "ActiveState"])
        if found["CanReload"] != "yes" or found["ActiveState"] not in RUNNING:
            return ""
        clock.begin(Phase.RELOAD)
        self.announce(f"reloading {self.unit.name}")
        self.unit.systemctl.change("reload", self.unit.name)
        try:
            wait_until_settled(self.unit, RELOAD_SETTLE_SECONDS)
        except ToolError as error:
            if observe(self.unit).active_state in RUNNING:
                raise
            words = error.message.removeprefix(f"{self.unit.name} is not well: ")
            if not self.wellness.may_end_on_reload:
                raise ToolError(f"{self.unit.name} ended on reload: {words}", hint=error.hint) from None
            self.announce(f"{self.unit.name} ended on reload: {words}; starting it again")
            self._start()
            wait_until_settled(self.unit)
            return words
        return ""

    @contextmanager
    def _found_state(self) -> Iterator[Health]:
        found = observe(self.unit)
        try:
            yield found
        except BaseException:
            self._put_back(found.active_state in RUNNING)
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
