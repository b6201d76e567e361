"""Completion in the real shells: a person types the beginning and the tab key, and reads the rest."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler.shell_completion import REQUEST, SHELLS, script
from tests.profiler.test_cli import COMMAND
from tests.requirements import require

PATIENCE = 60.0
"""Seconds: only a shell that will never answer takes as long."""

PROMPT = "READY>"


class Terminal:
    """An interactive shell on a terminal of its own."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def read_until(self, wanted: str) -> str:
        """Return what was shown since the last call, once ``wanted`` is among it."""
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.seen:
            ready = select.select([self.descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]
            assert ready, f"{wanted!r} never came; the terminal shows: {self.seen!r}"
            self.seen += os.read(self.descriptor, 65536).decode(errors="replace")
        shown, found, self.seen = self.seen.partition(wanted)
        return shown + found


@contextmanager
def shell(words: list[str], place: Path) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=place,
        env={
            "PATH": f"{COMMAND.parent}:/usr/bin:/bin",
            "HOME": str(place),
            "TERM": "dumb",
            "PS1": PROMPT,
            "LC_ALL": "C.UTF-8",
        },
    )
    os.close(theirs)
    try:
        yield Terminal(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "some.profile").touch()
    for name in SHELLS:
        (tmp_path / f"script.{name}").write_text(script(name))
    return tmp_path


CASES = [
    ("unit-tailor expl", "explain"),
    ("unit-tailor generate --lev", "--level"),
    ("unit-tailor generate --level comp", "compatible"),
    ("unit-tailor generate some.pro", "some.profile"),
    ("unit-tailor explain some.profile MemoryDeny", "MemoryDenyWriteExecute"),
    ("unit-tailor explain some.profile CAP_DAC_O", "CAP_DAC_OVERRIDE"),
    ("unit-tailor twin li", "list"),
    ("unit-tailor doctor --json=pre", "pretty"),
]


def require_shell(name: str) -> str:
    found = shutil.which(name)
    require(found is not None, f"{name} is not installed")
    return str(found)


def test_bash(place: Path) -> None:
    with shell([require_shell("bash"), "--norc", "--noprofile", "-i"], place) as terminal:
        terminal.read_until(PROMPT)
        terminal.type("source script.bash; echo loa''ded\n")
        terminal.read_until("loaded")
        terminal.read_until(PROMPT)
        for typed, completed in CASES:
            terminal.type(f"{typed}\t")
            assert completed in terminal.read_until(completed)
            terminal.type("\x15\n")  # Ctrl-U: away with the line
            terminal.read_until(PROMPT)


def test_zsh(place: Path) -> None:
    with shell([require_shell("zsh"), "-f", "-i"], place) as terminal:
        terminal.read_until(PROMPT)
        terminal.type("autoload -U compinit; compinit -u; source ./script.zsh; echo loa''ded\n")
        terminal.read_until("loaded")
        terminal.read_until(PROMPT)
        for typed, completed in CASES:
            terminal.type(f"{typed}\t")
            assert completed in terminal.read_until(completed)
            terminal.type("\x15\n")
            terminal.read_until(PROMPT)


def test_fish(place: Path) -> None:
    found = require_shell("fish")
    for typed, completed in CASES:
        asked = f"source script.fish; complete -C {typed!r}"
        done = subprocess.run(
            [found, "--no-config", "-c", asked],
            cwd=place,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={"PATH": f"{COMMAND.parent}:/usr/bin:/bin", "HOME": str(place), "LC_ALL": "C.UTF-8"},
        )
        given = typed.split()[-1].partition("=")[0] + "=" if "=" in typed else ""
        answers = [line.partition("\t")[0] for line in done.stdout.splitlines()]
        assert given + completed in answers, done.stdout + done.stderr


def test_units_are_completed_where_systemd_answers(session_twin: object) -> None:
    from profiler.twin import Twin

    assert isinstance(session_twin, Twin)
    asked = ["COMP_WORDS=unit-tailor record systemd-journ", "COMP_CWORD=2", f"{REQUEST}=bash_complete"]
    run = session_twin.run(["env", *asked, str(COMMAND)], check=False)
    assert "plain,systemd-journald.service" in run.stdout.splitlines(), run.stdout + run.stderr


def test_the_command_prints_the_script() -> None:
    for name in SHELLS:
        done = subprocess.run([COMMAND, "completion", name], capture_output=True, text=True, timeout=PATIENCE)
        assert done.stdout == script(name)
