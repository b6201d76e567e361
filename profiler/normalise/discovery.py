"""How the number of distinct facts grew during a recording: when it stops growing, the workload has shown it all."""

from __future__ import annotations

import time

FINEST = 0.01
"""Seconds that one step of the curve covers at first; doubled whenever there are too many steps."""

MOST_STEPS = 256
"""Steps that are kept, whatever the length of the recording."""

MINUTE = 60.0


class Discovery:
    """Counts facts as they are found, by the time of the call that showed them."""

    def __init__(self) -> None:
        self.count = 0
        self.latest = time.monotonic()
        """When the newest fact came in (``time.monotonic``)."""
        self._step = FINEST
        self._found: dict[int, int] = {}

    def note(self, moment: float) -> None:
        """Count one new fact, seen at ``moment`` in seconds since the epoch."""
        self.count += 1
        self.latest = time.monotonic()
        place = int(moment / self._step)
        self._found[place] = self._found.get(place, 0) + 1
        while len(self._found) > MOST_STEPS:
            self._coarsen()

    def _coarsen(self) -> None:
        self._step *= 2
        coarser: dict[int, int] = {}
        for place, found in self._found.items():
            coarser[place // 2] = coarser.get(place // 2, 0) + found
        self._found = coarser

    def since(self, moment: float) -> int:
        """Return how many of the facts were seen after ``moment``, to the fineness of the curve."""
        return sum(found for place, found in tuple(self._found.items()) if place * self._step >= moment)

    def curve(self, began: float, ended: float, total: int) -> tuple[tuple[int, int], ...]:
        """Return points of time (milliseconds after ``began``) and number of facts, ending with ``total`` at the end.

        What was found by looking at processes that ran before counts from the beginning.
        """
        points: dict[int, int] = {0: 0}
        count, last = 0, max(0, round((ended - began) * 1000))
        for place in sorted(self._found):
            count += self._found[place]
            at = min(max(0, round((place * self._step - began) * 1000)), last)
            points[at] = min(count, total)
        points[last] = total
        return tuple(points.items())
