"""What a recording says of itself while it runs."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from policy.behaviour import Phase
from profiler.normalise.discovery import Discovery
from profiler.pulse import COMPLETE, QUIET, Pulse
from profiler.unit.life import PhaseClock


def pulse(quiet: float = 0.0, lasts: float = 0.0) -> Pulse:
    """Return a pulse of a recording that found three facts, the last one so many seconds ago."""
    discovery = Discovery()
    for _ in range(3):
        discovery.note(time.time())
    discovery.latest -= quiet
    watch: Any = SimpleNamespace(discovery=discovery, lines=1234)
    clock = PhaseClock()
    clock.begin(Phase.SERVING)
    return Pulse(watch, clock, lasts)


def test_phase_facts_news_and_events_in_this_order() -> None:
    assert pulse().live().parts == ("3 facts", "3 new a minute", "serving", "1,234 events")


def test_silence_is_told_and_then_what_it_means() -> None:
    assert pulse(QUIET + 1).live().parts[1] == "nothing new for 20 s"
    assert pulse(COMPLETE + 1).live().parts[1] == "nothing new for 3 min: the recording looks complete"


def test_a_time_to_watch_gives_a_fraction() -> None:
    assert pulse().live().fraction is None
    fraction = pulse(lasts=1000.0).live().fraction
    assert fraction is not None
    assert 0 <= fraction < 0.1
