"""The smallest changes to a drop-in: by the cases of the lists and words that a directive can have, and by laws."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.behaviour import OK, Access, Behaviour, CapabilityUsed, Fact, PathUse, SocketOpened, SystemCall
from policy.decide import decide
from policy.drop_in import DropIn, Setting, parse
from policy.drop_in_for import drop_in_settings
from policy.relax import Relaxation, relax
from policy.replay import replay
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from tests.policy.services import HOST, calls, data_store, pool, profile, web_server

UDP = SocketOpened("AF_INET", "SOCK_DGRAM")
PORT = CapabilityUsed("CAP_NET_BIND_SERVICE", "bind to port 80")
READ = PathUse("/etc/a.conf", Access.READ)
WRITE = PathUse("/var/lib/a/data", Access.WRITE)


def drop_in(*lines: str) -> DropIn:
    return parse("\n".join(["[Service]", *lines]))


def relaxed(drop: DropIn, *behaviours: Behaviour) -> tuple[Relaxation, ...]:
    recorded = profile(map(Fact, behaviours))
    return relax(drop, replay(recorded, drop.assignments, HOST).blocked, recorded, HOST)


@pytest.mark.parametrize(
    ("lines", "behaviour", "words"),
    [
        (["RestrictAddressFamilies=AF_UNIX"], UDP, "add RestrictAddressFamilies=AF_INET"),
        (["RestrictAddressFamilies=~AF_INET AF_PACKET"], UDP, "take AF_INET out of RestrictAddressFamilies="),
        (["CapabilityBoundingSet=CAP_CHOWN"], PORT, "add CapabilityBoundingSet=CAP_NET_BIND_SERVICE"),
        (
            ["SystemCallFilter=@system-service", "SystemCallFilter=~bind"],
            SystemCall("bind"),
            "take bind out of SystemCallFilter=",
        ),
        (
            [
                "SystemCallErrorNumber=EPERM",
                "SystemCallFilter=@system-service",
                "SystemCallFilter=~fsync:kill fdatasync:kill",
            ],
            SystemCall("fsync"),
            "add SystemCallFilter=fsync",
        ),
        (["ProtectSystem=strict"], WRITE, "add ReadWritePaths=-/var/lib/a"),
        (["User=nobody", "InaccessiblePaths=/etc/a.conf /srv"], READ, "take /etc/a.conf out of InaccessiblePaths="),
        (["InaccessiblePaths=/etc/a.conf"], READ, "remove InaccessiblePaths="),
    ],
)
def test_the_smallest_change(lines: list[str], behaviour: Behaviour, words: str) -> None:
    drop = drop_in(*lines)

    (change, *more) = relaxed(drop, behaviour)

    assert change.in_words == words
    assert not more
    assert str(change).startswith(f"{words}, to ")
    after = change.applied_to(drop)
    assert not replay(profile([Fact(behaviour)]), after.assignments, HOST).blocked


def test_one_change_for_all_that_it_allows() -> None:
    drop = drop_in("ProtectSystem=strict")

    assert len(relaxed(drop, WRITE, replace(WRITE, path="/var/lib/a/more"), replace(WRITE, access=Access.CREATE))) == 1


def test_words_for_one_list_are_on_one_line() -> None:
    drop = drop_in("SystemCallFilter=@system-service", "SystemCallFilter=~@network-io")

    (change,) = relaxed(drop, SystemCall("bind"), SystemCall("listen"))

    assert change.in_words == "add SystemCallFilter=bind listen"
    assert change.reason == "call bind (x86-64), and 1 more"


@pytest.mark.parametrize("recorded", [web_server(), data_store()], ids=["web server", "data store"])
def test_whatever_line_is_lost_relaxing_allows_all_again(recorded: Profile) -> None:
    sound = [Setting(name, value) for name, values, _ in drop_in_settings(decide(recorded, HOST)) for value in values]
    for place in range(len(sound)):
        faulty = DropIn((*sound[:place], *sound[place + 1 :]))
        blocked = replay(recorded, faulty.assignments, HOST).blocked

        for change in relax(faulty, blocked, recorded, HOST):
            faulty = change.applied_to(faulty)

        assert not replay(recorded, faulty.assignments, HOST).blocked, sound[place]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(list(pool())), max_size=8, unique=True))
def test_what_relaxing_says_is_enough(facts: list[Fact]) -> None:
    recorded = profile([replace(fact, outcome=OK) for fact in facts] + calls(["read", "write"]))
    drop = drop_in("ProtectSystem=strict", "CapabilityBoundingSet=", "RestrictAddressFamilies=none", "PrivateTmp=yes")
    denials = replay(recorded, drop.assignments, HOST).blocked

    for change in relax(drop, denials, recorded, HOST):
        drop = change.applied_to(drop)

    left: tuple[Denial, ...] = replay(recorded, drop.assignments, HOST).blocked
    assert {denial.fact for denial in left} <= {denial.fact for denial in decide(recorded, HOST).remaining}
