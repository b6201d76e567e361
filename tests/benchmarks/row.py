"""What a benchmark reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured value: the median of ``samples`` measurements, with the smallest and the largest.

    ``bar`` is what the value must not exceed, in the same unit, where the project promises something.
    """

    what: str
    median: float
    unit: str
    samples: int = 1
    smallest: float | None = None
    largest: float | None = None
    bar: float | None = None

    @classmethod
    def of(cls, what: str, measured: list[float], unit: str, bar: float | None = None) -> Row:
        """Return the row for these measurements; there must be at least one."""
        ordered = sorted(measured)
        middle = len(ordered) // 2
        median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
        return cls(what, median, unit, len(ordered), ordered[0], ordered[-1], bar)

    @property
    def passed(self) -> bool:
        """Whether the promise is kept; also where nothing is promised."""
        return self.bar is None or self.median <= self.bar
