"""Reading a drop-in from a file."""

from __future__ import annotations

from pathlib import Path

from policy import drop_in
from policy.drop_in import DropIn, DropInError
from profiler.errors import UsageError

LARGEST = 4 * 1024 * 1024
"""Bytes; a larger file is no drop-in."""


def read_drop_in(path: Path) -> DropIn:
    """Return the drop-in in a file; raises UsageError, with the line, for one that systemd would not read whole."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="give the path of a drop-in file") from None
    if len(data) > LARGEST:
        raise UsageError(f"{path} is too large for a drop-in", hint="give the path of a drop-in file")
    try:
        return drop_in.parse(data, str(path))
    except DropInError as error:
        raise UsageError(str(error), hint="systemd.syntax(7) tells how unit files are written") from None
