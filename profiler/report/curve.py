"""The discovery curve of a recording as shapes of a drawing that is 1000 wide and 100 high."""

from __future__ import annotations

from dataclasses import dataclass

from policy.report.model import Course
from profiler.status_line import span

WIDTH, HEIGHT = 1000.0, 100.0
_LONGEST = 10**12  # milliseconds


@dataclass(frozen=True)
class Band:
    """The stretch of a phase: where it begins, how wide it is, its name, and how long it took in words."""

    phase: str
    x: float
    width: float
    took: str


@dataclass(frozen=True)
class Curve:
    """A staircase as the ``d`` of an SVG path (and with the ground below it, to be filled), and what its axes say."""

    line: str
    area: str
    bands: tuple[Band, ...]
    most: int
    duration: str
    settled: str
    """When nine tenths of all facts were known, in words."""


def curve(course: Course) -> Curve | None:
    """Return the curve of a recording; None if its profile has none, or one that cannot be.

    Nothing is drawn outside of the drawing, whatever a profile that somebody else made says.
    """
    if not course.points or not 0 < course.duration < _LONGEST:
        return None
    most = max(1, *(count for _, count in course.points))
    steps = [(_x(at, course), HEIGHT - HEIGHT * (max(0, count) / most)) for at, count in course.points]
    line = f"M{steps[0][0]:.1f} {steps[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in steps[1:])
    tenth = next((at for at, count in course.points if 10 * count >= 9 * most), course.duration)
    return Curve(
        line,
        f"{line}V{HEIGHT:.0f}H0Z",
        _bands(course),
        most,
        _span(course.duration),
        _span(min(max(0, tenth), course.duration)),
    )


def _x(at: int, course: Course) -> float:
    return WIDTH * (min(max(0, at), course.duration) / course.duration)


def _bands(course: Course) -> tuple[Band, ...]:
    ends = [min(at, course.duration) for at, _ in course.phases[1:]] + [course.duration]
    return tuple(
        Band(phase, _x(at, course), _x(end, course) - _x(at, course), _span(end - max(0, at)))
        for (at, phase), end in zip(course.phases, ends, strict=False)
        if end > max(0, at)
    )


def _span(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 10_000 else span(milliseconds / 1000)
