"""What keeps a directive from being proposed: something does, for every directive that is not set, and it is so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.behaviour import Access, Fact, Phase, SocketAddress, SocketOpened, SystemCall
from policy.decide import Decision, decide
from policy.directives.base import all_directives
from policy.directives.kernel import SUBSET_WITH_OTHERS_SINCE
from policy.explain import Explanation, Status, explain, with_hindrances
from policy.hindrance import Cause, Hindrance, hindrances
from policy.host_facts import CONTROL_GROUP_PROGRAMS
from policy.level import Level
from policy.recording import Header, Recording
from policy.service_profile import Profile
from policy.shipped_host_facts import for_version
from policy.unit_settings import ExecLine, UnitSettings
from policy.wording import hindrance_in_words
from tests.policy.services import COMMON_CALLS, HOST, calls, data_store, pool, profile, use, web_server

PROFILES = {"web": web_server(), "store": data_store(), "pool": profile(pool()), "little": profile(calls(COMMON_CALLS))}
NEWER = for_version(257)


def attached(recorded: Profile) -> Profile:
    """Return a profile of a service whose start nobody saw."""
    recording = Recording("a", ("ebpf",), 252, phases=frozenset({Phase.SERVING}))
    return Profile(Header(recorded.header.unit, frozenset({recording})), recorded.facts)


def only(found: tuple[Hindrance, ...], cause: Cause) -> list[Hindrance]:
    return [one for one in found if one.cause is cause]


def explained(decision: Decision) -> list[Explanation]:
    return [with_hindrances(one, decision, 3) for one in explain(decision)]


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("name", [*PROFILES, "attached"])
def test_every_directive_that_is_not_set_has_a_reason(name: str, level: Level) -> None:
    recorded = attached(web_server()) if name == "attached" else PROFILES[name]
    for host in (HOST, NEWER, for_version(245))[:: 1 if level is Level.STANDARD else 2]:
        found = explained(decide(recorded, host, level))
        assert [one.directive for one in found] == list(all_directives())
        for one in found:
            reasons = one.hindered_by or one.forced_by or one.unenforced
            assert one.status is not Status.NOT_SET or reasons, one.directive
            assert not (one.status is Status.TIGHTENED and one.hindered_by), one.directive
            for hindrance in one.hindered_by:
                assert hindrance_in_words(hindrance).isprintable()


@pytest.mark.parametrize("name", PROFILES)
def test_a_fact_that_keeps_it_does_so_and_none_is_too_many(name: str) -> None:
    decision = decide(PROFILES[name], HOST)
    evidence = decision.evidence
    checked = 0
    for directive, kind in all_directives().items():
        for one in only(hindrances(decision, directive, 3), Cause.RECORDED):
            nothing = evidence.otherwise(())
            if not any(any(candidate.values()) for candidate in kind.candidates(nothing)):
                continue  # it is compared with other facts than none at all
            assert not list(kind.candidates(evidence.otherwise(one.facts)))
            for fact in one.facts:
                assert list(kind.candidates(evidence.otherwise([other for other in one.facts if other != fact])))
            checked += 1
    assert checked or name == "little"


def test_the_level_that_would_propose_it_does() -> None:
    found = hindrances(decide(web_server(), HOST, Level.COMPATIBLE), "ProcSubset")
    assert [(one.cause, one.details, one.instead) for one in found] == [
        (Cause.LEVEL, (Level.COMPATIBLE, Level.STANDARD), ("pid",))
    ]
    chosen = {choice.name: choice.chosen for choice in decide(web_server(), HOST, Level.STANDARD).choices}
    assert chosen["ProcSubset"].values() == ("pid",)


def test_facts_that_only_together_keep_it() -> None:
    facts = [*calls(COMMON_CALLS), Fact(SystemCall("getpid"), user=7), Fact(SystemCall("uname"), user=8)]
    recorded = profile([fact for fact in facts if fact.user])
    found = hindrances(decide(recorded, HOST), "PrivateUsers")
    assert [{fact.user for fact in one.facts} for one in only(found, Cause.RECORDED)] == [{7, 8}]
    assert " and " in hindrance_in_words(found[0])


def test_as_many_as_are_asked_for() -> None:
    recorded = profile(use(f"/srv/{number}", Access.CREATE) for number in range(30))
    decision = decide(recorded, HOST)
    assert len(hindrances(decision, "UMask", 4)) == 4
    all_of_them = only(hindrances(decision, "UMask", 100), Cause.RECORDED)
    assert {one.facts[0] for one in all_of_them} == recorded.facts


def test_a_start_that_nobody_saw() -> None:
    assert only(hindrances(decide(attached(profile(calls(["read"]))), HOST), "PrivateTmp"), Cause.START_UP)


def test_the_units_own_settings_and_only_those_to_blame() -> None:
    unit = UnitSettings("a.service", assignments=(("Nice", "3"), ("IPAddressDeny", "192.0.2.0/24")))
    found = hindrances(decide(profile(calls(["read"]), unit), HOST), "IPAddressDeny")
    assert [(one.cause, one.details) for one in found] == [(Cause.UNIT, ("IPAddressDeny=",))]


def test_a_line_that_was_not_recorded() -> None:
    lines = (ExecLine("ExecStart", "", "/bin/a"), ExecLine("ExecStop", "", "/bin/b"))
    unit = replace(web_server().header.unit, exec_lines=lines)
    found = hindrances(decide(profile(web_server().facts, unit), HOST, Level.STRICT), "InaccessiblePaths")
    assert [one.details for one in only(found, Cause.UNIT)] == [("ExecStop= was not recorded",)]


def test_a_fact_that_keeps_it_need_not_be_one_that_it_denies() -> None:
    everywhere = Fact(SocketAddress("bind", "AF_INET", "SOCK_STREAM", "0.0.0.0", 80))
    near = Fact(SocketAddress("accept", "AF_INET", "SOCK_STREAM", "127.0.0.1", 4711))
    recorded = profile([*calls(COMMON_CALLS), Fact(SocketOpened("AF_INET", "SOCK_STREAM")), everywhere, near])
    found = {one.directive: one for one in explained(decide(recorded, HOST))}["IPAddressDeny"]
    assert near in {denial.fact for denial in found.forced_by}
    assert [one.facts for one in found.hindered_by if one.cause is Cause.RECORDED] == [(everywhere,)]


def test_the_target() -> None:
    unknown = decide(data_store(), replace(NEWER, features=frozenset()), Level.STRICT)
    assert "not known to be built with BPF_FRAMEWORK" in hindrance_in_words(hindrances(unknown, "SocketBindDeny")[0])
    older = decide(data_store(), for_version(SUBSET_WITH_OTHERS_SINCE - 1))
    words = f"its systemd is {SUBSET_WITH_OTHERS_SINCE - 1}, and {SUBSET_WITH_OTHERS_SINCE} is needed"
    assert [one.details for one in hindrances(older, "ProcSubset")] == [(words,)]


def test_a_mechanism_that_is_refused_is_said_once() -> None:
    host = replace(NEWER, refused={CONTROL_GROUP_PROGRAMS: "in a container"})
    explanation = {one.directive: one for one in explained(decide(web_server(), host))}["IPAddressDeny"]
    assert (explanation.unenforced, explanation.hindered_by) == ("in a container", ())


def test_what_others_deny_already_and_what_is_never_proposed() -> None:
    decision = decide(profile(calls(COMMON_CALLS)), NEWER)
    assert hindrances(decision, "DevicePolicy") == (Hindrance(Cause.COVERED, ("PrivateDevices=yes",)),)
    assert hindrances(decision, "PrivatePIDs")[0].cause is Cause.NEVER
    assert hindrances(decision, "AmbientCapabilities") == (Hindrance(Cause.DEFAULT),)
    assert hindrances(decision, "DeviceAllow") == (Hindrance(Cause.NOTHING_TO_EXCEPT, ("DevicePolicy",)),)
    assert hindrances(decision, "ProtectSystem") == ()
