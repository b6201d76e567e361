"""Where a call has its path."""

from __future__ import annotations

from dataclasses import dataclass

from profiler.normalise import arguments
from profiler.normalise.paths import Resolved
from profiler.normalise.sighting import Sighting


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
