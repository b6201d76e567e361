"""Whose the objects are: which of them the service created in this recording, and their owner and mode over time.

The recorder's output arrives after the fact, so looking at a file shows it as it is *now*. What the service's own
calls tell (it created the file, it changed its owner, it was shown its status) is exact, and preferred.
"""

from __future__ import annotations

import stat

from policy.behaviour import FileKind
from profiler.normalise.baseline import Baseline
from profiler.normalise.byte_paths import directory_of
from profiler.normalise.objects import ObjectStatus, ObjectView
from profiler.normalise.owner import Owner
from profiler.normalise.paths import PathResolver, Resolved
from profiler.normalise.processes import Process

_NOTHING_IS_CREATED_IN = b"/proc/"
"""The directories of proc(5) have no operation to create files: an open with O_CREAT opens what is there."""

_CLOCK_SLACK = 0.02  # seconds: file times come from the kernel's tick, the recorder's from the exact clock


class Ownership:
    """What is known of the objects that the service touched. Grows with distinct paths only."""

    def __init__(self, objects: ObjectView, paths: PathResolver, baseline: Baseline, started: float) -> None:
        self._started = started
        self._objects = objects
        self._baseline = baseline
        self._paths = paths
        self._created: set[bytes] = set()
        self._made_at: dict[bytes, float] = {}
        self._absent: set[bytes] = set()
        self._tracked: dict[bytes, Owner] = {}
        self._looks: dict[bytes, ObjectStatus] = {}

    def is_own(self, real: bytes) -> bool:
        """Whether the service created the object at this path, or a directory above it, in this recording."""
        while real not in self._created:
            above = directory_of(real)
            if above == real:
                return False
            real = above
        return True

    def appeared(self, real: bytes) -> bytes | None:
        """Return the topmost part of a path that was not there before the recording and that somebody else made since.

        ``None`` if all of it was there, the service made it itself, or it cannot be told.
        """
        top = None
        while real != b"/":
            if self._baseline.owner(real) is None and self._baseline.covers(real):
                top = real
            real = directory_of(real)
        return None if top is None or self.is_own(top) else top

    def tracked(self, real: bytes) -> Owner | None:
        """Return the owner and mode that the service's own calls told last, ``None`` if none did."""
        return self._tracked.get(real)

    def look(self, process: Process, real: bytes) -> ObjectStatus | None:
        """Return the object as it is now, and remember it."""
        status = self._objects.status(real, self._paths.viewers(process))
        if status is not None:
            self._looks[real] = status
        return status

    def during(self, process: Process, real: bytes, time: float) -> Owner | None:
        """Return the owner and mode that a call at this time met, ``None`` if nobody knows.

        Exact if the service's own calls told, or nothing has changed the object since; else as it stood before the
        recording; else as it is now.
        """
        tracked = self._tracked.get(real)
        if tracked is not None:
            return tracked
        status = self.look(process, real)
        seen = None if status is None else Owner(status.owner, status.group, status.mode)
        if status is not None and status.changed < time - _CLOCK_SLACK:
            return seen
        return self._baseline.owner(real) or seen

    def before(self, process: Process, real: bytes, time: float) -> Owner | None:
        """Return the owner and mode before a call at this time that changed them, ``None`` if nobody knows."""
        tracked = self._tracked.get(real)
        if tracked is not None:
            return tracked
        look = self._looks.get(real) or self.look(process, real)
        if look is not None and look.changed < time - _CLOCK_SLACK:
            return Owner(look.owner, look.group, look.mode)
        return self._baseline.owner(real)

    def kind(self, process: Process, real: bytes) -> tuple[FileKind, str]:
        """Return the type of an object and, for a node, its device."""
        tracked = self._tracked.get(real)
        if tracked is not None and tracked.kind not in {FileKind.UNKNOWN, FileKind.CHARACTER, FileKind.BLOCK}:
            return tracked.kind, ""
        status = self.look(process, real)
        if status is not None:
            return status.kind, status.device
        stood = self._baseline.owner(real)
        return (stood.kind if stood is not None else FileKind.UNKNOWN), ""

    def was_created(self, process: Process, place: Resolved, time: float) -> bool | None:
        """Whether a successful open with O_CREAT at this time created the file; ``None`` if it cannot be told."""
        born = self._objects.born(place.real, self._paths.viewers(process))
        is_old = born is not None and born < max(time - _CLOCK_SLACK, self._started)
        if is_old or place.real.startswith(_NOTHING_IS_CREATED_IN):
            return False
        if born is not None:
            # As young as the call. But another process of the service may have made it a moment ago; and where a file
            # of that name stood before, it may be as young because somebody else replaced it (a log rotation), or
            # because the open made an overlay copy it up, which nothing tells from a creation.
            noted = self._made_at.get(place.real)
            if noted is None and place.real not in self._absent and self._baseline.owner(place.real) is not None:
                return None
            return noted is None or noted >= time or abs(born - noted) > _CLOCK_SLACK
        if place.real in self._absent:
            return True
        if place.real in self._tracked or place.real in self._looks:
            return False
        return self._baseline.owner(place.real) is None if self._baseline.covers(place.real) else None

    def created(self, process: Process, real: bytes, mode: int, time: float) -> None:
        """Note that the service created an object with this mode (with its type, before the umask)."""
        self._created.add(real)
        self._made_at[real] = time
        self._absent.discard(real)
        self._looks.pop(real, None)
        self._tracked[real] = self._newborn(process, real, mode, time)

    def shown(self, real: bytes, owner: Owner) -> None:
        """Note an object's status that the kernel showed to the service."""
        self._tracked[real] = owner

    def changed(self, before: Owner | None, real: bytes, user: int | None, group: int | None, mode: int | None) -> None:
        """Note that owner, group or permissions were set; ``None`` leaves one as it was ``before``."""
        if before is not None:
            self._tracked[real] = Owner(
                before.user if user is None else user,
                before.group if group is None else group,
                before.mode if mode is None else stat.S_IFMT(before.mode) | stat.S_IMODE(mode),
            )

    def deleted(self, real: bytes) -> None:
        """Note that a name is gone. That it was the service's own stays known."""
        self._made_at.pop(real, None)
        self._tracked.pop(real, None)
        self._looks.pop(real, None)
        self._absent.add(real)

    def missing(self, real: bytes) -> None:
        """Note that a call found no such object."""
        self.deleted(real)

    def renamed(self, source: bytes, target: bytes, exchange: bool) -> None:
        """Note that an object got another name."""
        source_own, target_own = source in self._created, target in self._created
        tracked, other = self._tracked.pop(source, None), self._tracked.pop(target, None)
        self._looks.pop(source, None)
        self._looks.pop(target, None)
        self._absent.discard(target)
        made_at = self._made_at.pop(source, None)
        self._made_at.pop(target, None)
        if made_at is not None:
            self._made_at[target] = made_at
        if tracked is not None:
            self._tracked[target] = tracked
        if source_own:
            self._created.add(target)
        if not exchange:
            self._absent.add(source)
            return
        if other is not None:
            self._tracked[source] = other
        if target_own:
            self._created.add(source)

    def existed(self, real: bytes) -> bool:
        """Whether there was an object at this path, as far as the service's calls and the baseline tell."""
        if real in self._absent:
            return False
        return real in self._tracked or real in self._looks or self._baseline.owner(real) is not None

    def _newborn(self, process: Process, real: bytes, mode: int, time: float) -> Owner:
        credentials = process.credentials
        above = self.during(process, directory_of(real), time)
        inherits = above is not None and bool(above.mode & stat.S_ISGID)
        group = above.group if above is not None and inherits else credentials.group.file_system
        if stat.S_ISLNK(mode):
            return Owner(credentials.user.file_system, group, stat.S_IFLNK | 0o777)
        permissions = mode & ~process.directories.umask
        if inherits and stat.S_ISDIR(mode):
            permissions |= stat.S_ISGID
        return Owner(credentials.user.file_system, group, permissions)
