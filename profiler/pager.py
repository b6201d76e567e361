"""A pager for what is longer than the screen, chosen and guarded as systemd's own tools do it.

$SYSTEMD_PAGER decides, then $PAGER, then less; an empty value or ``cat`` means none. Under sudo the pager is asked to
be secure, so that nobody gets a root shell out of it. Source: systemd's docs/ENVIRONMENT.md, ``src/shared/pager.c``.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

from profiler.errors import ToolError
from profiler.run import start
from profiler.standard_streams import DESCRIPTOR, OutputClosed
from profiler.terminal import OFF_WORDS

LESS_OPTIONS = "FRSXMK"
"""For less(1), as systemd has them: quit if all fits one screen, keep colours, chop long lines, end by Ctrl-C."""

NONE = frozenset({"", "cat"})
DEFAULT = "less"

_forbidden = False


def forbid() -> None:
    """Use no pager from now on: ``--no-pager``."""
    global _forbidden  # noqa: PLW0603 (one for the process, as the standard output that it is about)
    _forbidden = True


def wanted() -> tuple[str, ...]:
    """Return the pager's command line, or nothing where there is to be none."""
    asked = next((os.environ[name] for name in ("SYSTEMD_PAGER", "PAGER") if name in os.environ), DEFAULT)
    try:
        words = shlex.split(asked)
    except ValueError:
        return ()
    if not words or words[0] in NONE or shutil.which(words[0]) is None:
        return ()
    if is_secure() and os.path.basename(words[0]) != DEFAULT:  # noqa: PTH119 (a word, not a path)
        return () if shutil.which(DEFAULT) is None else (DEFAULT,)
    return tuple(words)


def is_secure() -> bool:
    """Whether the pager must not start other programs: $SYSTEMD_PAGERSECURE, else whether sudo(8) made us root."""
    asked = os.environ.get("SYSTEMD_PAGERSECURE", "")
    return asked.lower() not in OFF_WORDS if asked else "SUDO_UID" in os.environ


@contextlib.contextmanager
def paged() -> Iterator[None]:
    """Send standard output through a pager while the context lasts, if it is a terminal and a pager is wanted.

    That the user leaves the pager early is no error.
    """
    command = wanted() if not _forbidden and sys.stdout.isatty() and os.isatty(DESCRIPTOR) else ()
    process = _start(command) if command else None
    if process is None or process.stdin is None:
        yield
        return
    screen = os.dup(DESCRIPTOR)
    os.dup2(process.stdin.fileno(), DESCRIPTOR)
    process.stdin.close()
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the pager
    try:
        with contextlib.suppress(OutputClosed):
            yield
            sys.stdout.flush()
    finally:
        os.dup2(screen, DESCRIPTOR)  # closes our end of the pipe: the pager has everything
        os.close(screen)
        process.wait()
        signal.signal(signal.SIGINT, ignored)


def _start(command: tuple[str, ...]) -> subprocess.Popen[bytes] | None:
    environment = {
        "LESS": os.environ.get("SYSTEMD_LESS", LESS_OPTIONS),
        "LESSCHARSET": os.environ.get("SYSTEMD_LESSCHARSET", "utf-8"),
        "TERM": os.environ.get("TERM", "dumb"),
    }
    environment |= {"LESSSECURE": "1"} if is_secure() else {}
    try:
        return start(
            command,
            stdin=subprocess.PIPE,
            stdout=DESCRIPTOR,
            stderr=2,
            extra_environment=environment,
            new_session=False,
        )
    except ToolError:
        return None
