"""Phases over time."""

from __future__ import annotations

from policy.behaviour import Phase
from profiler.unit.life import PhaseClock


def test_a_moment_belongs_to_the_last_phase_begun() -> None:
    clock = PhaseClock([(10.0, Phase.START_UP), (20.0, Phase.SERVING), (30.0, Phase.STOP)])

    assert clock.at(5.0) is Phase.START_UP
    assert clock.at(15.0) is Phase.START_UP
    assert clock.at(20.0) is Phase.SERVING
    assert clock.at(29.9) is Phase.SERVING
    assert clock.at(99.0) is Phase.STOP
    assert clock.seen == (Phase.START_UP, Phase.SERVING, Phase.STOP)


def test_a_phase_that_began_is_seen() -> None:
    clock = PhaseClock()
    clock.begin(Phase.RELOAD)

    assert clock.seen == (Phase.RELOAD,)
