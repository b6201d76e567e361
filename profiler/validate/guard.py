"""A promise that outlives us: if we die while a unit is under trial, systemd itself puts the unit back.

We hold a lock (flock(2)) on a file in the machine's /run. A transient service on the machine waits for that lock. The
kernel releases it when we end, however we end; if the trial's drop-in is still there then, the service removes it and
restarts the unit. After a reboot /run is empty, so nothing of ours is in force either.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from profiler.errors import ToolError
from profiler.machine import Machine
from profiler.unit.unit import Unit

STATE = "/run/unit-tailor"
"""Where locks live on the machine: gone at reboot."""

LOCK_WAIT = 20.0
"""Seconds to wait for the guard of a predecessor that died to finish putting the unit back."""

# $1 lock, $2 drop-in, $3 unit, $4 restart or stop
SCRIPT = """
exec 9<"$1"
flock 9 || exit 1
[ -e "$2" ] || exit 0
rm -f -- "$2"
rmdir -- "${2%/*}" 2>/dev/null
systemctl daemon-reload
systemctl reset-failed -- "$3"
exec systemctl "$4" -- "$3"
"""


@contextmanager
def locked(unit: Unit) -> Iterator[Path]:
    """Hold the lock of a unit, so that two of us never work on it at once; yields the lock file as seen from here.

    Raises ToolError if somebody else holds it for longer than a dead predecessor's guard needs.
    """
    directory = unit.machine.path(STATE)
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / f"{unit.name}.lock"
    descriptor = _lock(path, unit)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path, unit: Unit) -> int:
    # The file is removed with the lock, so a lock counts only while the file is still the one at that path.
    deadline = time.monotonic() + LOCK_WAIT
    while time.monotonic() < deadline:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)
        time.sleep(0.1)
    raise ToolError(f"another unit-tailor is working on {unit.name}", hint="wait for it to end, then try again")


@contextmanager
def guarded(unit: Unit, drop_in: str, afterwards: str) -> Iterator[None]:
    """Have systemd put the unit back (``afterwards``: restart or stop) if we die while ``drop_in`` exists.

    To be used inside ``locked``. Raises ToolError if the guard cannot be started: then nothing has been changed.
    """
    name = f"unit-tailor-guard-{secrets.token_hex(4)}.service"
    words = [SCRIPT, "unit-tailor-guard", f"{STATE}/{unit.name}.lock", drop_in, unit.name, afterwards]
    # systemd expands $ in command lines, also in those of systemd-run (systemd.service(5), "Command lines").
    command = ["/bin/sh", "-c", *(word.replace("$", "$$") for word in words)]
    options = ["--quiet", "--collect", "--no-ask-password", f"--unit={name}", "--property=Type=exec"]
    unit.machine.run(["systemd-run", *options, "--", *command])
    try:
        yield
    finally:
        _dismiss(unit.machine, name, unit.machine.path(drop_in))


def _dismiss(machine: Machine, name: str, drop_in: Path) -> None:
    # Only when the unit has been put back; otherwise the guard is what will do it as soon as we let go of the lock.
    if not drop_in.exists():
        machine.run(["systemctl", "stop", "--", name], check=False)
