"""The discovery curve as shapes."""

from __future__ import annotations

from policy.report.model import Course
from profiler.report.curve import HEIGHT, WIDTH, curve

COURSE = Course(
    "ebpf",
    252,
    "6.1",
    "ok",
    "complete",
    duration=4000,
    points=((0, 0), (1000, 50), (2000, 95), (4000, 100)),
    phases=((0, "start-up"), (1000, "serving"), (3000, "stop")),
)


def test_the_staircase_begins_at_the_ground_and_ends_at_the_top() -> None:
    drawn = curve(COURSE)
    assert drawn is not None
    assert drawn.line == "M0.0 100.0H250.0V50.0H500.0V5.0H1000.0V0.0"
    assert drawn.area == f"{drawn.line}V{HEIGHT:.0f}H0Z"
    assert (drawn.most, drawn.duration, drawn.settled) == (100, "4.0 s", "2.0 s")


def test_phases_lie_side_by_side_from_beginning_to_end() -> None:
    drawn = curve(COURSE)
    assert drawn is not None
    assert [(band.phase, band.x, band.took) for band in drawn.bands] == [
        ("start-up", 0.0, "1.0 s"),
        ("serving", 250.0, "2.0 s"),
        ("stop", 750.0, "1.0 s"),
    ]
    assert sum(band.width for band in drawn.bands) == WIDTH


def test_a_profile_of_an_older_version_has_none() -> None:
    assert curve(Course("strace", 252, "6.1", "ok", "complete")) is None


def test_times_that_make_no_sense_are_drawn_inside_all_the_same() -> None:
    odd = Course(
        "a", 1, "", "", "", duration=10, points=((0, 0), (99, 0)), phases=((0, "serving"), (50, "stop"), (5, "x"))
    )
    drawn = curve(odd)
    assert drawn is not None
    assert all(0 <= band.x <= WIDTH and band.width >= 0 for band in drawn.bands)
