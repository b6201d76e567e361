"""Directories that belong to one service, and what is listed in place of single names in them.

What a service wrote to in one recording is a sample: tomorrow's file has another date, another customer, another hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from policy.sandbox.mount_entry import is_below, parent_of

OWN_TREES = (
    "/var/lib",
    "/var/log",
    "/var/cache",
    "/var/spool",
    "/var/opt",
    "/var/www",
    "/var/games",
    "/opt",
    "/srv",
    "/run",
)
"""Directories whose subdirectories belong to one service each, as a rule (hier(7)): files in those come and go."""

STATE_TREES = ("/var/lib", "/var/log", "/var/cache", "/var/spool", "/run")
"""Those of them in which services keep what they write, and no programs or content of others (hier(7))."""

FILES_COME_AND_GO = frozenset({"/var/log", "/var/mail", "/var/spool/mail"})
"""Directories in which others move files away and make them anew: logrotate(8), and whoever adds users."""

LONGEST_LIST = 50
"""More entries than this are folded into directories of the service's own, where there are such."""

_COUNTED = re.compile(r"\d+(?:[-_.:T]?\d+)*|[0-9a-f]{2}|(?=[a-f-]*\d)[0-9a-f-]{8,}")
"""Names that are numbers, dates, the first digits of a hash, or a hash or identifier as a whole."""


def is_own_directory(path: str) -> bool:
    """Whether a directory belongs to one service, as its place in the file system suggests."""
    return any(is_below(path, tree) for tree in OWN_TREES) and not is_below(path, "/run/user")


def is_configuration(path: str) -> bool:
    """Whether a path is below /etc."""
    return is_below(path, "/etc")


def generalise(wanted: Mapping[str, bool]) -> dict[str, bool]:
    """Return the list with directories in place of entries that are samples of what is in them, each with whether it
    may be missing.

    A directory of the service's own stands for entries right below it with names that count (numbers, dates, hashes),
    and in a tree for state for two or more entries right below it. More entries never give a narrower list.
    """
    general = dict(wanted)
    while (above := _directory_of_samples(general)) is not None:
        general = {path: missing for path, missing in general.items() if not is_below(path, above)}
        general[above] = True  # who takes a directory of a service's away must not stop the unit (226)
    return general


def _directory_of_samples(paths: Iterable[str]) -> str | None:
    """Return the deepest directory that stands for entries below it."""
    names: dict[str, set[str]] = {}
    for path in paths:
        directory, _, name = path.rpartition("/")
        names.setdefault(directory, set()).add(name)
    found = [
        directory
        for directory, below in names.items()
        if is_own_directory(directory)
        and (any(map(_COUNTED.fullmatch, below)) or (len(below) > 1 and _is_state(directory)))
    ]
    return max(found, key=lambda directory: (directory.count("/"), directory), default=None)


def _is_state(directory: str) -> bool:
    return any(is_below(directory, tree) for tree in STATE_TREES)


def fold(wanted: dict[str, bool], limit: int) -> dict[str, bool]:
    """Replace entries by directories above them, deepest first, until at most ``limit`` are left.

    Never up to a directory that services share: then more entries stay.
    """
    folded = dict(wanted)
    while len(folded) > limit:
        above = _directory_to_fold(folded)
        if above is None:
            break
        may_be_missing = all(missing for path, missing in folded.items() if is_below(path, above))
        folded = {path: missing for path, missing in folded.items() if not is_below(path, above)}
        folded[above] = may_be_missing
    return folded


def _directory_to_fold(paths: Iterable[str]) -> str | None:
    """Return the deepest directory of a service's own with at least two of these paths below it."""
    below: dict[str, int] = {}
    for path in paths:
        above = parent_of(path)
        while above != "/":
            below[above] = below.get(above, 0) + 1
            above = parent_of(above)
    eligible = [
        path for path, count in below.items() if count > 1 and (is_own_directory(path) or is_configuration(path))
    ]
    return max(eligible, key=lambda path: (path.count("/"), path), default=None)
