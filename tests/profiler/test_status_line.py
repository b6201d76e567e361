"""The line on the terminal: it fits, it keeps the most important, it never lies about its end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.status_line import BAR_CELLS, Live, bar, columns_of, compose, cut, in_encoding, span


@given(st.text(), st.integers(0, 60))
def test_what_is_cut_fits(text: str, columns: int) -> None:
    assert columns_of(cut(text, columns)) <= columns


@given(st.lists(st.text(max_size=30), max_size=5), st.integers(1, 200), st.floats(0, 1e6))
def test_a_line_fits_into_any_terminal(parts: list[str], columns: int, seconds: float) -> None:
    assert columns_of(compose("recording a.service", Live(tuple(parts)), seconds, columns)) <= columns


def test_the_most_important_stays_on_a_narrow_terminal() -> None:
    live = Live(("120 facts", "nothing new for 25 s", "serving", "4,000 events"))
    assert compose("a", live, 5, 49) == "a  5 s · 120 facts · nothing new for 25 s"
    assert compose("recording a", live, 5, 24) == "recording a  5 s"
    assert compose("recording a", live, 5, 29) == "recording a  5 s · 120 facts"
    assert compose("recording a", live, 5, 120).endswith(
        "5 s · 120 facts · nothing new for 25 s · serving · 4,000 events"
    )


@given(st.none() | st.floats(-1, 2), st.floats(0, 1e6))
def test_a_bar_has_one_length(fraction: float | None, seconds: float) -> None:
    assert len(bar(fraction, seconds)) == BAR_CELLS


def test_a_bar_is_full_at_the_end_only() -> None:
    assert bar(0.5, 0).count("━") == BAR_CELLS // 2
    assert "─" not in bar(1.0, 0)
    assert {bar(None, place / 8) for place in range(16)} == {bar(None, 100 + place / 8) for place in range(16)}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.9, "0 s"), (59, "59 s"), (60, "1 min"), (185, "3 min 5 s"), (3600, "1 h"), (7845, "2 h 10 min")],
)
def test_spans_read_as_systemd_writes_them(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_terminal_without_unicode_gets_ascii() -> None:
    line = compose("recording", Live(("serving",), 0.5), 5, 80)
    assert in_encoding(line, "utf-8") == line
    assert in_encoding(line, "ascii").isascii()
    assert in_encoding(line, None).isascii()
