"""execve(): the program, what runs it, and the privileges that its file gives."""

from __future__ import annotations

import stat

from policy.behaviour import Access, PrivilegeGained
from profiler.normalise import arguments
from profiler.normalise.credentials import Credentials, FilePrivileges
from profiler.normalise.executables import file_capabilities, interpreter, is_script
from profiler.normalise.path_uses import use
from profiler.normalise.paths import Resolved
from profiler.normalise.sighting import Sighting

_DEEPEST = 6  # interpreters of interpreters; the kernel allows 5


def program_place(sighting: Sighting) -> Resolved | None:
    """Return the file that an execve() or execveat() names."""
    if sighting.call.name == "execve":
        return sighting.place(None, 0)
    given = arguments.flags(sighting.argument(4))
    if "AT_EMPTY_PATH" in given and not sighting.argument(1):
        real = sighting.target(0)
        return sighting.ledger.paths.at(sighting.process, real) if real is not None else None
    return sighting.place(0, 1, "AT_SYMLINK_NOFOLLOW" not in given)


def executed(sighting: Sighting) -> FilePrivileges:
    """Record a program's execution, failed or not, and return what its file gives to the process."""
    place = program_place(sighting)
    if place is None:
        return FilePrivileges()
    if not sighting.succeeded:
        missing = sighting.outcome in {"ENOENT", "ENOTDIR"}
        use(sighting, place, Access.LOOKUP if missing else Access.EXECUTE)
        return FilePrivileges()
    final = _interpreters(sighting, place)
    privileges = _privileges(sighting, final)
    _gained(sighting, final, privileges)
    return privileges


def _interpreters(sighting: Sighting, place: Resolved) -> Resolved:
    # The file itself, then what runs it. Returns the program proper: privileges of a script's own file do not count.
    objects, paths = sighting.ledger.objects, sighting.ledger.paths
    program = place
    for _ in range(_DEEPEST):
        use(sighting, place, Access.EXECUTE)
        header = objects.header(place.real, paths.viewers(sighting.process))
        following = interpreter(header)
        found = sighting.find(following, sighting.process.directories.current and -100) if following else None
        if found is None:
            break
        place = found
        if is_script(header):
            program = found
    return program


def _privileges(sighting: Sighting, place: Resolved) -> FilePrivileges:
    objects, viewers = sighting.ledger.objects, sighting.ledger.paths.viewers(sighting.process)
    owner = sighting.ledger.ownership.during(sighting.process, place.real, sighting.call.time)
    if owner is None or objects.forbids_set_uid(place.real, viewers):
        return FilePrivileges()
    permitted, effective = file_capabilities(objects.attribute(place.real, "security.capability", viewers))
    return FilePrivileges(
        user=owner.user if owner.mode & stat.S_ISUID else None,
        group=owner.group if owner.mode & stat.S_ISGID and owner.mode & stat.S_IXGRP else None,
        permitted=permitted,
        effective=effective,
    )


def _gained(sighting: Sighting, place: Resolved, file: FilePrivileges) -> None:
    before: Credentials = sighting.process.credentials
    if before.no_new_privileges:
        return
    names = tuple(sorted(file.permitted))
    if file.user is not None and file.user != before.user.effective:
        sighting.emit(PrivilegeGained(place.path, "set-uid", names))
    if file.group is not None and file.group != before.group.effective:
        sighting.emit(PrivilegeGained(place.path, "set-gid", names))
    if file.permitted and not file.permitted & before.bounding <= before.permitted:
        sighting.emit(PrivilegeGained(place.path, "file-capabilities", names))
