"""Time spans as systemd.time(7) writes them."""

from __future__ import annotations

import pytest

from profiler.errors import UsageError
from profiler.service_options import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("30s", 30), ("1min 30s", 90), ("1h30min", 5400), ("1.5min", 90), ("500ms", 0.5), ("2 h", 7200)],
)
def test_a_span_is_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-5", "soon", "5 parsecs", "5s garbage", "garbage 5s", "8000h", "1e3"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        seconds(text)
