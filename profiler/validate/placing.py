"""Putting a drop-in in its place and taking it away, so that every moment shows the old file or the new one, whole.

Written under a name that systemd does not read (systemd.unit(5): only ``*.conf``), flushed, renamed, and the directory
flushed as well. Every directory on the way is opened without following symlinks and must be root's alone.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from profiler.errors import ToolError
from profiler.machine import Machine

STAGED_SUFFIX = ".staged"
"""What the name of a file ends in until it is complete."""

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def staged_path(path: str) -> str:
    """Return the path under which a file is written before it gets its name."""
    return path + STAGED_SUFFIX


def put(machine: Machine, path: str, data: bytes, mode: int = 0o644) -> None:
    """Put a file at an absolute path of the machine, in place of what was there; missing directories are made.

    Raises ToolError, with nothing changed, if it cannot be written whole, or if a directory on the way is a symlink or
    can be written to by others than root.
    """
    name = PurePosixPath(path).name
    try:
        with _directory(machine, path, make=True) as directory:
            try:
                _write(directory, name + STAGED_SUFFIX, data, mode)
                os.rename(name + STAGED_SUFFIX, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name + STAGED_SUFFIX, dir_fd=directory)
                raise
            os.fsync(directory)
    except OSError as error:
        _remove_if_empty(machine, path)
        raise ToolError(
            f"cannot write {path} on {machine.name}: {error.strerror}",
            hint="nothing was changed; make room, or see who owns the directories above it",
        ) from None


def _write(directory: int, name: str, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=directory)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())


def take_away(machine: Machine, path: str) -> None:
    """Remove a file and its staged form, and their directory if nothing else is in it; harmless if there is none.

    Raises ToolError if it cannot be removed.
    """
    name = PurePosixPath(path).name
    try:
        with contextlib.suppress(FileNotFoundError), _directory(machine, path, make=False) as directory:
            for entry in (name + STAGED_SUFFIX, name):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry, dir_fd=directory)
            os.fsync(directory)
    except OSError as error:
        raise ToolError(f"cannot remove {path} on {machine.name}: {error.strerror}", hint=f"run: rm {path}") from None
    _remove_if_empty(machine, path)


def read(machine: Machine, path: str) -> bytes | None:
    """Return what a file of the machine holds, None if there is none. Raises ToolError if it cannot be read."""
    try:
        descriptor = os.open(machine.path(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ToolError(
            f"cannot read {path} on {machine.name}: {error.strerror}", hint=f"look at: ls -l {path}"
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _remove_if_empty(machine: Machine, path: str) -> None:
    # The kernel would let us remove a directory on which something is mounted in the machine's own namespace only.
    directory = machine.path(str(PurePosixPath(path).parent))
    with contextlib.suppress(OSError):
        if not directory.is_mount():
            directory.rmdir()


@contextmanager
def _directory(machine: Machine, path: str, *, make: bool) -> Iterator[int]:
    # Yields a descriptor of the directory of a path; made directories are 0755 whatever the umask is.
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    current = os.open(machine.root, flags)
    try:
        for part in PurePosixPath(path).parent.parts[1:]:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=current)
            deeper = os.open(part, flags | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = deeper
            _check_owner(current, path)
        yield current
    finally:
        os.close(current)


def _check_owner(descriptor: int, path: str) -> None:
    found = os.fstat(descriptor)
    if found.st_uid != 0 or (found.st_mode & WRITABLE_BY_OTHERS and not found.st_mode & stat.S_ISVTX):
        raise ToolError(
            f"a directory of {path} can be written to by others than root", hint="look at: namei -l " + path
        )
