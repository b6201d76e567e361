"""A path was used: the fact, the symlinks on the way, and the capabilities that file permissions made necessary."""

from __future__ import annotations

import re
import stat

from policy.behaviour import OK, WRITING, Access, CapabilityUsed, FileKind, Known, PathUse
from profiler.normalise import permissions
from profiler.normalise.byte_paths import directory_of
from profiler.normalise.paths import Resolved
from profiler.normalise.sighting import Sighting

_TO_LOOK_UP = frozenset({FileKind.UNKNOWN, FileKind.CHARACTER, FileKind.BLOCK})
_MISSING = frozenset({"ENOENT", "ENOTDIR"})
_READING = frozenset({Access.READ, Access.READ_WRITE})
_WRITING = frozenset({Access.WRITE, Access.READ_WRITE, Access.TRUNCATE, Access.WRITE_PROBE, Access.CONNECT})
_NEW = frozenset({Access.CREATE, Access.BIND})
_TAKEN = frozenset({"EEXIST", "EADDRINUSE"})  # the name was there: whose it is, is told by the object itself
_NAMING = _NEW | {Access.DELETE}
_OVERRIDE = ("CAP_DAC_OVERRIDE",)
_SEARCH = ("CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE")  # the cheapest that suffices stands first
_OF_A_PROCESS = re.compile(rb"/proc/(\d+)/")
_GUARDED = re.compile(
    rb"/proc/(\d+)(/task/\d+)?/(auxv|cwd|environ|exe|fd|fdinfo|io|map_files|maps|mem|mountinfo|mounts|mountstats|ns|"
    rb"numa_maps|pagemap|personality|root|smaps|smaps_rollup|stack|syscall|wchan)(/|$)"
)  # what ptrace_may_access() guards (proc(5)); mounts and its kin are guarded alike


def use(
    sighting: Sighting,
    place: Resolved | None,
    access: Access,
    *,
    fresh: bool = False,
    kind: FileKind = FileKind.UNKNOWN,
) -> None:
    """Record that this call used a path.

    ``fresh``: the call itself created the object, its mode did not matter. ``kind``: what it is, where the call tells.
    """
    if place is None:
        return
    ledger = sighting.ledger
    makes_name = access in _NEW and sighting.outcome not in _TAKEN
    own = ledger.ownership.is_own(place.parent if makes_name else place.real)
    who = sighting.process
    uid = who.credentials.user.file_system
    phase = ledger.phase_at(sighting.call.time)
    key = (
        place.path,
        place.through,
        access,
        own,
        sighting.outcome,
        phase,
        who.exec_line,
        uid,
        who.credentials.effective,
        fresh,
        ledger.ownership.tracked(place.real),
        ledger.ownership.tracked(place.parent),
    )  # once given away, the same use may need a capability that it did not need before
    if key in ledger.path_uses:
        return
    ledger.path_uses.add(key)
    device = ""
    if sighting.outcome not in _MISSING and kind in _TO_LOOK_UP:
        kind, device = ledger.ownership.kind(who, place.real)
    sighting.emit(PathUse(place.path, access, kind, own, device, place.through))
    use_links(sighting, place)
    if sighting.succeeded and access in WRITING:
        _note_appeared(sighting, place.parent if access in _NAMING else place.real)
    if sighting.succeeded:
        _process_of_root(sighting, place)
    if sighting.succeeded or sighting.refused_root:
        infer(sighting, place, access, fresh)


def _note_appeared(sighting: Sighting, real: bytes) -> None:
    # A list of writable paths must not count on a name that somebody else made while the service ran.
    top = sighting.ledger.ownership.appeared(real)
    if top is not None:
        shown = sighting.ledger.paths.shown(sighting.process, top)
        kind, device = sighting.ledger.ownership.kind(sighting.process, top)
        sighting.emit(PathUse(shown, Access.LOOKUP, kind, device=device, appeared=True))


def use_links(sighting: Sighting, place: Resolved) -> None:
    """Record the symlinks that were followed, if they lie elsewhere than the object that they led to."""
    if not (sighting.succeeded or sighting.outcome in _MISSING):
        return
    for link in place.links:
        directory = directory_of(link)
        if directory != b"/" and not place.real.startswith(directory + b"/"):
            shown = sighting.ledger.paths.shown(sighting.process, link)
            own = sighting.ledger.ownership.is_own(link)
            sighting.emit(PathUse(shown, Access.LOOKUP, FileKind.SYMLINK, own), OK)


def infer(sighting: Sighting, place: Resolved, access: Access, fresh: bool) -> None:
    """Record the capabilities without which the mode bits refuse this call."""
    if sighting.succeeded and not any(
        sighting.process.credentials.holds(name) for name in (*_SEARCH, "CAP_FOWNER", "CAP_SYS_PTRACE")
    ):
        return
    _searches(sighting, place)
    _other_process(sighting, place)
    if access in _NAMING:
        name_changed(sighting, place, deleted=access is Access.DELETE)
    if access in _NAMING or fresh:
        return
    wanted = (permissions.READ if access in _READING else 0) | (permissions.WRITE if access in _WRITING else 0)
    wanted |= permissions.EXECUTE if access is Access.EXECUTE else 0
    if wanted:
        demand(sighting, place.real, wanted)


def demand(sighting: Sighting, real: bytes, wanted: int) -> None:
    """Record the DAC capability if the mode bits of this object refuse these permissions to the caller."""
    ownership, credentials = sighting.ledger.ownership, sighting.process.credentials
    owner = ownership.during(sighting.process, real, sighting.call.time)
    if owner is None:
        if wanted & permissions.WRITE and not _of_roots_own_process(sighting, real):
            sighting.needs_one(_OVERRIDE, f"{sighting.call.name} for writing (unknown owner)")
            sighting.ledger.notes.add("unknown owner", sighting.evidence())
        return
    if permissions.allowed(credentials, owner, wanted):
        return
    directory = stat.S_ISDIR(owner.mode)
    reading = not wanted & permissions.WRITE and (directory or not wanted & permissions.EXECUTE)
    purpose = "writing" if wanted & permissions.WRITE else "reading" if wanted & permissions.READ else "executing"
    if directory and wanted == permissions.SEARCH:
        purpose = "searching"
    words = permissions.refused_in_words(credentials, owner)
    sighting.needs_one(_SEARCH if reading else _OVERRIDE, f"{sighting.call.name}: {purpose} {words}")


def _of_roots_own_process(sighting: Sighting, real: bytes) -> bool:
    # What a process of root finds below its own /proc/PID belongs to root, dumpable or not (task_dump_owner() of Linux
    # fs/proc/base.c), and the owner may write what can be written. It is gone with the process.
    match, process = _OF_A_PROCESS.match(real), sighting.process
    user = process.credentials.user
    return (
        match is not None and int(match[1]) in {process.pid, process.leader} and user.effective == user.file_system == 0
    )


def name_changed(sighting: Sighting, place: Resolved, *, deleted: bool) -> None:
    """Record the capabilities that adding a name to its directory, or taking one away, made necessary."""
    demand(sighting, place.parent, permissions.WRITE | permissions.SEARCH)
    if not deleted:
        return
    ownership, credentials = sighting.ledger.ownership, sighting.process.credentials
    directory = ownership.during(sighting.process, place.parent, sighting.call.time)
    if directory is None or not directory.mode & stat.S_ISVTX:
        return
    victim = ownership.before(sighting.process, place.real, sighting.call.time)
    if victim is None:
        if credentials.user.file_system != directory.user and not ownership.is_own(place.real):
            sighting.needs("CAP_FOWNER", f"{sighting.call.name} in a sticky directory (unknown owner)")
            sighting.ledger.notes.add("unknown owner", sighting.evidence())
    elif permissions.sticky_refuses(credentials, directory, victim):
        sighting.needs("CAP_FOWNER", f"{sighting.call.name} of user {victim.user}'s object in a sticky directory")


def _searches(sighting: Sighting, place: Resolved) -> None:
    # What was opened relative to a directory needs no search of what lies above that directory.
    credentials, searched = sighting.process.credentials, sighting.ledger.searched
    for directory in place.directories:
        known = sighting.ledger.ownership.tracked(directory)
        key = (directory, known, credentials.user.file_system, credentials.effective, sighting.process.exec_line)
        if key in searched:
            continue
        searched.add(key)
        owner = sighting.ledger.ownership.during(sighting.process, directory, sighting.call.time)
        if owner is not None and stat.S_ISDIR(owner.mode):
            demand(sighting, directory, permissions.SEARCH)


def _other_process(sighting: Sighting, place: Resolved) -> None:
    match = _GUARDED.match(place.real)
    if match is None:
        return
    needs_access_to(sighting, int(match.group(1)), f"/proc/PID/{match.group(3).decode()} of")


def _process_of_root(sighting: Sighting, place: Resolved) -> None:
    """Record CAP_SYS_PTRACE where root was shown what only who may trace a process is shown, of one with capabilities.

    For recorders that leave capabilities to the kernel's checks: it makes none while the caller has all that the other
    one has (``__ptrace_may_access`` in kernel/ptrace.c, ``cap_ptrace_access_check``), as it will not under a drop-in.
    """
    match = _GUARDED.match(place.real) if place.path.startswith("/proc/other/") else None
    credentials = sighting.process.credentials
    if match is None or credentials.user.effective != 0 or credentials.permitted:
        return
    status = sighting.ledger.objects.process(int(match.group(1)))
    if status is None or (status.credentials.permitted and status.credentials.user.real == 0):
        reason = f"{sighting.call.name}: /proc/PID/{match.group(3).decode()} of a process of user 0"
        sighting.emit(CapabilityUsed("CAP_SYS_PTRACE", reason), OK, Known.INFERRED)


def needs_access_to(sighting: Sighting, pid: int, what: str) -> None:
    """Record CAP_SYS_PTRACE if ptrace_may_access() needed it for this process (ptrace(2), access mode checking)."""
    processes, caller = sighting.ledger.processes, sighting.process
    other = processes.get(pid)
    if other is not None and other.leader == caller.leader:
        return
    users = caller.credentials.user
    if other is not None and other.studied:
        theirs = other.credentials.user
        same = {theirs.real, theirs.effective, theirs.saved} == {users.file_system}
        if not same or not other.credentials.permitted <= caller.credentials.permitted:
            sighting.needs("CAP_SYS_PTRACE", f"{sighting.call.name}: {what} a process of user {theirs.real}")
        return
    status = sighting.ledger.objects.process(pid)
    if status is None:
        sighting.needs("CAP_SYS_PTRACE", f"{sighting.call.name}: {what} a process that is gone (unknown owner)")
        return
    theirs = status.credentials.user
    if status.credentials.permitted or {theirs.real, theirs.effective, theirs.saved} != {users.file_system}:
        # A caller that loses any capability which the other has is refused, even as the same user.
        sighting.needs("CAP_SYS_PTRACE", f"{sighting.call.name}: {what} a process of user {theirs.real}")
