"""Progress on standard error: plain lines without a terminal, one line that is rewritten on one, nothing with ``-q``.

::

    with progress.step("recording nginx.service") as step:
        step.detail("running the workload")
        step.follow(lambda: Live(("serving", "120 facts")))
    progress.note("nothing new for 3 min")

While a step lasts, a thread redraws its line on a terminal; in a log it adds a line a minute of what is followed. No
caller enters a mount namespace (setns(2) refuses that to a process with threads): the keepers of twins, which do, are
processes of their own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from profiler import status_line
from profiler.status_line import Live
from profiler.terminal import Style, printable, styled

WORTH_TELLING = 1.0
"""Seconds; without a terminal the end of a shorter step is not worth a line of its own."""

REDRAW = 0.25
"""Seconds between two drawings of the line on a terminal."""

LOG_EVERY = 60.0
"""Seconds between two lines of a followed step in a log."""

CLEAR_TO_END = "\x1b[K"
_LOCK_PATIENCE = 0.5  # a signal may have ended whoever held the lock: then it is done without


class Progress:
    """What is being done right now. There is one for the process; ``step`` and ``note`` below speak for it."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.quiet = False
        self._stream = stream  # None: whatever standard error is at the time
        self._steps: list[Step] = []
        self._line_open = False
        self._lock = threading.RLock()
        self._ticker: _Ticker | None = None

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:
        """Show that ``text`` is being done, then that it is done (or failed) and how long it took."""
        step = Step("  " * len(self._steps) + printable(text), self)
        self._steps.append(step)
        self.show_running(step.title)
        if self._can_rewrite():
            self.begin_ticking()
        try:
            yield step
        except BaseException:
            self._show_end(step, failed=True)
            raise
        else:
            self._show_end(step, failed=False)
        finally:
            self._steps.remove(step)
            if not self._steps:
                self._end_ticking()

    def note(self, text: str) -> None:
        """Show one line that stays."""
        with self._locked():
            self._finish_line()
            self._write("  " * len(self._steps) + printable(text) + "\n")

    def show_running(self, title: str, detail: str = "") -> None:
        """Show what is being done: as the line that is rewritten, or as a line of its own."""
        with self._locked():
            if not self._can_rewrite():
                self._write(f"{title}: {printable(detail)}\n" if detail else f"{title} ...\n")
                return
            if not detail:
                self._finish_line()
            self._rewrite(f"{title} ... {printable(detail)}")

    def begin_ticking(self) -> None:
        """Have a thread show what the innermost step is at from time to time."""
        if self._ticker is None and not self.quiet:
            self._ticker = _Ticker(self._tick, REDRAW if self._can_rewrite() else LOG_EVERY)

    def _end_ticking(self) -> None:
        if self._ticker is not None:
            self._ticker.end()
            self._ticker = None

    def _tick(self) -> None:
        with self._locked():
            step = self._steps[-1] if self._steps else None
            if step is None:
                return
            live, seconds = step.live(), time.monotonic() - step.started
            if self._can_rewrite():
                self._rewrite(status_line.compose(step.title, live, seconds, self._columns()))
            elif live.parts:
                self._write(status_line.plain(step.title, (status_line.span(seconds), *live.parts)) + "\n")

    def _show_end(self, step: Step, *, failed: bool) -> None:
        with self._locked():
            took = time.monotonic() - step.started
            if not (failed or self._line_open or took >= WORTH_TELLING):
                return
            result = styled("failed", Style.RED, self._output) if failed else styled("done", Style.GREEN, self._output)
            seconds = f" ({took:.1f} s)" if took >= WORTH_TELLING else ""
            rewrite = ("\r", CLEAR_TO_END) if self._line_open else ("", "")
            self._write(f"{rewrite[0]}{step.title}: {result}{seconds}{rewrite[1]}\n")
            self._line_open = False

    def _rewrite(self, line: str) -> None:
        fitting = status_line.cut(line, self._columns())
        self._write("\r" + status_line.in_encoding(fitting, getattr(self._output, "encoding", None)) + CLEAR_TO_END)
        self._line_open = True

    def _finish_line(self) -> None:
        if self._line_open:
            self._write("\n")
            self._line_open = False

    def _write(self, text: str) -> None:
        if self.quiet:
            return
        # A terminal that went away must not stop the work, least of all a clean-up.
        with contextlib.suppress(OSError, ValueError):
            self._output.write(text)
            self._output.flush()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        held = self._lock.acquire(timeout=_LOCK_PATIENCE)
        try:
            yield
        finally:
            if held:
                self._lock.release()

    @property
    def _output(self) -> IO[str]:
        return self._stream or sys.stderr

    def _can_rewrite(self) -> bool:
        return self._output.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def _columns(self) -> int:
        # Of standard error, which may be a terminal where standard output is not; the last column would wrap.
        try:
            columns = 0 if os.environ.get("COLUMNS") else os.get_terminal_size(self._output.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        return (columns or shutil.get_terminal_size().columns) - 1


class _Ticker:
    # A thread that calls a function from time to time until it is told to end.

    def __init__(self, function: Callable[[], None], interval: float) -> None:
        self._function = function
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(self._interval):
            self._function()

    def end(self) -> None:
        self._over.set()
        self._thread.join(_LOCK_PATIENCE)


class Step:
    """One thing that is being done."""

    def __init__(self, title: str, progress: Progress) -> None:
        self.title = title
        self.started = time.monotonic()
        self._progress = progress
        self._detail = ""
        self._followed: Callable[[], Live] = Live

    def detail(self, text: str) -> None:
        """Say what the step is at."""
        self._detail = printable(text)
        self._progress.show_running(self.title, text)

    def follow(self, live: Callable[[], Live]) -> None:
        """Show what this function says from now on, beside the details; it is called in a thread of its own."""
        self._followed = live
        self._progress.begin_ticking()

    def live(self) -> Live:
        """Return what the step is at; a followed function that fails has nothing to say."""
        try:
            followed = self._followed()
        except Exception:  # progress must never stop the work
            followed = Live()
        parts = (*map(printable, followed.parts), *([self._detail] if self._detail else []))
        return Live(parts, followed.fraction)


_progress = Progress()


def step(text: str) -> contextlib.AbstractContextManager[Step]:
    """Show that ``text`` is being done for as long as the context lasts, and how it ended."""
    return _progress.step(text)


def note(text: str) -> None:
    """Show one line that stays: a message, not data."""
    _progress.note(text)


def is_quiet() -> bool:
    """Whether only errors are to be shown."""
    return _progress.quiet


def be_quiet(*, quiet: bool = True) -> None:
    """Show no progress and no news from now on, or again all of it; errors and warnings are always shown."""
    _progress.quiet = quiet
