"""Take away from a drop-in what the workload does not miss, piece by piece, under real restarts.

Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002), with what the model knows
to save restarts: what no recorded fact needs is tried all at once and halved where that fails; what one needs is tried
alone. A piece that stays was tried alone and missed, so the result is 1-minimal for this workload on this machine.

Every answer is noted in a file at once. A search that was cut short asks the same questions again, and those that have
an answer cost nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from policy.drop_in import DropIn
from policy.minimal import Piece, Start
from profiler.errors import ToolError, UsageError
from profiler.unit.health import Wellness, observe, wait_until_settled
from profiler.unit.life import Life, PhaseClock
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.read_back import differences
from profiler.validate.trial import on_trial, replace_text

Works = Callable[[DropIn], str]
"""Lets the service live a life under one drop-in; returns in words what went wrong, or the empty string."""


@dataclass(frozen=True)
class Standing:
    """How far a search is: pieces that are ``gone``, those that were ``missed``, and those not tried yet."""

    gone: tuple[Piece, ...] = ()
    missed: tuple[Piece, ...] = ()
    left: tuple[Piece, ...] = ()
    asked: int = 0

    @property
    def questions_left(self) -> int:
        """About how many restarts are still to come: one for each piece that is likely to be missed."""
        return sum(piece.needed for piece in self.left) + any(not piece.needed for piece in self.left)


@dataclass
class Search:
    """A search for the least. After Ctrl-C, ``standing`` is what was proven so far."""

    start: Start
    works: Works
    pieces: Sequence[Piece]
    tell: Callable[[Standing], None] = lambda _standing: None
    standing: Standing = field(default_factory=Standing)
    broken: str = field(default="", init=False)  # why the service does not even work under what the search starts from

    def run(self) -> None:
        """Try everything. What interrupts it passes through."""
        self.standing = Standing(left=tuple(self.pieces))
        self.broken = self.works(self.start.drop_in)
        if self.broken:
            return
        self._take([piece for piece in self.pieces if not piece.needed])
        for piece in self.pieces:
            if piece.needed:
                self._take([piece])

    @property
    def drop_in(self) -> DropIn:
        """The drop-in without what is gone."""
        return self.start.without(self.standing.gone)

    def _take(self, chunk: list[Piece], *, fails: bool = False) -> bool:
        # Returns whether the whole chunk is gone; ``fails`` if that is known to be too much already.
        if not chunk:
            return True
        if not fails and self._can_do_without(chunk):
            self._settle(gone=chunk)
            return True
        if len(chunk) == 1:
            self._settle(missed=chunk)
            return False
        half = len(chunk) // 2
        first = self._take(chunk[:half])
        # If the first half is gone, taking the second one too is what has just failed.
        self._take(chunk[half:], fails=first)
        return False

    def _can_do_without(self, chunk: list[Piece]) -> bool:
        problem = self.works(self.start.without((*self.standing.gone, *chunk)))
        self.standing = replace(self.standing, asked=self.standing.asked + 1)
        return not problem

    def _settle(self, gone: Sequence[Piece] = (), missed: Sequence[Piece] = ()) -> None:
        settled = {*gone, *missed}
        before = self.standing
        left = tuple(piece for piece in before.left if piece not in settled)
        self.standing = Standing((*before.gone, *gone), (*before.missed, *missed), left, before.asked)
        self.tell(self.standing)


class Notes:
    """The answers of a search in a file, one a line: a later search for the same thing does not ask again.

    ``question`` is all that the answers depend on. Raises UsageError for a file with the answers to another question.
    """

    def __init__(self, path: Path, question: dict[str, str]) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        self.reused = 0
        mark = _digest(question)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if lines and _value(lines[0], "question") != mark:
            raise UsageError(
                f"{path} has the answers of another search",
                hint="the drop-in, the workload, the unit or the machine has changed: remove the file to start anew",
            )
        for line in lines[1:]:
            candidate, problem = _value(line, "candidate"), _value(line, "problem")
            if candidate and problem is not None:
                self._known[candidate] = problem
        if not lines:
            self._add({"question": mark})

    def remembering(self, works: Works) -> Works:
        """Return the same function with a memory."""

        def remembered(drop_in: DropIn) -> str:
            candidate = _digest(
                {str(place): f"{name}={value}" for place, (name, value) in enumerate(drop_in.assignments)}
            )
            if candidate in self._known:
                self.reused += 1
            else:
                self._known[candidate] = works(drop_in)
                self._add({"candidate": candidate, "problem": self._known[candidate]})
            return self._known[candidate]

        return remembered

    def _add(self, entry: dict[str, str]) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _value(line: str, key: str) -> str | None:
    # A last line that was cut short is no answer.
    try:
        found = json.loads(line)[key]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def _digest(words: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:32]


@contextmanager
def lives(
    unit: Unit,
    drop_in: DropIn,
    workload: Workload | None,
    check: Workload | None = None,
    announce: Callable[[str], None] = lambda _text: None,
    *,
    may_end_on_reload: bool = False,
) -> Iterator[Works]:
    """Yield a function that lets a unit live a whole life (start, use, reload, stop) under one drop-in after another.

    Nothing is recorded: a life is judged by the workload, by the check, and by the service's health. At the end the
    unit is as it was found. ``may_end_on_reload`` is for a service that does so whatever it runs under. Raises
    ToolError if it does not even run without any drop-in.
    """
    wellness = replace(_wellness(unit, check), may_end_on_reload=may_end_on_reload)
    with on_trial(unit, drop_in.render(), announce) as trial:
        unit.systemctl.change("stop", unit.name)
        ends_failed = observe(unit).active_state == "failed"  # as some do always, whatever they run under

        def works(candidate: DropIn) -> str:
            replace_text(trial, candidate.render())
            # What systemd ignores would seem not to be missed.
            ignored = differences(unit, candidate.assignments)
            return (
                f"systemd does not take it: {'; '.join(ignored)}"
                if ignored
                else live(unit, workload, wellness, ends_failed=ends_failed)
            )

        yield works


def live(unit: Unit, workload: Workload | None, wellness: Wellness, *, ends_failed: bool = False) -> str:
    """Let a unit that is stopped live a life as it is set up now; return what went wrong, or the empty string.

    ``ends_failed`` says that its stop never counts as a success.
    """
    try:
        lived = Life(unit, workload, wellness=wellness).drive(PhaseClock())
        if lived.interrupted:
            raise KeyboardInterrupt
        if lived.workload_error is not None:
            return lived.workload_error.message
        stopped = observe(unit)
    except ToolError as error:
        return error.message
    return lived.health.problem or (stopped.problem if stopped.active_state == "failed" and not ends_failed else "")


def _wellness(unit: Unit, check: Workload | None) -> Wellness:
    if unit.is_active():
        return Wellness.of(unit, check)
    unit.systemctl.change("start", unit.name)
    try:
        wait_until_settled(unit)
        return Wellness.of(unit, check)
    finally:
        unit.systemctl.change("stop", unit.name)
