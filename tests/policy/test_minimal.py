"""What can be taken away from a drop-in: every piece makes it stricter, and what is not touched stays as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.behaviour import Fact, SystemCall
from policy.decide import decide
from policy.drop_in import DropIn, Setting, parse
from policy.drop_in_for import drop_in_settings
from policy.minimal import Piece, Start
from policy.replay import replay
from policy.service_profile import Profile
from policy.settings import build_sandbox
from policy.unit_settings import UnitSettings
from tests.policy.services import HOST, data_store, pool, web_server


def start_of(recorded: Profile) -> Start:
    lines = [Setting(name, value) for name, values, _ in drop_in_settings(decide(recorded, HOST)) for value in values]
    return Start(DropIn(tuple(lines)), recorded.header.unit, HOST, recorded.facts)


@pytest.mark.parametrize("recorded", [web_server(), data_store()], ids=["web server", "data store"])
def test_every_piece_makes_it_stricter_and_never_looser(recorded: Profile) -> None:
    start = start_of(recorded)
    before = build_sandbox(start.values, HOST, start.unit)
    facts = [fact for fact in pool() if before.judge(fact) is not None]

    for piece in start.pieces():
        tightened = replace(start, drop_in=start.without([piece]))
        assert tightened.values != start.values, piece
        sandbox = build_sandbox(tightened.values, HOST, start.unit)
        assert all(sandbox.judge(fact) is not None for fact in facts), piece


@pytest.mark.parametrize("recorded", [web_server(), data_store()], ids=["web server", "data store"])
def test_what_no_recorded_fact_needs_can_go_by_the_model(recorded: Profile) -> None:
    start = start_of(recorded)
    needless = [piece for piece in start.pieces() if not piece.needed]

    replayed = replay(recorded, start.without(needless).assignments, HOST)

    assert needless
    assert not replayed.blocked


def test_what_does_not_change_stays_as_it_is_written() -> None:
    drop = parse("[Service]\n# why\nReadWritePaths=/srv/a /srv/b\nLimitNOFILE=5\nProtectSystem=strict\n")
    start = Start(drop, UnitSettings("a.service"), HOST)

    smaller = start.without([Piece("ReadWritePaths", element="/srv/a")])

    assert [one for one in smaller.settings if one.name != "ReadWritePaths"] == list(drop.settings[1:])
    assert [one.value for one in smaller.settings if one.name == "ReadWritePaths"] == ["", "/srv/b"]
    assert "minimised: without /srv/a" in smaller.render()


def test_the_last_element_gone_leaves_a_reset_where_the_unit_has_its_own() -> None:
    unit = UnitSettings("a.service", assignments=(("ReadWritePaths", "/srv/a"), ("ProtectSystem", "strict")))
    start = Start(parse("[Service]\nPrivateTmp=yes\n"), unit, HOST)
    (piece,) = (piece for piece in start.pieces(["ReadWritePaths"]) if piece.element)

    smaller = start.without([piece])

    assert ("ReadWritePaths", "") in smaller.assignments


def test_calls_of_one_class_go_together_and_the_baseline_stays() -> None:
    start = Start(parse("[Service]\nSystemCallFilter=@system-service\n"), UnitSettings("a.service"), HOST)
    pieces = start.pieces(["SystemCallFilter"])
    (accept,) = (piece for piece in pieces if "accept" in piece.calls)

    assert "accept4" in accept.calls
    assert not any({"exit_group", "rt_sigreturn", "brk"} & piece.calls for piece in pieces)
    smaller = replace(start, drop_in=start.without([accept]))
    sandbox = build_sandbox(smaller.values, HOST, start.unit)
    assert sandbox.judge(Fact(SystemCall("accept4"))) is not None
    assert sandbox.judge(Fact(SystemCall("read"))) is None


def test_what_a_line_that_was_not_exercised_may_need_is_left_alone() -> None:
    drop = parse("[Service]\nRestrictAddressFamilies=AF_UNIX AF_INET\n")

    pieces = Start(drop, UnitSettings("a.service"), HOST).pieces(["RestrictAddressFamilies"])

    assert [piece.element for piece in pieces] == ["AF_INET"]
