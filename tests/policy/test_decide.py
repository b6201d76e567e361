"""Decide, replay and explain over whole services: what comes out for two typical daemons, and the laws for any."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.behaviour import Fact, PathPair, PathUse, SystemCall
from policy.decide import Decision, decide
from policy.drop_in import DropIn, Setting
from policy.drop_in_for import drop_in_settings
from policy.explain import Explanation, Status, explain
from policy.host_facts import HostFacts
from policy.replay import replay
from policy.sandbox.sandbox import Sandbox
from policy.service_profile import Profile
from policy.settings import Assignment, build_sandbox, parse_settings
from policy.shipped_host_facts import for_version
from policy.unit_settings import UnitSettings
from tests.policy.services import HOST, UNITS, calls, data_store, pool, profile, web_server

VERSIONS = (245, 247, 250, 252, 255, 257, 262)


def drop_in(decision: Decision) -> list[Assignment]:
    return [(name, value) for name, values, _ in drop_in_settings(decision) for value in values]


def written(recorded: Profile, host: HostFacts = HOST) -> dict[str, tuple[str, ...]]:
    return {name: values for name, values, _ in drop_in_settings(decide(recorded, host))}


def explained(recorded: Profile) -> dict[str, Explanation]:
    return {one.directive: one for one in explain(decide(recorded, HOST))}


def test_a_web_server_keeps_what_it_used_and_no_more() -> None:
    lines = written(web_server())
    assert lines["CapabilityBoundingSet"] == (
        "",
        "CAP_CHOWN CAP_DAC_OVERRIDE CAP_SETGID CAP_SETUID CAP_NET_BIND_SERVICE",
    )
    assert lines["RestrictAddressFamilies"] == ("", "AF_INET AF_INET6 AF_UNIX")
    assert lines["SystemCallFilter"][:2] == ("", "@system-service")
    assert lines["SystemCallErrorNumber"] == ("EPERM",)
    for name in ("NoNewPrivileges", "RestrictSUIDSGID", "LockPersonality", "RestrictNamespaces", "RestrictRealtime"):
        assert lines[name] == ("yes",), name
    assert "PrivateNetwork" not in lines
    assert "PrivateUsers" not in lines
    assert "IPAddressDeny" not in lines


def test_a_store_on_the_loopback_interface_keeps_its_own_settings() -> None:
    recorded = data_store()
    lines = written(recorded)
    assert lines["IPAddressDeny"] == ("", "any")
    assert lines["IPAddressAllow"] == ("", "localhost")
    assert lines["CapabilityBoundingSet"] == ("",)
    assert lines["PrivateUsers"] == ("yes",)
    assert "NoNewPrivileges" not in lines, "the unit says so itself"
    reasons = explained(recorded)
    assert reasons["NoNewPrivileges"].status is Status.ALREADY_THERE
    assert reasons["PrivateNetwork"].status is Status.NOT_SET
    assert reasons["CapabilityBoundingSet"].status is Status.TIGHTENED


@pytest.mark.parametrize("recorded", [web_server(), data_store()], ids=["web server", "data store"])
@pytest.mark.parametrize("version", VERSIONS)
def test_typical_daemons_are_not_denied_anything(recorded: Profile, version: int) -> None:
    host = for_version(version)
    decision = decide(recorded, host)
    assert not decision.unexplained
    assert not decision.remaining
    assert not replay(recorded, drop_in(decision), host).denials


def test_each_exception_of_the_web_server_is_needed() -> None:
    recorded = web_server()
    decision = decide(recorded, HOST)
    for choice in decision.choices:
        for element in choice.chosen.elements():
            assert choice.chosen.without(element) != choice.chosen, (choice.name, element)
    reasons = explained(recorded)
    for kept in reasons["CapabilityBoundingSet"].exceptions:
        assert kept.needed_by, kept.element
    needed = {kept.element for kept in reasons["SystemCallFilter"].exceptions if kept.needed_by}
    assert needed == {"chown", "setuid", "setgid", "setgroups"}


GENERIC = """
ProtectSystem=strict
ProtectHome=true
PrivateTmp=true
ReadWritePaths=/var/log/web /var/lib/web /run
NoNewPrivileges=true
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_CHOWN CAP_DAC_OVERRIDE CAP_SETGID CAP_SETUID
AmbientCapabilities=CAP_NET_BIND_SERVICE
ProtectKernelTunables=true
ProtectKernelModules=true
ProtectKernelLogs=true
ProtectControlGroups=true
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallFilter=@system-service
SystemCallArchitectures=native
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
"""
"""A drop-in as hardening guides print it."""


def assignments(lines: str) -> list[Assignment]:
    return [(name, value) for name, _, value in (line.partition("=") for line in lines.split("\n")) if name]


def test_a_generic_drop_in_fits_the_web_server() -> None:
    assert not replay(web_server(), assignments(GENERIC), HOST).denials


@pytest.mark.parametrize(
    ("taken_out", "setting", "outcome"),
    [
        ("CAP_SETUID", "CapabilityBoundingSet", "EPERM"),
        (" AF_INET6", "RestrictAddressFamilies", "EAFNOSUPPORT"),
        (" /var/lib/web", "ReadWritePaths", "EROFS"),
    ],
)
def test_what_is_taken_out_of_it_is_missed(taken_out: str, setting: str, outcome: str) -> None:
    damaged = GENERIC.replace(taken_out, "")
    denials = replay(web_server(), assignments(damaged), HOST).blocked
    assert denials
    blamed = {denial.directive for denial in denials}
    assert blamed <= {setting, "ProtectSystem"}
    assert outcome in {denial.outcome for denial in denials}


def test_a_group_that_is_taken_out_of_it_is_missed() -> None:
    damaged = [*assignments(GENERIC), ("SystemCallFilter", "~@setuid")]
    denials = replay(web_server(), damaged, HOST).blocked
    assert {fact_name(denial.fact) for denial in denials} == {"setuid", "setgid", "setgroups"}
    assert {denial.setting for denial in denials} == {"SystemCallFilter=~@setuid"}
    assert {denial.outcome for denial in denials} == {"SIGSYS"}


def fact_name(fact: Fact) -> str:
    assert isinstance(fact.behaviour, SystemCall)
    return fact.behaviour.name


fact_sets = st.frozensets(st.sampled_from(pool()), max_size=25)
hosts = st.sampled_from([for_version(version) for version in VERSIONS]) | st.just(
    replace(for_version(255), kernel=(6, 1))
)
units = st.sampled_from(UNITS)


@settings(deadline=None, max_examples=150)
@given(fact_sets, units, hosts)
def test_what_was_recorded_is_never_denied(facts: frozenset[Fact], unit: UnitSettings, host: HostFacts) -> None:
    recorded = replace(profile(facts), header=replace(profile(facts).header, unit=unit))
    decision = decide(recorded, host)
    assert not decision.remaining
    result = replay(recorded, drop_in(decision), host)
    assert not result.denials


@settings(deadline=None, max_examples=100)
@given(fact_sets, fact_sets, units)
def test_more_facts_never_give_a_stricter_drop_in(
    few: frozenset[Fact], more: frozenset[Fact], unit: UnitSettings
) -> None:
    header = replace(profile(()).header, unit=unit)
    small, large = Profile(header, few), Profile(header, few | more)
    tight, loose = (sandbox_of(one) for one in (small, large))
    for fact in pool():
        if tight.judge(fact) is None and not is_about_paths(fact):
            assert loose.judge(fact) is None, fact


def is_about_paths(fact: Fact) -> bool:
    # Mounts have no order: PrivateTmp= makes /tmp writable under ProtectSystem=strict, and a path that is kept writable
    # is a mount of its own, into which nothing can be renamed.
    return isinstance(fact.behaviour, PathUse | PathPair)


def sandbox_of(recorded: Profile) -> Sandbox:
    unit = recorded.header.unit
    lines = [*unit.assignments, *drop_in(decide(recorded, HOST))]
    return build_sandbox(parse_settings(lines, HOST), HOST, unit)


@settings(deadline=None, max_examples=50)
@given(fact_sets, units)
def test_it_is_never_weaker_than_the_unit(facts: frozenset[Fact], unit: UnitSettings) -> None:
    recorded = Profile(replace(profile(()).header, unit=unit), facts)
    ours = sandbox_of(recorded)
    header = recorded.header
    own = build_sandbox(parse_settings(header.unit.assignments, HOST), HOST, header.unit)
    for fact in pool():
        if own.judge(fact) is not None:
            assert ours.judge(fact) is not None, fact


@settings(deadline=None, max_examples=30)
@given(fact_sets, units, st.randoms())
def test_the_same_profile_gives_the_same_bytes(facts: frozenset[Fact], unit: UnitSettings, random: Random) -> None:
    shuffled = list(facts)
    random.shuffle(shuffled)
    header = replace(profile(()).header, unit=unit)
    texts = {text(Profile(header, frozenset(order))) for order in (facts, shuffled)}
    assert len(texts) == 1


def text(recorded: Profile) -> str:
    return DropIn(
        tuple(
            Setting(name, value, tuple(comments))
            for name, values, comments in drop_in_settings(decide(recorded, HOST))
            for value in values
        )
    ).render()


@pytest.mark.parametrize("answer", ["EPERM", "ENOSYS", "kill"])
@pytest.mark.parametrize("version", [245, 252, 254, 255, 262])
def test_no_rule_is_written_that_keeps_the_unit_from_starting(version: int, answer: str) -> None:
    own = (("SystemCallFilter", f"~@obsolete chown:{answer} fchown:EACCES"), ("SystemCallErrorNumber", answer))
    recorded = profile(calls(("read", "write")), UnitSettings("a.service", assignments=own))
    host = for_version(version)
    settings = [(name, value) for name, values, _ in drop_in_settings(decide(recorded, host)) for value in values]
    sandbox = build_sandbox(parse_settings([*own, *settings], host), host, recorded.header.unit)
    assert "SystemCallFilter" in {name for name, _ in settings}
    assert sandbox.filters.failure is None
    assert sandbox.judge(Fact(SystemCall("chown"))) is not None


def test_a_rule_that_says_what_the_whole_list_says_keeps_the_unit_from_starting() -> None:
    lines = [("SystemCallFilter", "@system-service"), ("SystemCallFilter", "~uname:EPERM")]
    lines.append(("SystemCallErrorNumber", "EPERM"))
    facts = profile(calls(("read",)))
    blocked = replay(facts, lines, for_version(254)).blocked
    assert [(denial.setting, "228/SECCOMP" in denial.note) for denial in blocked] == [
        ("SystemCallFilter=~uname:EPERM", True)
    ]
    assert not replay(facts, lines, for_version(255)).blocked
    lines[1] = ("SystemCallFilter", "~uname:ENOSYS")
    assert not replay(facts, lines, for_version(254)).blocked
    assert replay(facts, lines, for_version(255)).blocked
