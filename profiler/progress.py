"""Progress on standard error: plain lines without a terminal, one line that is rewritten on one, nothing with ``-q``.

::

    with progress.step("recording nginx.service") as step:
        step.detail("running the workload")
    progress.note("nothing new for 3 min")

No thread redraws anything: callers enter mount namespaces, and setns(2) refuses that to a process with threads.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from profiler.terminal import Style, printable, styled

WORTH_TELLING = 1.0
"""Seconds; without a terminal the end of a shorter step is not worth a line of its own."""

CLEAR_TO_END = "\x1b[K"


class Progress:
    """What is being done right now. There is one for the process; ``step`` and ``note`` below speak for it."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.quiet = False
        self._stream = stream  # None: whatever standard error is at the time
        self._depth = 0
        self._line_open = False

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:
        """Show that ``text`` is being done, then that it is done (or failed) and how long it took."""
        step = Step("  " * self._depth + printable(text), self)
        self._depth += 1
        self.show_running(step.title)
        try:
            yield step
        except BaseException:
            self._show_end(step, failed=True)
            raise
        else:
            self._show_end(step, failed=False)
        finally:
            self._depth -= 1

    def note(self, text: str) -> None:
        """Show one line that stays."""
        self._finish_line()
        self._write("  " * self._depth + printable(text) + "\n")

    def show_running(self, title: str, detail: str = "") -> None:
        """Show what is being done: as the line that is rewritten, or as a line of its own."""
        if not self._can_rewrite():
            self._write(f"{title}: {printable(detail)}\n" if detail else f"{title} ...\n")
            return
        if not detail:
            self._finish_line()
        line = f"{title} ... {printable(detail)}"
        self._write("\r" + line[: shutil.get_terminal_size().columns - 1] + CLEAR_TO_END)
        self._line_open = True

    def _show_end(self, step: Step, *, failed: bool) -> None:
        took = time.monotonic() - step.started
        if not (failed or self._line_open or took >= WORTH_TELLING):
            return
        result = styled("failed", Style.RED, self._output) if failed else styled("done", Style.GREEN, self._output)
        seconds = f" ({took:.1f} s)" if took >= WORTH_TELLING else ""
        rewrite = ("\r", CLEAR_TO_END) if self._line_open else ("", "")
        self._write(f"{rewrite[0]}{step.title}: {result}{seconds}{rewrite[1]}\n")
        self._line_open = False

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

    @property
    def _output(self) -> IO[str]:
        return self._stream or sys.stderr

    def _can_rewrite(self) -> bool:
        return self._output.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Step:
    """One thing that is being done."""

    def __init__(self, title: str, progress: Progress) -> None:
        self.title = title
        self.started = time.monotonic()
        self._progress = progress

    def detail(self, text: str) -> None:
        """Say what the step is at."""
        self._progress.show_running(self.title, text)


_progress = Progress()


def step(text: str) -> contextlib.AbstractContextManager[Step]:
    """Show that ``text`` is being done for as long as the context lasts, and how it ended."""
    return _progress.step(text)


def note(text: str) -> None:
    """Show one line that stays: a message, not data."""
    _progress.note(text)


def be_quiet() -> None:
    """Show no progress from now on; errors are still shown."""
    _progress.quiet = True
