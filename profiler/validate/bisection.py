"""The setting to blame, found by restarts: settings are taken away until the service works.

First the directive is found by halving; then, for lists, the words that have to go or the elements that are missing;
for values with an order, the strictest one that works. Each answer costs a restart, so each search is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from policy.drop_in import DropIn
from policy.host_facts import HostFacts
from policy.loosening import Pieces, looser_values, pieces_of
from policy.relax import ALLOWING, FILTERS, Relaxation
from policy.unit_settings import ALIASES

Works = Callable[[DropIn], bool]
"""Restarts the service under one drop-in and says whether nothing is wrong."""

EXCEPTIONS = ALLOWING - FILTERS
"""Lists of exceptions: without them the settings that they belong to deny more, so they go last."""

MOST_PIECES = 8
"""How many words of one list are looked for; if more are to blame, the list goes as a whole."""


@dataclass(frozen=True)
class Bisection:
    """A search by restarts. ``reason`` is what the changes allow, in words."""

    works: Works
    host: HostFacts
    reason: str
    announce: Callable[[str], None] = lambda _text: None

    def culprit(self, drop_in: DropIn) -> Relaxation | None:
        """Return the smallest change of the directive to blame; None if the service does not work without any of them.

        The shortest row of directives that fails ends with one to blame.
        """
        names = list(dict.fromkeys(setting.name for setting in drop_in.settings))
        exceptions = [name for name in names if name in EXCEPTIONS]
        protections = [name for name in names if name not in EXCEPTIONS]
        if protections and self.works(with_only(drop_in, exceptions)):
            return self._first_to_fail(drop_in, protections, exceptions)
        if exceptions and self.works(with_only(drop_in, ())):
            return self._first_to_fail(drop_in, exceptions, [])
        return None

    def _first_to_fail(self, drop_in: DropIn, names: list[str], always: list[str]) -> Relaxation:
        fits, fails = 0, len(names)
        while fails - fits > 1:
            middle = (fits + fails) // 2
            self.announce(f"looking for the setting to blame: one of {fails - fits}")
            if self.works(with_only(drop_in, [*always, *names[:middle]])):
                fits = middle
            else:
                fails = middle
        return self._smallest(with_only(drop_in, [*always, *names[:fails]]), names[fails - 1])

    def _smallest(self, drop_in: DropIn, name: str) -> Relaxation:
        for change in looser_values(drop_in, name, self.host):
            self.announce(f"trying {change.in_words}")
            if self.works(change.applied_to(drop_in)):
                return replace(change, reason=self.reason)
        for pieces in pieces_of(drop_in, name, self.host):
            needed = self._needed(drop_in, pieces)
            if needed:
                return pieces.change(drop_in, needed, self.reason)
        return Relaxation(name, (), adds=False, reason=self.reason)

    def _needed(self, drop_in: DropIn, pieces: Pieces) -> list[int]:
        def works(chosen: Sequence[int]) -> bool:
            return self.works(pieces.change(drop_in, sorted(chosen), self.reason).applied_to(drop_in))

        what = "word" if pieces.words else "value"
        self.announce(f"looking for the {what} of {pieces.directive}= to blame: one of {len(pieces)}")
        return smallest_set(len(pieces), works, MOST_PIECES)


def with_only(drop_in: DropIn, names: Sequence[str]) -> DropIn:
    """Return the drop-in with only the settings of these names; the answer of a filter always goes with it."""
    kept = {ALIASES.get(name, name) for name in names}
    kept |= {"SystemCallErrorNumber"} if "SystemCallFilter" in kept else set()
    return replace(drop_in, settings=tuple(one for one in drop_in.settings if ALIASES.get(one.name, one.name) in kept))


def smallest_set(size: int, works: Callable[[Sequence[int]], bool], most: int) -> list[int]:
    """Return places below ``size`` that together are enough, none of which can be left out; none if not even all are
    enough, or if there are more than ``most``.

    The shortest beginning of the row that is enough ends with one that is needed; with it kept, again. This costs about
    log2(size) questions for each place that is returned.
    """
    needed: list[int] = []
    end = size
    if not works(range(size)):
        return []
    while len(needed) <= most:
        if works(needed):
            return needed
        fails, enough = 0, end
        while enough - fails > 1:
            middle = (fails + enough) // 2
            if works([*range(middle), *needed]):
                enough = middle
            else:
                fails = middle
        needed.append(enough - 1)
        end = enough - 1
    return []
