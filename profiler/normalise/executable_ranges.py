"""Which addresses of a process are mapped executable, and how much it locked, as far as its own calls tell."""

from __future__ import annotations


class ExecutableRanges:
    """A set of address ranges. What the kernel maps at execve() is not in it: it makes no call."""

    def __init__(self, ranges: tuple[tuple[int, int], ...] = ()) -> None:
        self._ranges = ranges  # sorted, disjoint, half open
        self._locked = 0

    def copy(self) -> ExecutableRanges:
        """Return the set of a forked child: equal, and changing on its own. Locks are not inherited (mlock(2))."""
        return ExecutableRanges(self._ranges)

    def lock(self, length: int) -> int:
        """Count locked bytes and return their sum so far. What is unlocked again is not subtracted."""
        self._locked += length
        return self._locked

    def covers(self, start: int, length: int) -> bool:
        """Whether the whole range is known to be executable."""
        return any(low <= start and start + length <= high for low, high in self._ranges)

    def remove(self, start: int, length: int) -> None:
        """Take a range out: it was mapped anew or lost its execute permission."""
        end = start + length
        pieces: list[tuple[int, int]] = []
        for low, high in self._ranges:
            pieces += [(low, min(high, start)), (max(low, end), high)]
        self._ranges = tuple((low, high) for low, high in pieces if low < high)

    def add(self, start: int, length: int) -> None:
        """Add a range."""
        self.remove(start, length)
        merged: list[tuple[int, int]] = []
        for low, high in sorted([*self._ranges, (start, start + length)]):
            if merged and merged[-1][1] == low:
                merged[-1] = (merged[-1][0], high)
            else:
                merged.append((low, high))
        self._ranges = tuple(merged)
