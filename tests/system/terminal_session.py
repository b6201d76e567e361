"""A real command line on a real pseudo terminal: what it writes, what is then on the screen, and keys pressed on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

# Runs a command line as it is, but in a twin that is up already.
IN_TWIN = """
import contextlib, sys
from profiler import cli, twin
from profiler.machine_choice import MachineChoice
name = sys.argv.pop(1)

@contextlib.contextmanager
def machine(_choice, _workload=None):
    yield twin.find(name)

MachineChoice.machine = machine
sys.exit(cli.main())
"""


class TerminalSession:
    """A command that runs on a terminal of its own; Ctrl-C reaches its foreground process group as from a keyboard."""

    def __init__(self, command: Sequence[str], *, columns: int = 100, environment: Mapping[str, str] = {}) -> None:
        self.written = ""
        self._master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**inherited, "TERM": "xterm-256color", **environment},
        )
        os.close(terminal)

    def __enter__(self) -> TerminalSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(30)
        os.close(self._master)

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Read until the text was written; AssertionError if it does not come in time or the command ends before."""
        deadline = time.monotonic() + seconds
        while text not in self.written:
            assert time.monotonic() < deadline and self.read(), f"no {text!r} in {self.written[-2000:]!r}"

    def press(self, key: str) -> None:
        """Type a key; ``\\x03`` is Ctrl-C."""
        os.write(self._master, key.encode())

    def end(self, seconds: float = 90.0) -> int:
        """Read to the end and return the exit status."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.read():
            pass
        return self._process.wait(max(1.0, deadline - time.monotonic()))

    def read(self) -> bool:
        """Take what was written meanwhile, after at most a second; False when nothing will come any more."""
        if not select.select([self._master], [], [], 1.0)[0]:
            return self._process.poll() is None
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self.written += data.decode("utf-8", "replace")
        return bool(data)

    def screen(self) -> list[str]:
        """Return the lines that a reader sees after all rewriting, without colours."""
        plain = ESCAPE.sub("", self.written.replace("\r\n", "\n"))
        return [line.split("\r")[-1].rstrip() for line in plain.split("\n")]


def unit_tailor(twin: str, *arguments: str) -> list[str]:
    """Return the command that runs a command line of ours in this twin."""
    return [sys.executable, "-c", IN_TWIN, twin, *arguments]
