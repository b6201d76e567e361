"""Calls on names of files: looking them up, making, removing, renaming them, and changing what belongs to them."""

from __future__ import annotations

import stat
from dataclasses import dataclass

from policy.behaviour import OK, Access, DeviceNodeMade, FileKind, PathPair, SpecialModeSet
from profiler.normalise import arguments
from profiler.normalise.objects import kind_of
from profiler.normalise.owner import Owner
from profiler.normalise.path_uses import demand, name_changed, use
from profiler.normalise.paths import Resolved
from profiler.normalise.permissions import WRITE, allowed
from profiler.normalise.sighting import Sighting, handles
from profiler.recorders.base import Struct

_SET_ID = stat.S_ISUID | stat.S_ISGID


@dataclass(frozen=True)
class PathArgument:
    """Where a call has its path: positions of the directory descriptor, the path and the flags, and what they mean."""

    directory: int | None
    path: int
    follow: bool = True
    flags: int | None = None

    def place(self, sighting: Sighting) -> Resolved | None:
        """Return the object of this call, ``None`` if there is no path or it cannot be told."""
        given = frozenset() if self.flags is None else arguments.flags(sighting.argument(self.flags))
        follow = (self.follow or "AT_SYMLINK_FOLLOW" in given) and not given & {"AT_SYMLINK_NOFOLLOW", "IN_DONT_FOLLOW"}
        return sighting.place(self.directory, self.path, follow)


_LOOKUPS = {
    "stat": PathArgument(None, 0),
    "stat64": PathArgument(None, 0),
    "lstat": PathArgument(None, 0, follow=False),
    "lstat64": PathArgument(None, 0, follow=False),
    "newfstatat": PathArgument(0, 1, flags=3),
    "fstatat64": PathArgument(0, 1, flags=3),
    "statx": PathArgument(0, 1, flags=2),
    "readlink": PathArgument(None, 0, follow=False),
    "readlinkat": PathArgument(0, 1, follow=False),
    "statfs": PathArgument(None, 0),
    "statfs64": PathArgument(None, 0),
    "getxattr": PathArgument(None, 0),
    "lgetxattr": PathArgument(None, 0, follow=False),
    "listxattr": PathArgument(None, 0),
    "llistxattr": PathArgument(None, 0, follow=False),
    "inotify_add_watch": PathArgument(None, 1, flags=2),
    "fanotify_mark": PathArgument(3, 4, flags=1),
    "name_to_handle_at": PathArgument(0, 1, follow=False, flags=4),
    "open_tree": PathArgument(0, 1, flags=2),
    "fspick": PathArgument(0, 1),
    "chdir": PathArgument(None, 0),
    "chroot": PathArgument(None, 0),
}

_METADATA = {
    "chmod": PathArgument(None, 0),
    "fchmodat": PathArgument(0, 1),
    "fchmodat2": PathArgument(0, 1, flags=3),
    "chown": PathArgument(None, 0),
    "lchown": PathArgument(None, 0, follow=False),
    "fchownat": PathArgument(0, 1, flags=4),
    "utime": PathArgument(None, 0),
    "utimes": PathArgument(None, 0),
    "futimesat": PathArgument(0, 1),
    "utimensat": PathArgument(0, 1, flags=3),
    "setxattr": PathArgument(None, 0),
    "lsetxattr": PathArgument(None, 0, follow=False),
    "removexattr": PathArgument(None, 0),
    "lremovexattr": PathArgument(None, 0, follow=False),
}


@handles(*_LOOKUPS)
def _look_up(sighting: Sighting) -> None:
    place = _LOOKUPS[sighting.call.name].place(sighting)
    use(sighting, place, Access.LOOKUP)
    if place is None:
        return
    if sighting.outcome == "ENOENT":
        sighting.ledger.ownership.missing(place.real)
    elif sighting.succeeded:
        _remember_status(sighting, place.real)
        if sighting.call.name in {"chdir", "chroot"}:
            demand(sighting, place.real, 1)


@handles("fstat", "fstat64")
def _status_of_descriptor(sighting: Sighting) -> None:
    real = sighting.target(0)
    if real is not None and sighting.succeeded:
        _remember_status(sighting, real)


def _remember_status(sighting: Sighting, real: bytes) -> None:
    # A tracer told to print whole structures shows owner and mode as they were at the time of the call.
    for value in sighting.call.arguments:
        if isinstance(value, Struct):
            prefix = "stx_" if "stx_mode" in value.fields else "st_"
            mode, user, group = (value.fields.get(prefix + name) for name in ("mode", "uid", "gid"))
            if isinstance(user, int) and isinstance(group, int) and mode is not None:
                sighting.ledger.ownership.shown(real, Owner(user, group, arguments.mode(mode)))


@handles(*_METADATA, "fchmod", "fchown", "fsetxattr", "fremovexattr")
def _change_metadata(sighting: Sighting) -> None:
    row = _METADATA.get(sighting.call.name)
    place = row.place(sighting) if row is not None else None
    if place is None and (row is None or (row.directory is not None and not sighting.argument(row.path))):
        real = sighting.target(0)  # through a descriptor: fchmod(3), utimensat(3, NULL), fchownat(3, "", AT_EMPTY_PATH)
        place = sighting.ledger.paths.at(sighting.process, real) if real is not None else None
    name = sighting.call.name
    if "chmod" in name:
        _change_mode(sighting, place, arguments.mode(sighting.argument(2 if "at" in name else 1)))
    elif place is None:
        return
    elif "chown" in name:
        at = 2 if name == "fchownat" else 1
        _change_owner(sighting, place, *(arguments.identifier(sighting.argument(at + step)) for step in (0, 1)))
    elif "xattr" in name:
        use(sighting, place, Access.METADATA)
        _change_attribute(sighting, place)
    else:
        use(sighting, place, Access.METADATA)
        _change_times(sighting, place)


def _change_mode(sighting: Sighting, place: Resolved | None, mode: int) -> None:
    if mode & _SET_ID:
        sighting.emit(SpecialModeSet(sighting.call.name, stat.S_IMODE(mode)))
    if place is None:
        return
    use(sighting, place, Access.METADATA)
    if not sighting.succeeded:
        return
    owner = sighting.ledger.ownership.before(sighting.process, place.real, sighting.call.time)
    _require_owner(sighting, owner, sighting.call.name)
    if owner is not None and mode & stat.S_ISGID and not sighting.process.credentials.in_group(owner.group):
        sighting.needs("CAP_FSETID", f"{sighting.call.name} with the set-group-id bit, group {owner.group}")
    sighting.ledger.ownership.changed(owner, place.real, None, None, mode)


def _require_owner(sighting: Sighting, owner: Owner | None, what: str) -> None:
    if owner is None:
        sighting.needs("CAP_FOWNER", f"{what} (unknown owner)")
        sighting.ledger.notes.add("unknown owner", sighting.evidence())
    elif owner.user != sighting.process.credentials.user.file_system:
        sighting.needs("CAP_FOWNER", f"{what} of an object of user {owner.user}")


def _change_owner(sighting: Sighting, place: Resolved, user: int | None, group: int | None) -> None:
    use(sighting, place, Access.METADATA)
    if not sighting.succeeded:
        return
    ownership, credentials = sighting.ledger.ownership, sighting.process.credentials
    before = ownership.before(sighting.process, place.real, sighting.call.time)
    mine = credentials.user.file_system
    name = sighting.call.name
    if before is None and (
        (user is not None and user != mine) or (group is not None and not credentials.in_group(group))
    ):
        # Whoever owned it: not the caller's own file left with the caller in a group of the caller's.
        sighting.needs("CAP_CHOWN", f"{name} to {_ids(user, group)}")
    elif before is None:
        sighting.needs("CAP_CHOWN", f"{name} to {_ids(user, group)} (unknown owner before)")
        sighting.ledger.notes.add("unknown owner", sighting.evidence())
    elif not _may_change_owner(before, mine, user, group, credentials.in_group(group) if group is not None else True):
        sighting.needs("CAP_CHOWN", f"{name} from {_ids(before.user, before.group)} to {_ids(user, group)}")
    ownership.changed(before or _now(sighting, place), place.real, user, group, None)


def _now(sighting: Sighting, place: Resolved) -> Owner | None:
    return sighting.ledger.ownership.during(sighting.process, place.real, sighting.call.time)


def _may_change_owner(before: Owner, mine: int, user: int | None, group: int | None, member: bool) -> bool:
    # chown_ok() and chgrp_ok() of fs/attr.c.
    if user is not None and not (before.user == mine and user == mine):
        return False
    return group is None or (before.user == mine and (group == before.group or member))


def _ids(user: int | None, group: int | None) -> str:
    named = [f"{what} {number}" for what, number in (("user", user), ("group", group)) if number is not None]
    return " ".join(named) or "no change"


def _change_attribute(sighting: Sighting, place: Resolved) -> None:
    name = sighting.argument(1)
    attribute = name.decode("ascii", "replace") if isinstance(name, bytes) else ""
    owner = sighting.ledger.ownership.during(sighting.process, place.real, sighting.call.time)
    if attribute == "security.capability":
        sighting.needs("CAP_SETFCAP", f"{sighting.call.name} security.capability")
    elif attribute.startswith(("security.", "trusted.")):
        sighting.needs("CAP_SYS_ADMIN", f"{sighting.call.name} {attribute.partition('.')[0]} attribute")
    elif attribute.startswith("system."):
        _require_owner(sighting, owner, f"{sighting.call.name} access list")
    else:
        demand(sighting, place.real, WRITE)


def _change_times(sighting: Sighting, place: Resolved) -> None:
    # With times of its own choice only the owner; with "now" whoever may write (utimensat(2)).
    owner = sighting.ledger.ownership.during(sighting.process, place.real, sighting.call.time)
    times = sighting.argument(2 if sighting.call.name in {"utimensat", "futimesat"} else 1)
    now = times is None or "UTIME_NOW" in str(times)
    if now and owner is not None and allowed(sighting.process.credentials, owner, WRITE):
        return
    _require_owner(sighting, owner, sighting.call.name)


@handles("mkdir", "mkdirat")
def _make_directory(sighting: Sighting) -> None:
    at = sighting.call.name == "mkdirat"
    mode = stat.S_IMODE(arguments.mode(sighting.argument(2 if at else 1)))
    if mode & _SET_ID:
        sighting.emit(SpecialModeSet(sighting.call.name, mode))
    _made(sighting, sighting.place(0 if at else None, 1 if at else 0, follow=False), stat.S_IFDIR | mode)


@handles("mknod", "mknodat")
def _make_node(sighting: Sighting) -> None:
    at = 1 if sighting.call.name == "mknodat" else 0
    mode = arguments.mode(sighting.argument(at + 1))
    mode |= 0 if stat.S_IFMT(mode) else stat.S_IFREG
    if mode & _SET_ID:
        sighting.emit(SpecialModeSet(sighting.call.name, stat.S_IMODE(mode)))
    place = sighting.place(0 if at else None, at, follow=False)
    kind, numbers = kind_of(mode), arguments.device(sighting.argument(at + 2))
    if place is not None and kind in {FileKind.CHARACTER, FileKind.BLOCK} and numbers is not None:
        sighting.emit(DeviceNodeMade(place.path, kind, f"{numbers[0]}:{numbers[1]}"))
        if numbers != (0, 0):  # an overlay's whiteout needs none
            sighting.needs("CAP_MKNOD", f"{sighting.call.name} of a {kind} device")
    _made(sighting, place, mode)


@handles("symlink", "symlinkat")
def _make_link(sighting: Sighting) -> None:
    at = sighting.call.name == "symlinkat"
    place = sighting.place(1 if at else None, 2 if at else 1, follow=False)
    _made(sighting, place, stat.S_IFLNK | 0o777)
    if sighting.succeeded:
        sighting.ledger.paths.forget()


def _made(sighting: Sighting, place: Resolved | None, mode: int) -> None:
    use(sighting, place, Access.CREATE, kind=kind_of(mode))
    if place is not None and sighting.succeeded:
        sighting.ledger.ownership.created(sighting.process, place.real, mode, sighting.call.time)


@handles("unlink", "unlinkat", "rmdir")
def _remove(sighting: Sighting) -> None:
    at = sighting.call.name == "unlinkat"
    place = sighting.place(0 if at else None, 1 if at else 0, follow=False)
    if place is None:
        return
    was_link = sighting.ledger.ownership.kind(sighting.process, place.real)[0]
    use(sighting, place, Access.DELETE)
    if sighting.outcome in {OK, "ENOENT"}:
        sighting.ledger.ownership.deleted(place.real)
        if was_link not in {FileKind.REGULAR, FileKind.SOCKET, FileKind.FIFO}:
            sighting.ledger.paths.forget()


@handles("rename", "renameat", "renameat2")
def _rename(sighting: Sighting) -> None:
    at = sighting.call.name != "rename"
    given = arguments.flags(sighting.argument(4)) if sighting.call.name == "renameat2" else frozenset()
    source = sighting.place(0 if at else None, 1 if at else 0, follow=False)
    target = sighting.place(2 if at else None, 3 if at else 1, follow=False)
    if source is None or target is None:
        return
    ownership = sighting.ledger.ownership
    exchange = "RENAME_EXCHANGE" in given
    replaced = exchange or ownership.existed(target.real)
    sighting.emit(PathPair("exchange" if exchange else "rename", source.path, target.path, replaced))
    use(sighting, source, Access.DELETE)
    kind = ownership.kind(sighting.process, source.real)[0]
    if kind is FileKind.UNKNOWN:
        kind = ownership.kind(sighting.process, target.real)[0]
    use(sighting, target, Access.CREATE, kind=kind)
    if exchange:
        use(sighting, source, Access.CREATE)
        use(sighting, target, Access.DELETE)
    if not sighting.succeeded:
        return
    if replaced:
        name_changed(sighting, target, deleted=True)
    ownership.renamed(source.real, target.real, exchange)
    sighting.ledger.paths.forget()


@handles("link", "linkat")
def _link(sighting: Sighting) -> None:
    at = sighting.call.name == "linkat"
    given = arguments.flags(sighting.argument(4)) if at else frozenset()
    if at and "AT_EMPTY_PATH" in given and sighting.argument(1) == b"":
        real = sighting.target(0)
        source = sighting.ledger.paths.at(sighting.process, real) if real is not None else None
    else:
        source = sighting.place(0 if at else None, 1 if at else 0, follow="AT_SYMLINK_FOLLOW" in given)
    target = sighting.place(2 if at else None, 3 if at else 1, follow=False)
    if source is None or target is None:
        return
    sighting.emit(PathPair("link", source.path, target.path))
    use(sighting, source, Access.LOOKUP)
    owner = sighting.ledger.ownership.during(sighting.process, source.real, sighting.call.time)
    mode = owner.mode if owner is not None else stat.S_IFREG | 0o600
    _made(sighting, target, mode)
    if sighting.succeeded and owner is not None:
        sighting.ledger.ownership.shown(target.real, owner)
        mine = sighting.process.credentials.user.file_system
        if owner.user != mine and not allowed(sighting.process.credentials, owner, 6):
            # protected_hardlinks of proc(5): only to one's own files or those that one may read and write.
            sighting.needs("CAP_FOWNER", f"{sighting.call.name} of a file of user {owner.user}")
