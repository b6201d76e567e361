"""What the kernel says where systemd has mounted something over a part of the file system.

Inaccessible paths are covered by an empty file or directory of mode 000 on a read-only mount, so a process that may
override permissions sees emptiness and everybody else EACCES. A tmpfs, a private /tmp and a private /dev have only
what was put there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from policy.behaviour import OK, Access, FileKind, PathUse
from policy.sandbox.mount_entry import (
    PRIVATE_DEVICE_NODES,
    Mode,
    MountEntry,
    is_in_device_mount,
    is_in_private_devices,
    parent_of,
)
from policy.sandbox.read_only import BEFORE_LOOKUP, EROFS, HAPPENED, NAME_ACCESSES, read_only_outcome

EMPTY = "empty"
"""The outcome of a call that succeeds, but sees an empty file or directory instead of the content it saw before."""

FEWER = "fewer"
"""The outcome of a call that succeeds, but finds fewer names in a directory than before."""

LOST = "lost"
"""The outcome of a call that succeeds, but writes into a file system that vanishes with the service."""


NAME_IS_TAKEN = frozenset({"EEXIST", "EADDRINUSE"})
"""What making a name says when it exists already; where it is hidden, the call succeeds instead."""


@dataclass(frozen=True)
class Looker:
    """Who uses a path: whether permissions can stop them, and which names exist in the fresh file systems."""

    overrides_permissions: bool
    is_root: bool
    provided: Callable[[str], bool] = lambda path: False  # noqa: ARG005  # whether a mount further down needs this path


def hidden_outcome(entry: MountEntry, use: PathUse, outcome: str, looker: Looker) -> str:
    """Return the outcome of a use at or below a path that is covered by this entry."""
    if outcome in BEFORE_LOOKUP:
        return outcome
    match entry.mode:
        case Mode.INACCESSIBLE:
            return _inaccessible(entry, use, outcome, looker)
        case Mode.PRIVATE_TMP:
            return _private_tmp(entry, use, outcome, looker)
        case Mode.PRIVATE_DEVICES:
            return _private_devices(entry, use, outcome)
        case _:
            return _temporary(entry, use, outcome, looker)


def _inaccessible(entry: MountEntry, use: PathUse, outcome: str, looker: Looker) -> str:
    if use.path == entry.path:
        return _cover_itself(use, outcome, looker)
    return _in_empty_directory(entry, use) if looker.overrides_permissions else "EACCES"


def _cover_itself(use: PathUse, outcome: str, looker: Looker) -> str:
    """An object of mode 000 on a read-only mount. For who must respect it stat() works and chdir() or access() do
    not; a fact does not tell them apart, so both count as refused."""
    if use.access is Access.METADATA:
        return EROFS
    if use.access is Access.EXECUTE or not looker.overrides_permissions:
        return "EACCES"
    if use.access is Access.MAP_EXECUTE:
        return "EPERM"  # it can be opened, but its mount has no execution
    if use.access is Access.CONNECT:
        return "ECONNREFUSED"
    if use.access is Access.READ or use.kind in {FileKind.CHARACTER, FileKind.BLOCK}:
        return _opened_cover(use, outcome)
    return read_only_outcome(use, outcome)


def _opened_cover(use: PathUse, outcome: str) -> str:
    """The node that covers a device lies on /run, which is mounted nodev; a file or directory is empty."""
    if use.kind in {FileKind.CHARACTER, FileKind.BLOCK}:
        return outcome if use.access in {Access.LOOKUP, Access.WRITE_PROBE} else "EACCES"
    return EMPTY if outcome in HAPPENED else outcome


def _in_empty_directory(entry: MountEntry, use: PathUse) -> str:
    """The outcome of a use below an empty read-only directory, for who may search it."""
    if use.access in NAME_ACCESSES and parent_of(use.path) == entry.path:
        return EROFS
    return "ENOENT"


def _top_of_temporary(entry: MountEntry, use: PathUse, outcome: str, looker: Looker) -> str:
    readable = entry.permissions & 0o005 and use.access in {Access.READ, Access.LOOKUP}
    if outcome == "EACCES" and readable:
        return OK
    if not looker.is_root and entry.permissions & 0o004 == 0 and use.access is Access.READ:
        return "EACCES"
    return _fresh_top(use, outcome, looker, writable=not entry.refuses_writes)


def _temporary(entry: MountEntry, use: PathUse, outcome: str, looker: Looker) -> str:
    if use.path == entry.path:
        return _top_of_temporary(entry, use, outcome, looker)
    if not looker.is_root and entry.permissions & 0o005 == 0:
        return "EACCES"
    if use.access in NAME_ACCESSES and (parent_of(use.path) == entry.path or looker.provided(parent_of(use.path))):
        return _name_in_temporary(entry, use, outcome, looker)
    if looker.provided(use.path):
        return _fresh_top(use, outcome, looker, writable=not entry.refuses_writes)  # made for a mount further down
    if use.created_by_service and not entry.refuses_writes:
        return LOST if entry.loses_writes and outcome in HAPPENED else outcome
    return "ENOENT"


def _fresh_top(use: PathUse, outcome: str, looker: Looker, *, writable: bool) -> str:
    """The outcome of a use of a directory that holds nothing but what is mounted further down."""
    if use.access is Access.READ and outcome in HAPPENED:
        return FEWER if looker.provided(use.path) else EMPTY
    return outcome if writable else read_only_outcome(use, outcome)


def _name_in_temporary(entry: MountEntry, use: PathUse, outcome: str, looker: Looker) -> str:
    """The outcome of making or removing a name in the fresh file system itself."""
    if entry.refuses_writes:
        return EROFS
    if use.access is Access.DELETE and not use.created_by_service:
        return "ENOENT"
    if not looker.is_root and entry.permissions & 0o002 == 0:
        return "EACCES"
    if (outcome in NAME_IS_TAKEN and not use.created_by_service) or outcome == "EACCES":
        return OK
    return LOST if entry.loses_writes and outcome in HAPPENED else outcome


def _private_tmp(entry: MountEntry, use: PathUse, outcome: str, looker: Looker) -> str:
    if use.path == entry.path or use.created_by_service:
        return outcome
    if use.access in {Access.CREATE, Access.BIND}:
        parent = parent_of(use.path)
        if looker.provided(parent) and parent != entry.path and not looker.is_root:
            return "EACCES"  # systemd made the directory for a mount further down
        if looker.provided(parent) or parent == entry.path:
            return OK if outcome in NAME_IS_TAKEN else outcome
    elif use.access is not Access.DELETE and looker.provided(use.path):
        is_refused = use.access is Access.WRITE_PROBE and not looker.is_root
        return "EACCES" if is_refused else _fresh_top(use, outcome, looker, writable=True)
    return "ENOENT"


def _private_devices(entry: MountEntry, use: PathUse, outcome: str) -> str:
    if is_in_device_mount(use.path):
        return outcome
    if use.path == entry.path:
        return FEWER if use.access is Access.READ and outcome in HAPPENED else read_only_outcome(use, outcome)
    if not is_in_private_devices(use.path):
        return _in_empty_directory(entry, use)
    if use.access in {Access.EXECUTE, Access.MAP_EXECUTE}:
        return "EACCES" if use.access is Access.EXECUTE else "EPERM"
    known = dataclasses.replace(use, kind=FileKind.CHARACTER) if use.path in PRIVATE_DEVICE_NODES else use
    return read_only_outcome(known, outcome)
