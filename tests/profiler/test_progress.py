"""Progress, as a log file and as a terminal see it."""

from __future__ import annotations

import io
import os
import re
import threading

import pytest

from profiler.progress import Progress
from profiler.status_line import Live


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and can tell what is left on it."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """Return the lines that a reader sees after all rewriting."""
        lines = []
        for line in self.getvalue().split("\n"):
            shown = line.replace("\x1b[K", "").split("\r")[-1]
            lines.append(re.sub(r"\x1b\[[0-9;]*m", "", shown))
        return lines


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    return Terminal()


def test_a_log_gets_plain_lines(log: io.StringIO) -> None:
    progress = Progress(log)
    with progress.step("recording a.service") as step:
        step.detail("workload")
        with progress.step("starting it"):
            progress.note("a note")
    assert log.getvalue().splitlines() == [
        "recording a.service ...",
        "recording a.service: workload",
        "  starting it ...",
        "    a note",
    ]


def test_a_failed_step_says_so_and_the_error_goes_on(log: io.StringIO) -> None:
    with pytest.raises(ValueError, match="broken"), Progress(log).step("trying"):
        raise ValueError("broken")
    assert log.getvalue().splitlines() == ["trying ...", "trying: failed"]


def test_a_terminal_sees_each_step_once_with_its_end(terminal: Terminal) -> None:
    progress = Progress(terminal)
    with progress.step("recording") as step:
        step.detail("one")
        step.detail("two")
    assert terminal.screen() == ["recording: done", ""]


def test_an_inner_step_leaves_the_outer_line_whole(terminal: Terminal) -> None:
    progress = Progress(terminal)
    with progress.step("outer"), progress.step("inner"):
        pass
    assert terminal.screen()[:2] == ["outer ... ", "  inner: done"]


def test_a_line_that_is_rewritten_never_wraps(terminal: Terminal) -> None:
    with Progress(terminal).step("recording") as step:
        step.detail("x" * 500)
    assert max(len(part) for part in terminal.getvalue().replace("\x1b[K", "").split("\r")) < 60


def test_hostile_names_are_escaped(log: io.StringIO) -> None:
    progress = Progress(log)
    with progress.step("recording \x1b]0;x\x07") as step:
        step.detail("\x1b[2J")
        progress.note("\n\u202e")
    assert "\x1b" not in log.getvalue()
    assert len(log.getvalue().splitlines()) == 3


def test_quiet_says_nothing(log: io.StringIO) -> None:
    progress = Progress(log)
    progress.quiet = True
    with pytest.raises(ValueError), progress.step("recording") as step:
        step.detail("detail")
        progress.note("note")
        raise ValueError
    assert log.getvalue() == ""


def test_a_terminal_that_went_away_does_not_stop_the_work() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with io.FileIO(writing, "w") as pipe:
        stream = io.TextIOWrapper(pipe, write_through=True)
        with pytest.raises(BrokenPipeError):
            stream.write("the pipe is really broken\n")
        with Progress(stream).step("recording") as step:
            step.detail("still going")
        stream.detach()


def test_a_followed_step_is_redrawn_while_it_lasts(terminal: Terminal) -> None:
    told = threading.Event()

    def live() -> Live:
        told.set()
        return Live(("serving", "hostile \x1b[2J\n"), 0.5)

    with Progress(terminal).step("recording") as step:
        step.follow(live)
        assert told.wait(10)
        while "serving" not in terminal.getvalue():
            told.wait(0.01)
    assert "\x1b[2J" not in terminal.getvalue()
    assert terminal.screen() == ["recording: done", ""]


def test_a_log_gets_a_line_now_and_then(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiler.progress.LOG_EVERY", 0.01)
    with Progress(log).step("recording") as step:
        step.follow(lambda: Live(("serving", "3 facts")))
        while "facts" not in log.getvalue():
            threading.Event().wait(0.01)
    assert "recording: 0 s, serving, 3 facts" in log.getvalue().splitlines()


def test_what_is_followed_may_fail(terminal: Terminal) -> None:
    def broken() -> Live:
        raise RuntimeError

    with Progress(terminal).step("recording") as step:
        step.follow(broken)
        assert step.live() == Live()


def test_no_thread_stays_and_quiet_starts_none(terminal: Terminal) -> None:
    progress = Progress(terminal)
    with progress.step("recording"):
        assert any(thread.name == "progress" for thread in threading.enumerate())
    assert not any(thread.name == "progress" for thread in threading.enumerate())
    progress.quiet = True
    with progress.step("recording") as step:
        step.follow(Live)
        assert not any(thread.name == "progress" for thread in threading.enumerate())
