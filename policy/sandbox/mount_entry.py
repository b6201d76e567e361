"""The entries of systemd's mount table: what one directive asks for at one path, and which of them remain.

Source: ``src/core/namespace.c`` of systemd 245 to 262: ``mount_path_compare``, ``drop_duplicates``,
``drop_inaccessible``, ``drop_nop``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum


class Mode(IntEnum):
    """What is mounted at a path, in the order of ``MountMode``: of two entries for one path the first one wins."""

    INACCESSIBLE = 0
    BIND = 1
    PRIVATE_TMP = 2
    PRIVATE_DEVICES = 3
    EMPTY_DIRECTORY = 4
    READ_ONLY = 5
    READ_WRITE = 6
    NO_EXECUTE = 7
    EXECUTE = 8
    TEMPORARY = 9
    IMPLICIT_READ_WRITE = 10


BOUND_ONTO_THEMSELVES = frozenset(
    {
        Mode.INACCESSIBLE,
        Mode.READ_ONLY,
        Mode.READ_WRITE,
        Mode.NO_EXECUTE,
        Mode.EXECUTE,
        Mode.IMPLICIT_READ_WRITE,
    }
)
"""Modes whose path must exist: systemd mounts over what is there and creates nothing."""

HIDING = frozenset(
    {Mode.INACCESSIBLE, Mode.PRIVATE_TMP, Mode.PRIVATE_DEVICES, Mode.EMPTY_DIRECTORY, Mode.TEMPORARY},
)
"""Modes that cover what the host has below the path."""

_REFUSE_WRITES = frozenset({Mode.READ_ONLY, Mode.INACCESSIBLE, Mode.PRIVATE_DEVICES})

ALIASES: Mapping[str, str] = {
    "/bin": "/usr/bin",
    "/sbin": "/usr/sbin",
    "/lib": "/usr/lib",
    "/lib32": "/usr/lib32",
    "/lib64": "/usr/lib64",
    "/libx32": "/usr/libx32",
    "/var/run": "/run",
    "/var/lock": "/run/lock",
}
"""Symlinks that every supported distribution has (file-hierarchy(7)); systemd follows symlinks in its entries."""


@dataclass(frozen=True)
class MountEntry:
    """What a directive wants at a path. ``setting`` is the line to blame; without a directive it is the unit's own.

    ``permissions`` are those of the top directory of a tmpfs. ``loses_writes`` marks a writable tmpfs whose content
    was meant to last, so that a write into it counts as denied. ``displaces_writable`` is found out when entries are
    sorted: another one at the same path would have been writable.
    """

    path: str
    mode: Mode
    directive: str = ""
    setting: str = ""
    ignore_missing: bool = False
    read_only: bool = False
    no_execute: bool = False
    execute: bool = False
    permissions: int = 0o755
    loses_writes: bool = False
    displaces_writable: bool = False

    @functools.cached_property
    def refuses_writes(self) -> bool:
        """Whether systemd sets the read-only flag on this mount (``mount_entry_read_only``, and the private /dev)."""
        return self.read_only or self.mode in _REFUSE_WRITES

    @property
    def hides(self) -> bool:
        """Whether what the host has below the path cannot be seen."""
        return self.mode in HIDING


@functools.lru_cache(maxsize=1 << 16)
def parent_of(path: str) -> str:
    """Return the directory of an absolute path; that of ``/`` is ``/``."""
    return path.rpartition("/")[0] or "/"


def is_below(path: str, ancestor: str) -> bool:
    """Whether a path is strictly below another one."""
    if not path.startswith(ancestor):
        return False
    return path != ancestor and (ancestor == "/" or path[len(ancestor)] == "/")


def without_aliases(path: str) -> str:
    """Return the path with a leading well-known symlink followed."""
    for link, target in ALIASES.items():
        if path == link or path.startswith(link + "/"):
            return target + path[len(link) :]
    return path


@dataclass(frozen=True)
class Remaining:
    """What systemd really mounts, by path.

    ``failure`` is the first entry at which the set-up of the unit fails. ``merged`` has read-only entries that took
    the place of a writable one and then vanished in a read-only entry above: they are to blame for what is refused.
    """

    mounts: Mapping[str, MountEntry]
    failure: MountEntry | None
    merged: Mapping[str, MountEntry]

    @functools.cached_property
    def closed_tops(self) -> tuple[MountEntry, ...]:
        """Every tmpfs whose top directory only root can walk through."""
        return tuple(one for one in self.mounts.values() if one.mode is Mode.TEMPORARY and not one.permissions & 1)


def remaining(entries: Iterable[MountEntry]) -> Remaining:
    """Return what is left of the entries after systemd's sorting and dropping."""
    kept: dict[str, MountEntry] = {}
    merged: dict[str, MountEntry] = {}
    failure: MountEntry | None = None
    for entry in _without_duplicates(entries):
        above = _nearest_above(kept, entry.path)
        if above is not None and above.mode is Mode.INACCESSIBLE:
            continue
        if above is not None and entry.mode is above.mode and entry.mode in _DROPPED_BELOW_THEIR_LIKE:
            if entry.displaces_writable:
                merged[entry.path] = entry
            continue
        if above is not None and _is_missing(entry, above):
            if not (entry.ignore_missing or entry.mode is Mode.IMPLICIT_READ_WRITE or failure):
                failure = entry
            continue
        kept[entry.path] = entry
    return Remaining(kept, failure, merged)


_DROPPED_BELOW_THEIR_LIKE = frozenset({Mode.READ_ONLY, Mode.READ_WRITE, Mode.IMPLICIT_READ_WRITE})
_WRITABLE = frozenset({Mode.READ_WRITE, Mode.IMPLICIT_READ_WRITE})


def _without_duplicates(entries: Iterable[MountEntry]) -> list[MountEntry]:
    """Sort by path and priority; the first of equal paths stays and takes over the flags of the others."""
    unique: dict[str, MountEntry] = {}
    resolved = (dataclasses.replace(entry, path=without_aliases(entry.path)) for entry in entries)
    for entry in sorted(resolved, key=lambda entry: (entry.path.split("/"), entry.mode, entry.ignore_missing)):
        first = unique.get(entry.path)
        if first is None:
            unique[entry.path] = entry
            continue
        unique[entry.path] = dataclasses.replace(
            first,
            read_only=first.read_only or entry.read_only or entry.mode in {Mode.READ_ONLY, Mode.INACCESSIBLE},
            no_execute=first.no_execute or entry.no_execute or entry.mode is Mode.NO_EXECUTE,
            execute=first.execute or entry.execute or entry.mode is Mode.EXECUTE,
            displaces_writable=first.displaces_writable or entry.mode in _WRITABLE,
        )
    return list(unique.values())


def _nearest_above(kept: Mapping[str, MountEntry], path: str) -> MountEntry | None:
    while path != "/":
        path = parent_of(path)
        if path in kept:
            return kept[path]
    return None


PRIVATE_DEVICE_NODES = frozenset(
    f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx")
)
"""The nodes in a private /dev (``mount_private_dev`` in systemd's ``src/core/namespace.c``)."""

PRIVATE_DEVICE_MOUNTS = frozenset({"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/hugepages"})
"""What is mounted again from the host below a private /dev."""

PRIVATE_DEVICE_LINKS = frozenset(
    {"/dev/core", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/log", "/dev/char"}
    | {f"/dev/char/{number}" for number in ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0")}
)
"""Symlinks in a private /dev (``dev_setup`` in ``src/shared/dev-setup.c``) and those that lead to its nodes."""


def is_in_private_devices(path: str) -> bool:
    """Whether a private /dev has this path."""
    return path in PRIVATE_DEVICE_NODES | PRIVATE_DEVICE_LINKS or is_in_device_mount(path)


def is_in_device_mount(path: str) -> bool:
    """Whether the path is, or is below, one of the host's file systems that a private /dev shows."""
    return "/".join(path.split("/")[:3]) in PRIVATE_DEVICE_MOUNTS


def _is_missing(entry: MountEntry, above: MountEntry) -> bool:
    """Whether the path of the entry does not exist in the fresh file system that is mounted above it."""
    if entry.mode not in BOUND_ONTO_THEMSELVES or above.mode not in HIDING:
        return False
    return above.mode is not Mode.PRIVATE_DEVICES or not is_in_private_devices(entry.path)
