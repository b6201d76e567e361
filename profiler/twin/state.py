"""What is known of the twins on this machine: a directory for each, held by a lock for as long as its keeper lives.

::

    /var/lib/unit-tailor/            (or $UNIT_TAILOR_STATE), 0700
        twins/.lock                  held while a directory is claimed or swept
        twins/NAME/lock              held by the keeper; the kernel releases it when the keeper dies, however it dies
        twins/NAME/state.json        what to clean up, and what `twin list` shows
        twins/NAME/store, merged     the changes; the mount point
        layers/DIGEST/               packages, see layers.py
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from profiler.errors import PermissionRefused, ToolError, UsageError
from profiler.twin.process_identity import ProcessIdentity

VARIABLE = "UNIT_TAILOR_STATE"
DEFAULT = Path("/var/lib/unit-tailor")
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
LOCK, RECORD, LOG = "lock", "state.json", "nspawn.log"
FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What ``state.json`` says of one twin: ``created`` in seconds since 1970, ``leader`` its PID 1."""

    name: str
    owner: ProcessIdentity
    created: float
    detached: bool = False
    packages: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    keeper: ProcessIdentity | None = None
    leader: ProcessIdentity | None = None
    cgroups: tuple[str, ...] = ()
    in_memory: bool = False
    remarks: tuple[str, ...] = ()

    def write(self, directory: Path) -> None:
        """Replace the record in a twin's directory as a whole. Raises OSError."""
        text = json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1)
        temporary = directory / f".{RECORD}.{os.getpid()}"
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.rename(directory / RECORD)


def read_record(directory: Path) -> Record | None:
    """Return the record of a twin's directory, None if there is none that can be read."""
    try:
        found: dict[str, Any] = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        if found.pop("format") != FORMAT:
            return None
        for key in ("owner", "keeper", "leader"):
            found[key] = ProcessIdentity(**found[key]) if found[key] else None
        for key in ("packages", "layers", "cgroups", "remarks"):
            found[key] = tuple(found[key])
        return Record(**found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


FAULTS_OF_THE_MACHINE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in the quota",
    errno.EROFS: f"set {VARIABLE} to a directory that can be written",
    errno.EIO: "see what the kernel says: dmesg | tail",
    errno.ENOMEM: "free some memory, or take other twins down: unit-tailor twin list",
    errno.EMFILE: "raise the limit of open files: ulimit -n",
    errno.ENFILE: "raise the limit of open files: sysctl fs.file-max",
}
"""Errors of the kernel that are no fault of this program, and what to do about them."""


def fault_of(error: OSError) -> ToolError | None:
    """Return what to tell the user if the machine is at fault; None for a bug of ours."""
    hint = FAULTS_OF_THE_MACHINE.get(error.errno or 0)
    if hint is None:
        return None
    return ToolError(f"cannot make {error.filename or 'a twin'}: {error.strerror}", hint=hint)


@dataclass(frozen=True)
class Claim:
    """A directory that is ours for as long as ``lock``, an open descriptor, is held by anyone."""

    directory: Path
    lock: int


def state_directory() -> Path:
    """Return where everything is kept, made if missing.

    Raises PermissionRefused if it cannot be made, UsageError if it is unsuitable.
    """
    directory = Path(os.environ.get(VARIABLE) or DEFAULT)
    if not directory.is_absolute():
        raise UsageError(f"{VARIABLE} is not an absolute path: {directory}", hint=f"unset it to use {DEFAULT}")
    directory = Path(os.path.realpath(directory))
    if any(str(directory).startswith(top) for top in ("/run/", "/proc/", "/sys/", "/dev/")):
        raise UsageError(f"{directory} cannot hold twins", hint=f"set {VARIABLE} to a directory on a disk")
    try:
        for part in (directory, directory / "twins", directory / "layers"):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionRefused(
            f"cannot make {error.filename}: {error.strerror}",
            hint=f"run as root, or set {VARIABLE} to another directory",
        ) from None
    _check_owner(directory)
    return directory


def _check_owner(directory: Path) -> None:
    found = directory.stat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise ToolError(
            f"{directory} can be changed by other users", hint=f"run: chown root: {directory} && chmod 0700 {directory}"
        )


def twins_directory() -> Path:
    """Return the directory of the twins' directories."""
    return state_directory() / "twins"


def random_name(prefix: str = "twin") -> str:
    """Return a name that no other twin has."""
    return f"{prefix}-{secrets.token_hex(4)}"


def check_name(name: str) -> str:
    """Return the name if a twin can have it, else raise UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"not a name for a twin: {name!r}",
            hint="use up to 40 lower-case letters, digits and dashes, as in a host name",
        )
    return name


def claim(name: str) -> Claim:
    """Make the directory of a new twin and lock it. Raises UsageError if there is a twin of that name."""
    twins = twins_directory()
    directory = twins / name
    with locked(twins):
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            raise UsageError(
                f"there is a twin named {name} already", hint=f"run: unit-tailor twin down {name}"
            ) from None
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return Claim(directory, descriptor)


def take_if_dead(directory: Path) -> int | None:
    """Lock the directory of a twin that nobody keeps any more and return the descriptor; None if it is kept."""
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def locked(directory: Path, seconds: float = 60.0) -> Iterator[None]:
    """Hold the lock of a directory of directories. Raises ToolError if another process holds it for ``seconds``."""
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ToolError(
                        f"{directory} is locked by another process", hint=f"see who: fuser -v {directory}/.lock"
                    ) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def directories() -> list[Path]:
    """Return the directories of all twins, sorted by name."""
    return sorted(path for path in twins_directory().iterdir() if path.is_dir() and not path.name.startswith("."))
