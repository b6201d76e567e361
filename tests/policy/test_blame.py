"""Denials by their cause: which lines of a drop-in deny them, and which change allows them."""

from __future__ import annotations

import pytest

from policy.behaviour import Access, Fact, PathUse, SocketOpened, SystemCall
from policy.blame import UNNAMED, Blame, blame
from policy.drop_in import DropIn, parse
from policy.relax import Relaxation, relax
from policy.replay import replay
from policy.sandbox.denial import Denial
from policy.unit_settings import UnitSettings
from tests.policy.services import HOST, profile

UNIT = UnitSettings("a.service")
WRITE = Fact(PathUse("/var/lib/a/data", Access.WRITE))
MORE = Fact(PathUse("/var/lib/a/more", Access.CREATE))
UDP = Fact(SocketOpened("AF_INET", "SOCK_DGRAM"))


def blamed(text: str, *facts: Fact) -> tuple[Blame, ...]:
    drop = parse(f"[Service]\n{text}")
    recorded = profile(facts)
    denials = replay(recorded, drop.assignments, HOST).blocked
    return blame(drop, denials, relax(drop, denials, recorded, HOST), HOST, UNIT)


def lines(one: Blame) -> list[tuple[int, str]]:
    return [(line.line, line.value) for line in one.lines]


def test_denials_with_one_cause_are_together() -> None:
    paths, families = blamed(
        "PrivateTmp=yes\nProtectSystem=strict\nRestrictAddressFamilies=AF_UNIX\n", WRITE, MORE, UDP
    )

    assert paths.setting == "ProtectSystem=strict"
    assert {denial.fact for denial in paths.denials} == {WRITE, MORE}
    assert lines(paths) == [(3, "strict")]
    assert [change.in_words for change in paths.changes] == ["add ReadWritePaths=-/var/lib/a"]
    assert lines(families) == [(4, "AF_UNIX")]


@pytest.mark.parametrize(
    ("text", "guilty"),
    [
        (
            "SystemCallFilter=\nSystemCallFilter=@system-service\nSystemCallFilter=~@clock bind\nUMask=077\n",
            [(4, "~@clock bind")],
        ),
        ("SystemCallFilter=read write\nSystemCallFilter=openat\n", [(2, "read write")]),
        ("SystemCallFilter=~bind\nSystemCallFilter=~listen\n", [(2, "~bind")]),
        ("SystemCallFilter=@system-service\nSystemCallFilter=~bind:kill chmod:kill\n", [(3, "~bind:kill chmod:kill")]),
    ],
)
def test_of_several_lines_the_one_that_denies_is_named(text: str, guilty: list[tuple[int, str]]) -> None:
    (one,) = blamed(text, Fact(SystemCall("bind")))

    assert lines(one) == guilty


def test_an_empty_line_is_to_blame_if_there_is_no_other() -> None:
    (one,) = blamed("RestrictAddressFamilies=none\n", UDP)

    assert lines(one) == [(2, "none")]


def test_what_the_model_cannot_name_goes_with_what_restarts_found() -> None:
    drop = parse("[Service]\nLimitNOFILE=4\nPrivateTmp=yes\n")
    denial = Denial(WRITE, "", UNNAMED, "EPERM", "it worked when it was recorded")
    change = Relaxation("LimitNOFILE", (), adds=False, reason="prevent: it is failed")

    (with_cause,) = blame(drop, [denial], [change], HOST, UNIT)
    (without,) = blame(drop, [denial], [], HOST, UNIT)

    assert with_cause.denials == without.denials == (denial,)
    assert lines(with_cause) == [(2, "4")]
    assert with_cause.changes == (change,)
    assert (without.setting, without.lines, without.changes) == (UNNAMED, (), ())


def test_nothing_denied_is_nobodys_fault() -> None:
    assert blame(DropIn(), [], [], HOST, UNIT) == ()


def test_of_a_list_only_the_line_with_the_word_is_to_blame() -> None:
    drop = parse("[Service]\nReadWritePaths=/srv/a\nReadWritePaths=/srv/missing\n")
    change = Relaxation("ReadWritePaths", ("/srv/a",), adds=False, reason="prevent: 226", taken=("/srv/missing",))

    (one,) = blame(drop, [], [change], HOST, UNIT)

    assert lines(one) == [(3, "/srv/missing")]
