"""The discovery curve: it rises, it ends with what is known, and it stays small however long the recording."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from profiler.normalise.discovery import MOST_STEPS, Discovery

BEGAN = 1_700_000_000.0


def found(*moments: float) -> Discovery:
    discovery = Discovery()
    for moment in moments:
        discovery.note(BEGAN + moment)
    return discovery


@given(st.lists(st.floats(-5, 1e5), max_size=50), st.floats(0, 1e5), st.integers(0, 100))
def test_a_curve_rises_and_ends_with_all(moments: list[float], lasted: float, more: int) -> None:
    discovery = found(*moments)
    curve = discovery.curve(BEGAN, BEGAN + lasted, len(moments) + more)
    times, counts = [point[0] for point in curve], [point[1] for point in curve]
    assert times == sorted(set(times))
    assert counts == sorted(counts)
    assert curve[-1] == (round((BEGAN + lasted - BEGAN) * 1000), len(moments) + more)
    assert discovery.count == len(moments)


def test_points_are_where_facts_were_found() -> None:
    assert found(0.5, 0.5, 2.0).curve(BEGAN, BEGAN + 3, 4) == ((0, 0), (500, 2), (2000, 3), (3000, 4))


def test_a_long_recording_has_no_more_points_than_a_short_one() -> None:
    discovery = found(*(place * 7.3 for place in range(5000)))
    curve = discovery.curve(BEGAN, BEGAN + 40_000, 5000)
    assert MOST_STEPS / 4 < len(curve) <= MOST_STEPS + 2
    middle = min(curve, key=lambda point: abs(point[0] - 18_250_000))
    assert abs(middle[1] - 2500) < 100


def test_what_came_lately_is_counted() -> None:
    discovery = Discovery()
    now = time.time()
    for age in (100, 50, 10):
        discovery.note(now - age)
    assert discovery.since(now - 60) == 2
