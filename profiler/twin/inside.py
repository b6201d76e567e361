"""Paths of another root: symlinks are followed as a process inside would follow them, never out of the root."""

from __future__ import annotations

import errno
import os
from pathlib import Path

LIMIT = 40
"""Symlinks that a path may lead through, as the kernel's own limit (path_resolution(7))."""


def resolve(root: Path, path: str) -> Path:
    """Return where an absolute path of ``root`` leads, seen from here. What does not exist is taken as it is named.

    For trees that nobody changes meanwhile. Raises OSError (ELOOP) on a loop of symlinks.
    """
    pending = [part for part in path.split("/") if part not in ("", ".")][::-1]
    done: list[str] = []
    followed = 0
    while pending:
        name = pending.pop()
        if name == "..":
            del done[-1:]
            continue
        place = root.joinpath(*done, name)
        if not place.is_symlink():
            done.append(name)
            continue
        followed += 1
        if followed > LIMIT:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        goal = str(place.readlink())
        if goal.startswith("/"):
            done.clear()
        pending += [part for part in goal.split("/") if part not in ("", ".")][::-1]
    return root.joinpath(*done)


def write(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    """Make a file of ``root`` that holds ``text``, in place of whatever has that name. Raises OSError."""
    directory = resolve(root, os.path.dirname(path))  # noqa: PTH120 (a path of another root)
    directory.mkdir(parents=True, exist_ok=True)
    place = directory / os.path.basename(path)  # noqa: PTH119
    place.unlink(missing_ok=True)
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def remove(root: Path, path: str) -> None:
    """Remove a file of ``root``, if it exists. Raises OSError."""
    directory = resolve(root, os.path.dirname(path))  # noqa: PTH120
    (directory / os.path.basename(path)).unlink(missing_ok=True)  # noqa: PTH119
