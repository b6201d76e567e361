"""Facts, denials and reasons in words, and the settings of a drop-in with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.behaviour import (
    BEHAVIOURS,
    UNKNOWN,
    Access,
    CapabilityUsed,
    Fact,
    FileKind,
    Known,
    PathUse,
    Phase,
    SocketAddress,
    SystemCall,
)
from policy.decide import decide
from policy.drop_in_for import REASONS_SHOWN, comments, drop_in_settings
from policy.explain import Explanation, Kept, Status, explain
from policy.exposure_rating import rate
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from policy.unit_settings import UnitSettings
from policy.wording import behaviour_in_words, denial_in_words, fact_in_words
from tests.policy.services import HOST, UNITS, calls, capability, data_store, pool, profile, web_server

PORT = Fact(
    CapabilityUsed("CAP_NET_BIND_SERVICE", "bind to port 80"),
    phase=Phase.START_UP,
    known=Known.INFERRED,
    evidence="web: bind = 0",
)


def explained(recorded: Profile) -> dict[str, Explanation]:
    return {one.directive: one for one in explain(decide(recorded, HOST))}


def test_a_fact_says_what_was_done_where_and_how_it_is_known() -> None:
    assert fact_in_words(PORT) == (
        "use CAP_NET_BIND_SERVICE: bind to port 80 (ExecStart, start-up, inferred; web: bind = 0)"
    )
    failed = Fact(PathUse("/home/a", Access.READ), "ENOENT", exec_line="ExecReload", phase=Phase.RELOAD)
    assert fact_in_words(failed) == "read /home/a, which failed with ENOENT (ExecReload, reload)"
    unknown = Fact(SystemCall("pause"), UNKNOWN)
    assert fact_in_words(unknown) == "call pause (x86-64), with an unknown result (ExecStart, serving)"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (SocketAddress("bind", "AF_INET", "SOCK_STREAM", "0.0.0.0", 80), "bind to 0.0.0.0:80 (AF_INET, SOCK_STREAM)"),
        (SocketAddress("accept", "AF_INET6", "SOCK_STREAM", "::1", 9), "accept from [::1]:9 (AF_INET6, SOCK_STREAM)"),
        (SocketAddress("connect", "AF_UNIX", "SOCK_DGRAM", "@a"), "connect to @a (AF_UNIX, SOCK_DGRAM)"),
    ],
)
def test_addresses(address: SocketAddress, words: str) -> None:
    assert behaviour_in_words(address) == words


def test_a_denial_names_the_fact_the_answer_and_the_setting() -> None:
    fact = Fact(PathUse("/var/lib/a", Access.CREATE))
    assert denial_in_words(Denial(fact, "ProtectSystem", "ProtectSystem=strict", "EROFS")) == (
        "create /var/lib/a (ExecStart, serving): refused with EROFS by ProtectSystem=strict"
    )
    killed = Denial(fact, "SystemCallFilter", "SystemCallFilter=~@mount", "SIGSYS", "a note")
    assert denial_in_words(killed).endswith(": killed with SIGSYS by SystemCallFilter=~@mount (a note)")


def test_every_type_of_behaviour_has_words_of_its_own() -> None:
    seen = {type(fact.behaviour) for fact in pool()}
    for fact in pool():
        words = behaviour_in_words(fact.behaviour)
        assert words
        assert type(fact.behaviour).__name__ not in words
    assert len(set(BEHAVIOURS) - seen) <= 1, "the pool has all types but descriptors"


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\u202eb", "a\udcffb"])
def test_hostile_names_do_no_harm(name: str) -> None:
    fact = Fact(PathUse(f"/tmp/{name}", Access.READ, FileKind.REGULAR), evidence=name, exec_line="ExecStart")
    denial = Denial(fact, "ReadWritePaths", f"ReadWritePaths=/tmp/{name}", "EROFS", name)
    for words in (behaviour_in_words(fact.behaviour), fact_in_words(fact), denial_in_words(denial)):
        assert words.isprintable()
        words.encode()


def test_each_exception_has_the_fact_that_needs_it() -> None:
    kept = {one.element: one for one in explained(web_server())["CapabilityBoundingSet"].exceptions}
    assert [fact.behaviour for fact in kept["CAP_NET_BIND_SERVICE"].needed_by] == [
        CapabilityUsed("CAP_NET_BIND_SERVICE", "bind to port 80")
    ]
    families = {one.element: one for one in explained(web_server())["RestrictAddressFamilies"].exceptions}
    assert families["AF_INET6"].needed_by
    calls_kept = {one.element: one for one in explained(web_server())["SystemCallFilter"].exceptions}
    assert calls_kept["chown"].needed_by
    assert calls_kept["fchown"].kept_because == "may be called in place of chown"


def test_af_unix_is_kept_without_a_fact_and_says_why() -> None:
    families = explained(profile(calls(("read",))))["RestrictAddressFamilies"].exceptions
    assert [(one.element, one.needed_by, one.kept_because) for one in families] == [
        ("AF_UNIX", (), "syslog, readiness messages, D-Bus and name services use it")
    ]


def test_what_forced_a_looser_value_is_named() -> None:
    reasons = explained(profile([capability("CAP_SYS_TIME", "adjtimex"), *calls(("adjtimex",))]))
    assert reasons["ProtectClock"].status is Status.NOT_SET
    assert {denial.directive for denial in reasons["ProtectClock"].forced_by} == {"ProtectClock"}


@pytest.mark.parametrize("unit", UNITS)
def test_statuses_follow_from_the_units_own(unit: UnitSettings) -> None:
    recorded = Profile(replace(profile(()).header, unit=unit), frozenset(pool()))
    decision = decide(recorded, HOST)
    written = {name for name, _, _ in drop_in_settings(decision)}
    for name, explanation in explained(recorded).items():
        own = [value for assigned, value in unit.assignments if assigned == name]
        if name in written:
            assert explanation.status is Status.TIGHTENED
        elif explanation.status is Status.NOT_SET:
            assert not own


def test_the_settings_of_a_drop_in_have_their_reasons_above() -> None:
    recorded = web_server()
    settings = {name: (values, reasons) for name, values, reasons in drop_in_settings(decide(recorded, HOST))}
    values, reasons = settings["CapabilityBoundingSet"]
    assert values[0] == ""
    assert "CAP_NET_BIND_SERVICE: bind to port 80 (ExecStart, start-up, inferred)" in reasons
    assert settings["NoNewPrivileges"] == (("yes",), ())


def test_what_says_nothing_without_its_companion_is_left_out() -> None:
    recorded = profile([*calls(("read",)), Fact(SystemCall("from_the_future"))])
    written = {name for name, _, _ in drop_in_settings(decide(recorded, HOST))}
    assert ("SystemCallErrorNumber" in written) == ("SystemCallFilter" in written)


def test_a_value_does_not_get_a_novel() -> None:
    many = Explanation("A", "", ("",), Status.TIGHTENED, (), tuple(Kept(str(n), (), f"because {n}") for n in range(50)))
    lines = comments(many)
    assert len(lines) == REASONS_SHOWN + 1
    assert "38 more" in lines[-1]


def test_explaining_a_store_takes_its_own_settings_into_account() -> None:
    reasons = explained(data_store())
    assert reasons["PrivateDevices"].status is Status.ALREADY_THERE
    assert reasons["MemoryDenyWriteExecute"].status is Status.TIGHTENED


def test_each_value_says_what_it_costs_in_exposure() -> None:
    reasons = explained(web_server())
    costs = {cost.item: cost.paid for cost in reasons["CapabilityBoundingSet"].paid}
    assert costs["CapabilityBoundingSet=~CAP_(NET_BIND_SERVICE|NET_BROADCAST|NET_RAW)"] == 500
    kept = {one.element: one.costs for one in reasons["CapabilityBoundingSet"].exceptions}
    assert [cost.paid for cost in kept["CAP_SETUID"]] == [1500]
    assert kept["CAP_SETUID"] == kept["CAP_SETGID"]
    assert reasons["ProtectSystem"].costs
    assert reasons["ProtectSystem"].paid == ()
    assert reasons["ReadWritePaths"].costs == ()


def test_what_was_not_even_proposed_has_the_facts_that_forbid_it() -> None:
    reasons = explained(web_server())
    for name in ("PrivateNetwork", "IPAddressDeny", "PrivateUsers"):
        assert reasons[name].status is Status.NOT_SET
        assert {denial.directive for denial in reasons[name].forced_by} == {name}
        assert reasons[name].paid


def test_a_decision_is_rated_against_the_floor_of_its_kind() -> None:
    rating = rate(decide(web_server(), HOST))
    assert rating.kind == "a network service that starts as root"
    assert rating.kind_floor.level <= rating.floor.level <= rating.after.level < rating.before.level
    assert "PrivateNetwork, User, AF_INET" in str(rating)
    store = rate(decide(data_store(), HOST))
    assert store.kind.endswith("another user than root")
