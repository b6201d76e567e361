"""Profiles in files, and writing files for users.

What is written appears whole or not at all, never replaces anything unasked, and never goes through a symbolic link
that somebody put in its place.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from policy import service_profile
from policy.service_profile import Profile, ProfileError
from profiler.errors import PermissionRefused, ToolError, UsageError

PRIVATE = 0o600
"""The mode of profiles: they name every file that a service uses."""

READABLE = 0o644
"""The mode of drop-ins, as systemd's own."""

LARGEST = 512 * 1024 * 1024
"""Bytes; no recording is as large."""

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


def read_profile(path: Path) -> Profile:
    """Read a profile. Raises UsageError if it is missing, unreadable, damaged or made by a newer version."""
    data = _read(path)
    gc.disable()  # a hundred thousand facts that stay: looking for garbage among them takes longer than to read them
    try:
        return service_profile.loads(data.decode("utf-8", "surrogateescape"), str(path))
    except ProfileError as error:
        raise UsageError(str(error), hint=error.remedy) from None
    finally:
        gc.freeze()
        gc.enable()


def is_profile(path: Path) -> bool:
    """Whether a file begins as profiles do. Raises UsageError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(service_profile.BEGINNING)) == service_profile.BEGINNING
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {path}: {_words(error)}", hint="give the path of a profile or of a drop-in"
        ) from None


def _read(path: Path) -> bytes:
    remedy = f"record one: unit-tailor record UNIT -o {path}"
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        hint = remedy if isinstance(error, FileNotFoundError) else "make it readable, or give another file"
        raise UsageError(f"cannot read {path}: {_words(error)}", hint=hint) from None
    if len(data) > LARGEST:
        raise UsageError(f"cannot read {path}: it is larger than {LARGEST // 1024**2} MiB", hint=remedy)
    return data


def write_profile(path: Path, profile: Profile, *, force: bool = False) -> None:
    """Write a profile that only its owner can read. Errors as ``write_text``."""
    write_text(path, service_profile.dumps(profile), force=force)


def check_writable(path: Path, *, force: bool = False) -> None:
    """Raise what ``write_text`` would raise, before hours of recording are spent. Leaves nothing behind."""
    with _directory(path) as (directory, name), _reported(path):
        _refuse_target(directory, name, path, force)
        temporary = _create_temporary(directory, PRIVATE)
        os.close(temporary[0])
        os.unlink(temporary[1], dir_fd=directory)


def make_directory(path: Path, *, only_check: bool = False) -> None:
    """Make a directory for results, and those above it, if they are not there; errors as ``write_text``.

    With ``only_check`` nothing is left behind.
    """
    with _reported(path):
        if not only_check:
            path.mkdir(parents=True, exist_ok=True)
            return
        there = next(place for place in (path, *path.absolute().parents) if place.exists())
        directory = os.open(there, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor, temporary = _create_temporary(directory, PRIVATE)
            os.close(descriptor)
            os.unlink(temporary, dir_fd=directory)
        finally:
            os.close(directory)


def write_text(path: Path, text: str, *, mode: int = PRIVATE, force: bool = False) -> None:
    """Write a file by a temporary one beside it, so that it is whole even after a power failure.

    Raises UsageError if something is there already (with ``force``: something other than a regular file),
    PermissionRefused if the directory is not ours to write to, and ToolError for a full disk and the like.
    """
    data = text.encode("utf-8", "surrogateescape")
    with _directory(path) as (directory, name), _reported(path):
        _refuse_target(directory, name, path, force)
        reserved = not force and _reserve(directory, name, mode)
        try:
            _replace(directory, name, data, mode)
        except BaseException:
            if reserved:
                os.unlink(name, dir_fd=directory)
            raise
        os.fsync(directory)


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[tuple[int, str]]:
    """Hold the directory of a file open, so that everything happens in the same one; with the file's name in it."""
    if path.name in {"", ".."}:
        raise UsageError(f"cannot write {path}: Is a directory", hint="give the name of a file with -o")
    with _reported(path):
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield directory, path.name
    finally:
        os.close(directory)


@contextlib.contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turn failures of the system into errors that name the file."""
    try:
        yield
    except FileExistsError:
        raise _exists(path) from None
    except (OSError, ValueError) as error:
        message = f"cannot write {path}: {_words(error)}"
        if isinstance(error, OSError) and error.errno in _FORBIDDEN:
            raise PermissionRefused(message, hint="choose another place with -o, or run with sudo") from None
        if isinstance(error, OSError) and error.errno == errno.ENOENT:
            raise UsageError(message, hint=f"make the directory first: mkdir -p {path.parent}") from None
        raise ToolError(message, hint="choose another place with -o") from None


def _words(error: Exception) -> str:
    """Return the system's word for an error; for a ValueError (a NUL byte in the name) its own."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _exists(path: Path) -> UsageError:
    return UsageError(f"cannot write {path}: File exists", hint="choose another name with -o, or add --force")


def _refuse_target(directory: int, name: str, path: Path, force: bool) -> None:
    try:
        kind = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(kind):
        what = "a symbolic link" if stat.S_ISLNK(kind) else "no regular file"
        raise UsageError(f"cannot write {path}: it is {what}", hint="choose another name with -o")
    if not force:
        raise _exists(path)


def _reserve(directory: int, name: str, mode: int) -> bool:
    """Create the file, empty, so that nobody else's can be replaced; FileExistsError if somebody was quicker."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(name, flags, mode, dir_fd=directory))
    return True


def _create_temporary(directory: int, mode: int) -> tuple[int, str]:
    # The name begins with a dot and does not end in .conf: systemd does not read it where it reads drop-ins.
    name = f".unit-tailor-{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, mode, dir_fd=directory), name


def _replace(directory: int, name: str, data: bytes, mode: int) -> None:
    descriptor, temporary = _create_temporary(directory, mode)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor has no path)
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        raise
