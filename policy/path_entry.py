"""One entry of a path list (ReadWritePaths= and its siblings): read as systemd reads it, and written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from policy.path_encoding import (
    MalformedWords,
    UnknownSpecifier,
    encode_path,
    expand_specifiers,
    inexpressible_because,
    simplify,
    split_words,
)

PARENT_OF_ROOT_SINCE = 257
"""The first version measured to take ``/..`` at the beginning of a path for ``/``; 252 ignores the entry
(``path_simplify_full`` in ``src/basic/path-util.c``)."""

_PARENTS_OF_ROOT = re.compile(r"\A(?:/+\.\.?(?=/|\Z))+")


@dataclass(frozen=True)
class PathEntry:
    """``-`` in front (a missing path is no error), ``+`` (below RootDirectory=), and the path, ``%`` doubled."""

    path: str
    ignore_missing: bool = False
    beneath_root: bool = False

    def place(self, specifiers: Mapping[str, str], version: int) -> str:
        """Return the path that this version of systemd makes of the entry, empty if it ignores it.

        ``specifiers`` maps the letters behind ``%`` to their values (``system_specifiers``).
        """
        try:
            return _taken(expand_specifiers(self.path, specifiers), version)
        except UnknownSpecifier:
            return ""


def words(assignment: str) -> tuple[str, ...]:
    """Return the words of a line; of a malformed one those before the fault."""
    try:
        return split_words(assignment)
    except MalformedWords as fault:
        return fault.words


def entry_of(word: str, version: int = 0) -> PathEntry | None:
    """Return the entry, or ``None`` where this version of systemd ignores it whatever its specifiers stand for."""
    path = word.removeprefix("-")
    optional = path != word
    beneath_root = path.startswith("+")
    path = path.removeprefix("+")
    if not path.startswith("%"):
        path = _taken(path, version)
    return PathEntry(path, optional, beneath_root) if path else None


def entries_of(assignment: str, version: int = 0) -> tuple[PathEntry, ...]:
    """Return the entries of a line that this version of systemd takes."""
    read = (entry_of(word, version) for word in words(assignment))
    return tuple(entry for entry in read if entry is not None)


def written(entry: PathEntry, directive: str) -> str:
    """Return an entry as it stands in a unit file."""
    prefix = ("-" if entry.ignore_missing else "") + ("+" if entry.beneath_root else "")
    if entry.path.startswith("%"):
        encoded = encode_path(f"/{entry.path}", directive).replace("/", "", 1)
    else:
        encoded = encode_path(entry.path, directive)
    return prefix + encoded.replace("%%", "%")


def _taken(path: str, version: int) -> str:
    if path.startswith("/") and version >= PARENT_OF_ROOT_SINCE:
        path = _PARENTS_OF_ROOT.sub("", path) or "/"
    return "" if inexpressible_because(path) else simplify(path)
