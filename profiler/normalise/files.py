"""Calls on names of files: looking them up, making, removing and renaming them."""

from __future__ import annotations

import stat

from policy.behaviour import OK, Access, DeviceNodeMade, FileKind, PathPair, SpecialModeSet
from profiler.normalise import arguments, nameless
from profiler.normalise.owner import Owner, kind_of
from profiler.normalise.path_argument import PathArgument
from profiler.normalise.path_uses import demand, name_changed, use
from profiler.normalise.paths import Resolved
from profiler.normalise.permissions import SEARCH, allowed
from profiler.normalise.sighting import Sighting, handles
from profiler.recorders.base import Struct

_SET_ID = stat.S_ISUID | stat.S_ISGID


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
    "getxattrat": PathArgument(0, 1, flags=2),
    "listxattrat": PathArgument(0, 1, flags=2),
    "file_getattr": PathArgument(0, 1, flags=4),
    "uselib": PathArgument(None, 0),
    "chdir": PathArgument(None, 0),
    "chroot": PathArgument(None, 0),
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
            demand(sighting, place.real, SEARCH)
    if sighting.call.name == "chroot":
        sighting.needs("CAP_SYS_CHROOT", "chroot")
    elif "getxattr" in sighting.call.name:
        _trusted(sighting)


@handles("fgetxattr")
def _attribute_of_descriptor(sighting: Sighting) -> None:
    _trusted(sighting)


def _trusted(sighting: Sighting) -> None:
    # To all others such attributes are not there (xattr(7)).
    name = sighting.argument(3 if sighting.call.name.endswith("at") else 1)
    if isinstance(name, bytes) and name.startswith(b"trusted."):
        sighting.needs("CAP_SYS_ADMIN", f"{sighting.call.name} trusted attribute")


def _remember_status(sighting: Sighting, real: bytes) -> None:
    # A tracer told to print whole structures shows owner and mode as they were at the time of the call.
    for value in sighting.call.arguments:
        if isinstance(value, Struct):
            prefix = "stx_" if "stx_mode" in value.fields else "st_"
            mode, user, group = (value.fields.get(prefix + name) for name in ("mode", "uid", "gid"))
            if isinstance(user, int) and isinstance(group, int) and mode is not None:
                sighting.ledger.ownership.shown(real, Owner(user, group, arguments.mode(mode)))


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
    sources = nameless.linked(sighting.ledger, source)
    for linked in sources:
        sighting.emit(PathPair("link", linked.path, target.path))
        use(sighting, linked, Access.LOOKUP)
    owner = sighting.ledger.ownership.during(sighting.process, sources[0].real, sighting.call.time)
    mode = owner.mode if owner is not None else stat.S_IFREG | 0o600
    _made(sighting, target, mode)
    if sighting.succeeded and owner is not None:
        sighting.ledger.ownership.shown(target.real, owner)
        mine = sighting.process.credentials.user.file_system
        if owner.user != mine and not allowed(sighting.process.credentials, owner, 6):
            # protected_hardlinks of proc(5): only to one's own files or those that one may read and write.
            either = ("CAP_DAC_OVERRIDE", "CAP_FOWNER")  # in the order in which may_linkat() asks
            sighting.needs_one(either, f"{sighting.call.name} of a file of user {owner.user}")
