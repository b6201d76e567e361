"""Calls that change what belongs to a file: mode, owner, times, extended attributes."""

from __future__ import annotations

import stat

from policy.behaviour import Access, SpecialModeSet
from profiler.normalise import arguments
from profiler.normalise.owner import Owner
from profiler.normalise.path_argument import PathArgument
from profiler.normalise.path_uses import demand, use
from profiler.normalise.paths import Resolved
from profiler.normalise.permissions import WRITE, allowed
from profiler.normalise.sighting import Sighting, handles

_SET_ID = stat.S_ISUID | stat.S_ISGID

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
    "setxattrat": PathArgument(0, 1, flags=2),
    "removexattrat": PathArgument(0, 1, flags=2),
    "file_setattr": PathArgument(0, 1, flags=4),
}


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
    if not (sighting.succeeded or sighting.refused_root):
        return
    owner = sighting.ledger.ownership.before(sighting.process, place.real, sighting.call.time)
    _require_owner(sighting, owner, sighting.call.name)
    if owner is not None and mode & stat.S_ISGID and not sighting.process.credentials.in_group(owner.group):
        sighting.needs("CAP_FSETID", f"{sighting.call.name} with the set-group-id bit, group {owner.group}")
    if sighting.succeeded:
        sighting.ledger.ownership.changed(owner, place.real, None, None, mode)


def _require_owner(sighting: Sighting, owner: Owner | None, what: str) -> None:
    if owner is None:
        sighting.needs("CAP_FOWNER", f"{what} (unknown owner)")
        sighting.ledger.notes.add("unknown owner", sighting.evidence())
    elif owner.user != sighting.process.credentials.user.file_system:
        sighting.needs("CAP_FOWNER", f"{what} of an object of user {owner.user}")


def _change_owner(sighting: Sighting, place: Resolved, user: int | None, group: int | None) -> None:
    use(sighting, place, Access.METADATA)
    if not (sighting.succeeded or sighting.refused_root):
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
    if sighting.succeeded:
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
    name = sighting.argument(3 if sighting.call.name.endswith("at") else 1)
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
