"""Advice is given where the evidence speaks for it, with that evidence, and is never written."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from policy.advice import Advice, advise
from policy.behaviour import Access, CapabilityUsed, Fact, FileKind, IpcUsed, PrivilegeGained, SocketAddress
from policy.decide import decide
from policy.drop_in_for import drop_in_settings
from policy.unit_settings import UnitSettings
from policy.wording import advice_in_words
from tests.policy.services import HOST, calls, capability, data_store, pool, profile, use, web_server

STORE = UnitSettings("a.service", user="a", assignments=(("User", "a"),))


def given(facts: Iterable[Fact], unit: UnitSettings | None = None) -> dict[str, Advice]:
    return {one.setting: one for one in advise(decide(profile(facts, unit), HOST))}


def test_a_web_server_hears_what_it_could_do_without() -> None:
    advice = {one.setting: one for one in advise(decide(web_server(), HOST))}
    user = advice["User= with AmbientCapabilities=CAP_NET_BIND_SERVICE"]
    assert [fact.behaviour for fact in user.evidence] == [CapabilityUsed("CAP_NET_BIND_SERVICE", "bind to port 80")]
    assert {"StateDirectory=web", "LogsDirectory=web", "a .socket unit", "UMask=0077"} <= set(advice)
    assert "DynamicUser=yes" not in advice


def test_a_store_with_a_user_could_have_a_dynamic_one() -> None:
    advice = {one.setting: one for one in advise(decide(data_store(), HOST))}
    assert "DynamicUser=yes" in advice
    assert not any(setting.startswith("User=") for setting in advice)


def test_set_uid_programs_take_the_filters_from_a_service_with_a_user() -> None:
    sudo = Fact(PrivilegeGained("/usr/bin/sudo", "set-uid"))
    advice = given([sudo], STORE)["a unit of its own for what needs privileges"]
    assert advice.evidence == (sudo,)
    assert "/usr/bin/sudo" in advice.reason
    assert "a unit of its own for what needs privileges" not in given([sudo])


def test_root_without_capabilities_needs_no_root() -> None:
    assert "User=" in given(calls(["read"]))
    assert "User=" not in given(calls(["read"]), STORE)
    assert not [setting for setting in given([capability("CAP_SYS_ADMIN", "mount")]) if setting.startswith("User=")]


def test_what_only_the_preparation_needs_can_be_split_off() -> None:
    before = Fact(CapabilityUsed("CAP_CHOWN", "chown"), exec_line="ExecStartPre")
    main = Fact(CapabilityUsed("CAP_KILL", "kill"))
    advice = given([before, main])["ExecStartPre=+... or a unit of its own"]
    assert advice.evidence == (before,)
    assert "CAP_CHOWN" in advice.reason
    assert "ExecStartPre=+... or a unit of its own" not in given([main, Fact(main.behaviour, exec_line="ExecStartPre")])


@pytest.mark.parametrize(
    ("fact", "setting"),
    [
        (use("/usr/lib/python3/a/__pycache__/x.pyc", Access.CREATE), "no writing below /usr"),
        (use("/usr/lib/python3/a/__pycache__/x.pyc", Access.CREATE, outcome="EACCES"), "nothing: for your information"),
        (Fact(IpcUsed("sem", "0x2")), "PrivateIPC=yes"),
        (calls(["io_uring_enter"])[0], "SystemCallFilter=~io_uring_setup:ENOSYS"),
        (use("/var/lib/a/b/c", Access.READ), "RootDirectory= or RootImage="),
        (use("/run/a/s", Access.BIND, FileKind.SOCKET), "RuntimeDirectory=a"),
    ],
)
def test_other_advice(fact: Fact, setting: str) -> None:
    advice = given([fact])
    assert setting in advice
    assert fact in advice[setting].evidence or setting.startswith("Root")
    assert "\n" not in advice_in_words(advice[setting])


def test_it_is_never_written() -> None:
    settings = {name for name, _, _ in drop_in_settings(decide(profile(pool()), HOST))}
    never = {"User", "DynamicUser", "RootDirectory", "StateDirectory", "RuntimeDirectory", "AmbientCapabilities"}
    assert not settings & never


def test_a_socket_that_is_passed_in_needs_no_advice() -> None:
    facts = [
        capability("CAP_NET_BIND_SERVICE", "bind to port 80"),
        Fact(SocketAddress("bind", "AF_INET", "SOCK_STREAM", "0.0.0.0", 80)),
    ]
    assert "a .socket unit" in given(facts)
    assert "a .socket unit" not in given(facts, UnitSettings("a.service", socket_activated=True))
