"""The search for the least: by laws, cut short and gone on with, and on a real service in a twin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.drop_in import DropIn, parse
from policy.minimal import Piece, Start
from policy.unit_settings import UnitSettings
from profiler.errors import UsageError
from profiler.host import read_host_facts
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.minimising import Notes, Search, Standing, lives
from tests.policy.services import HOST
from tests.profiler.validate.services import left_behind, make, remove
from tests.twin_fixtures import TwinWith

ALL = [f"/srv/{number}" for number in range(24)]
START = Start(parse(f"[Service]\nReadWritePaths={' '.join(ALL)}\n"), UnitSettings("a.service"), HOST)


def allowed(drop_in: DropIn) -> set[str]:
    return {word for _, value in drop_in.assignments for word in value.split()}


def pieces(guessed: set[str]) -> list[Piece]:
    found = [Piece("ReadWritePaths", element=path, needed=path in guessed) for path in ALL]
    return sorted(found, key=lambda piece: piece.needed)


@settings(deadline=None, max_examples=40)
@given(st.sets(st.sampled_from(ALL), max_size=8), st.sets(st.sampled_from(ALL)))
def test_what_is_left_is_what_is_needed_whatever_was_guessed(needed: set[str], guessed: set[str]) -> None:
    asked: list[set[str]] = []

    def works(drop_in: DropIn) -> str:
        asked.append(allowed(drop_in))
        return "" if needed <= allowed(drop_in) else "missed"

    search = Search(START, works, pieces(guessed))
    search.run()

    assert allowed(search.drop_in) == needed
    assert {piece.element for piece in search.standing.missed} == needed
    assert not search.standing.left
    assert search.standing.asked == len(asked) - 1
    for path in needed:  # tried alone
        assert any(path not in one and needed - {path} <= one for one in asked)


@settings(deadline=None, max_examples=40)
@given(st.sets(st.sampled_from(ALL), max_size=6), st.integers(2, 12))
def test_after_an_interrupt_what_is_proven_stays_and_nothing_is_asked_twice(
    tmp_path_factory: pytest.TempPathFactory, needed: set[str], interrupted_at: int
) -> None:
    path = tmp_path_factory.mktemp("notes") / "a.answers"
    asked: list[frozenset[str]] = []

    def works(drop_in: DropIn) -> str:
        if len(asked) == interrupted_at:
            asked.append(frozenset())
            raise KeyboardInterrupt
        asked.append(frozenset(allowed(drop_in)))
        return "" if needed <= allowed(drop_in) else "missed"

    first = Search(START, Notes(path, {"unit": "a"}).remembering(works), pieces(needed))
    try:
        first.run()
    except KeyboardInterrupt:
        assert needed <= allowed(first.drop_in)
        assert first.standing.left
    with path.open("a") as file:
        file.write('{"candidate": "cut sh')  # as a death in the middle of a line leaves it

    second = Search(START, Notes(path, {"unit": "a"}).remembering(works), pieces(needed))
    second.run()

    assert allowed(second.drop_in) == needed
    answered = [one for one in asked if one]
    assert len(answered) == len(set(answered))


def test_the_answers_to_another_question_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.answers"
    Notes(path, {"workload": "true"})

    with pytest.raises(UsageError, match="has the answers of another search"):
        Notes(path, {"workload": "false"})


def test_a_service_that_does_not_work_to_begin_with_is_not_searched() -> None:
    search = Search(START, lambda _drop_in: "broken", pieces(set()))

    search.run()

    assert search.broken == "broken"
    assert search.standing.asked == 0


def test_the_estimate_counts_what_is_likely_to_be_missed() -> None:
    left = (Piece("A", "1"), Piece("A", "2"), Piece("A", "3", needed=True), Piece("A", "4", needed=True))

    assert Standing(left=left).questions_left == 3


SERVICE = """ExecStart=/bin/sh -c 'echo yes > /var/lib/minimised/here; exec sleep 600'
"""
DROP_IN = """[Service]
ReadWritePaths=/var/lib/minimised /var/cache /srv
ProtectSystem=full
RestrictAddressFamilies=AF_UNIX AF_INET
"""


@pytest.fixture
def unit(twin_with: TwinWith) -> Iterator[Unit]:
    machine = twin_with()
    machine.run(["mkdir", "-p", "/var/lib/minimised"])
    made = make(machine, "minimised.service", SERVICE)
    yield made
    remove(made)
    machine.run(["rm", "-rf", "/var/lib/minimised"])


def test_of_a_real_service_only_what_it_needs_is_left(unit: Unit) -> None:
    start = Start(parse(DROP_IN), unit.settings(), read_host_facts(unit.machine))
    workload = Workload("test -s /var/lib/minimised/here && rm /var/lib/minimised/here")
    wanted = ["ReadWritePaths", "ProtectSystem", "RestrictAddressFamilies", "PrivateDevices"]
    before = unit.machine.run(["systemctl", "cat", unit.name]).stdout

    with lives(unit, start.drop_in, workload) as works:
        search = Search(start, works, start.pieces(wanted))
        search.run()

    assert set(search.drop_in.assignments) == {
        ("ReadWritePaths", ""),
        ("ReadWritePaths", "/var/lib/minimised"),
        ("ProtectSystem", "strict"),
        ("RestrictAddressFamilies", ""),
        ("RestrictAddressFamilies", "AF_UNIX"),
        ("PrivateDevices", "yes"),
    }
    assert [piece.element for piece in search.standing.missed] == ["/var/lib/minimised"]
    assert unit.is_active()
    assert unit.machine.run(["systemctl", "cat", unit.name]).stdout == before
    assert left_behind(unit) == []
