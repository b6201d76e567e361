"""A promise that outlives us: if we die while a unit is changed, systemd itself brings the change to its end.

We hold a lock (flock(2)) on a file in the machine's /run. Before anything is changed, a transient service is started
that waits for that lock, and a *note* is written of what has to be done. The kernel releases the lock when we end,
however we end; if the note is still there then, the service does what it says. The note goes away last, when the unit
is whole again, so there is no moment at which a death leaves half a change. Should the guard die as well, the next
command that takes the lock does what the note says. After a reboot /run is empty, so nothing of ours is in force.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from profiler.errors import ToolError
from profiler.machine import Machine
from profiler.unit.systemctl import STOP_LIMIT, STOP_TIME
from profiler.unit.unit import OUR_DROP_IN, Unit
from profiler.validate.placing import put, read, staged_path, take_away

STATE = "/run/unit-tailor"
"""Where locks and notes live on the machine: gone at reboot."""

LOCK_WAIT = 20.0
"""Seconds to wait for the guard of a predecessor that died to finish putting the unit back."""

RECOVERY_TIMEOUT = 300.0
"""Seconds that putting a unit back may take: its stop, which is killed where it hangs, and its start."""

DESCRIPTION = "unit-tailor puts a service back"

NOTIFY_SOCKET = "/run/systemd/notify"
"""Where systemd as PID 1 listens to services (``manager_setup_notify`` in systemd's ``src/core/manager.c``)."""

# $1 lock or nothing, $2 note, $3 unit, $4 what to do with the unit afterwards, $5 timer to stop or nothing, then the
# files to remove. A stop without a limit of its own that hangs ends with SIGKILL, as in ``Systemctl.change``: after
# that, a second job waits for what the first one goes on to do.
PUT_BACK = f"""
lock=$1 note=$2 unit=$3 afterwards=$4 timer=$5
shift 5
[ -z "$lock" ] || {{ exec 9>>"$lock" && flock 9; }} || exit 1
[ -e "$note" ] || {{ rm -f -- "$note.staged"; exit 0; }}
for file do
    rm -f -- "$file"
    rmdir -- "${{file%/*}}" 2>/dev/null
done
[ -z "$timer" ] || systemctl stop -- "$timer"
systemctl daemon-reload || {{ sleep 1; systemctl daemon-reload; }}
systemctl reset-failed -- "$unit"
if [ "$(systemctl show --property={STOP_TIME} --value -- "$unit")" = infinity ]; then
    timeout {STOP_LIMIT:.0f} systemctl "$afterwards" -- "$unit"
    if [ $? -eq 124 ]; then
        case $(systemctl show --property=ActiveState --value -- "$unit") in
            deactivating|reloading) systemctl kill --signal=KILL -- "$unit" ;;
        esac
        [ "$afterwards" = stop ] || afterwards=start
        systemctl "$afterwards" -- "$unit"
    fi
else
    systemctl "$afterwards" -- "$unit"
fi
rm -f -- "$note"
[ -z "$lock" ] || rm -f -- "$lock"
"""

# $1 lock or nothing, $2 note, $3 what was on trial, $4 where it is permanent, $5 record of the trial, $6 its timer
CONFIRM = """
lock=$1 note=$2 trial=$3 permanent=$4 record=$5 timer=$6
[ -z "$lock" ] || { exec 9>>"$lock" && flock 9; } || exit 1
[ -e "$note" ] || { rm -f -- "$note.staged"; exit 0; }
rm -f -- "$permanent.staged"
rmdir -- "${permanent%/*}" 2>/dev/null
if [ ! -e "$trial" ] || cmp -s -- "$trial" "$permanent"; then
    rm -f -- "$trial" "$record"
    rmdir -- "${trial%/*}" 2>/dev/null
    systemctl stop -- "$timer"
    systemctl daemon-reload
fi
rm -f -- "$note"
[ -z "$lock" ] || rm -f -- "$lock"
"""


# $1 lock or nothing, $2 note, $3 unit, $4 its main process, $5 its own watchdog in microseconds
WATCHDOG = f"""
lock=$1 note=$2 unit=$3 process=$4 watchdog=$5
[ -z "$lock" ] || {{ exec 9>>"$lock" && flock 9; }} || exit 1
[ -e "$note" ] || {{ rm -f -- "$note.staged"; exit 0; }}
if [ "$(systemctl show --property=MainPID --value -- "$unit")" = "$process" ]; then
    NOTIFY_SOCKET={NOTIFY_SOCKET} systemd-notify --pid="$process" WATCHDOG_USEC="$watchdog"
fi
rm -f -- "$note"
[ -z "$lock" ] || rm -f -- "$lock"
"""

KINDS = {"put back": PUT_BACK, "confirm": CONFIRM, "watchdog": WATCHDOG}
"""The scripts by the names that notes have for them."""


@dataclass(frozen=True)
class Duty:
    """What has to be done if we die: a script of this file and its words after lock and note."""

    script: str
    words: tuple[str, ...]

    @classmethod
    def put_back(cls, unit: str, afterwards: str, *files: str, timer: str = "", kept: str = "") -> Duty:
        """Remove files of ours, and bring the unit to where it was: ``restart``, ``start``, ``stop``, ...

        ``kept`` stays if it has got to its place, and goes if it was half written.
        """
        names = [name for path in files for name in (staged_path(path), path)]
        names += [staged_path(kept)] if kept else []
        return cls(PUT_BACK, (unit, afterwards, timer, *names))

    @classmethod
    def confirm(cls, trial: str, permanent: str, record: str, timer: str) -> Duty:
        """Make a drop-in on trial permanent if it had got to its place, and leave it on trial if it had not."""
        return cls(CONFIRM, (trial, permanent, record, timer))

    @classmethod
    def watchdog(cls, unit: str, process: str, microseconds: int) -> Duty:
        """Give a running service its own watchdog again, if it still is that process."""
        return cls(WATCHDOG, (unit, process, str(microseconds)))

    def command(self, lock: str, note: str) -> list[str]:
        """Return the command line that does it: once it has the lock, if any, and only while the note is there."""
        return ["/bin/sh", "-c", self.script, "unit-tailor-guard", lock, note, *self.words]


def note_path(unit: str) -> str:
    """Return where the note of a unit is."""
    return f"{STATE}/{unit}.note"


@contextmanager
def locked(unit: Unit, announce: Callable[[str], None] = lambda _text: None) -> Iterator[Path]:
    """Hold the lock of a unit, so that two of us never work on it at once; yields the lock file as seen from here.

    What a predecessor noted and did not bring to its end is done first, and announced. Raises ToolError if somebody
    else holds the lock for longer than a dead predecessor's guard needs.
    """
    directory = unit.machine.path(STATE)
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / f"{unit.name}.lock"
    descriptor = _lock(path, unit)
    try:
        _clear_half_written(unit)
        if recover(unit):
            announce(f"an earlier unit-tailor was killed at work: {unit.name} was put back")
        yield path
    finally:
        # A guard that still has to act must find the file.
        if not unit.machine.path(note_path(unit.name)).exists():
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _clear_half_written(unit: Unit) -> None:
    # What a power cut left: the note was in /run, so nothing but the name tells of it, and systemd does not read it.
    half_written = staged_path(f"/etc/systemd/system/{unit.name}.d/{OUR_DROP_IN}")
    if unit.machine.path(half_written).exists():
        unit.machine.run(["rm", "-f", "--", half_written])


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


def recover(unit: Unit) -> bool:
    """Do what a note says that nobody is working on any more; False if there is none. To be used inside ``locked``."""
    path = note_path(unit.name)
    text = read(unit.machine, path)
    if text is None:
        return False
    try:
        found = json.loads(text)
        duty = Duty(KINDS[found["duty"]], tuple(map(str, found["words"])))
    except (ValueError, KeyError, TypeError):
        raise ToolError(
            f"the note {path} cannot be read", hint=f"look at: unit-tailor status {unit.name}; then remove it"
        ) from None
    unit.machine.run(duty.command("", path), timeout=RECOVERY_TIMEOUT, check=False)
    return True


@contextmanager
def guarded(unit: Unit, duty: Duty) -> Iterator[Callable[[], None]]:
    """Have systemd do ``duty`` if we die before the function that is yielded was called: it says that all is whole.

    To be used inside ``locked``. Raises ToolError if the guard cannot be started: then nothing has been changed.
    """
    name = f"unit-tailor-guard-{secrets.token_hex(4)}.service"
    note = note_path(unit.name)
    kind = next(kind for kind, script in KINDS.items() if script == duty.script)
    start_transient(unit.machine, name, duty.command(f"{STATE}/{unit.name}.lock", note), "--property=Type=exec")
    try:
        put(unit.machine, note, json.dumps({"duty": kind, "words": duty.words}).encode(), 0o600)
        yield lambda: take_away(unit.machine, note)
    finally:
        # Only when all is whole; otherwise the guard is what will do it as soon as we let go of the lock.
        if not unit.machine.path(note).exists():
            unit.machine.run(["systemctl", "stop", "--", name], check=False)


def start_transient(machine: Machine, name: str, command: list[str], *options: str) -> None:
    """Start a command as a transient unit (systemd-run(1)) that leaves no trace when it ends. Raises ToolError."""
    # systemd expands $ in command lines, also in those of systemd-run (systemd.service(5), "Command lines").
    words = [word.replace("$", "$$") for word in command]
    fixed = ["--quiet", "--collect", "--no-ask-password", f"--unit={name}", f"--description={DESCRIPTION}"]
    machine.run(["systemd-run", *fixed, *options, "--", *words])
