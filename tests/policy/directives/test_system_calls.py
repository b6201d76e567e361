"""The forms of SystemCallFilter= that are proposed, and how they meet the unit's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.behaviour import Fact, SystemCall
from policy.decide import decide
from policy.directives.base import Evidence
from policy.directives.system_calls import SystemCallArchitectures, SystemCallErrorNumber, SystemCallFilter
from policy.equivalence import BASELINE, CLASSES, WEIGHTY_GROUPS, closure, needed_calls
from policy.host_facts import HostFacts
from policy.sandbox.denial import KILLED
from policy.settings import build_sandbox, parse_settings
from policy.shipped_host_facts import for_version
from policy.system_call_list import SystemCallList, error_name, intersection, parse_system_call_list
from policy.unit_settings import UnitSettings
from tests.policy.services import COMMON_CALLS, HOST, calls, profile

SERVICE = HOST.syscall_sets["@system-service"]


def candidates(*names: str, host: HostFacts = HOST, unit: UnitSettings | None = None) -> list[SystemCallList]:
    evidence = Evidence(frozenset(calls(names)), host, unit or UnitSettings())
    return [one.calls for one in SystemCallFilter.candidates(evidence) if one.calls is not None]


def parsed(*lines: str, host: HostFacts = HOST) -> SystemCallList:
    read = parse_system_call_list(lines, host)
    assert read is not None
    return read


def allowed(read: SystemCallList) -> set[str]:
    return {name for name in HOST.known_calls if read.allows(name)}


def test_groups_that_nothing_used_are_taken_out() -> None:
    group, whole, deny = candidates(*COMMON_CALLS)
    for name in ("chown", "setuid", "mlock", "add_key", "io_submit", "setpriority", "capset"):
        assert not group.allows(name), name
        assert whole.allows(name), name
    for name in ("reboot", "mount", "ptrace", "init_module", "swapon", "iopl", "settimeofday"):
        assert not any(one.allows(name) for one in (group, whole, deny)), name
    assert deny.allows("cachestat"), "a call that this systemd cannot name"
    assert allowed(group) < allowed(whole)


def test_what_is_used_of_a_group_comes_back_with_its_class_only() -> None:
    group = candidates(*COMMON_CALLS, "chown", "setuid")[0]
    for name in ("chown", "fchown", "lchown", "fchownat", "setuid", "setresuid", "setreuid"):
        assert group.allows(name), name
    for name in ("setgid", "setgroups", "mlock", "capset", "chroot"):
        assert not group.allows(name), name
    assert "chown32" not in group.single_names, "no 64-bit machine has it"


def test_groups_that_come_up_under_load_stay() -> None:
    group = candidates("read")[0]
    for kept in ("@io-event", "@signal", "@basic-io", "@sync", "@timer", "@ipc", "@process", "@file-system"):
        assert all(group.allows(name) for name in HOST.syscall_sets[kept] & SERVICE), kept


@pytest.mark.parametrize("version", [245, 247, 250, 252, 255, 262])
def test_the_baseline_is_in_every_form(version: int) -> None:
    host = for_version(version)
    for form in candidates("read", host=host):
        assert all(form.allows(name) for name in BASELINE & host.known_calls)
        assert form.allows("write")
        assert form.allows("sendto")


def test_newcomers_with_a_replacement_get_enosys() -> None:
    group = candidates(*COMMON_CALLS)[0]
    assert group.answer("io_uring_setup", "EPERM") == "ENOSYS"
    assert group.answer("landlock_create_ruleset", "EPERM") == "ENOSYS"
    assert group.allows("clone3")
    assert group.allows("rseq"), "a member of @default is not taken away"
    assert group.answer("reboot", "EPERM") == "EPERM"
    assert candidates(*COMMON_CALLS, host=for_version(247))[0].lines[-1].count("ENOSYS") == 0


@pytest.mark.parametrize("version", [255, 257, 262])
def test_no_allow_list_repeats_its_default_answer(version: int) -> None:
    """From 255 the default answer is ENOSYS, and a rule that says the same makes the start fail with 228/SECCOMP."""
    host = for_version(version)
    for form in candidates(*COMMON_CALLS, host=host):
        assert not (form.allow_list and "ENOSYS" in " ".join(form.lines))
    own = SystemCallFilter.parse(["~uname:ENOSYS"], host)
    ours = SystemCallFilter.parse(["@system-service"], host)
    both = ours.intersected(own).calls
    assert both is not None
    assert not both.allows("uname")
    assert "ENOSYS" not in " ".join(both.lines)


def test_from_255_unknown_calls_get_enosys() -> None:
    sandbox = build_sandbox(
        parse_settings([("SystemCallFilter", "@system-service")], for_version(255)), for_version(255), UnitSettings()
    )
    denial = sandbox.judge(Fact(SystemCall("from_the_future")))
    assert denial is not None
    assert denial.outcome == "ENOSYS"
    older = build_sandbox(parse_settings([("SystemCallFilter", "@system-service")], HOST), HOST, UnitSettings())
    denial = older.judge(Fact(SystemCall("from_the_future")))
    assert denial is not None
    assert denial.outcome == "SIGSYS"


def test_each_line_that_denies_is_named() -> None:
    read = parsed("@system-service", "~@chown", "fchown", "~uname:ENOSYS")
    assert read.line_for("chown", HOST) == "~@chown"
    assert read.line_for("reboot", HOST) == "@system-service"
    assert read.line_for("uname", HOST) == "~uname:ENOSYS"


def test_it_meets_the_units_own_list() -> None:
    chosen = parsed("@system-service", "~@privileged", "chown")
    for own in (
        parsed("@system-service @mount", "~@resources uname:EILSEQ"),
        parsed("~@memlock chown:ENOANO"),
        parsed("read write openat"),
        parsed("~"),
    ):
        both = intersection(chosen, own, HOST)
        assert allowed(both) == allowed(chosen) & allowed(own)
        for name in ("uname", "chown"):
            if own.answer(name, "default") not in {"", "default"}:
                assert both.answer(name, "default") == own.answer(name, "default")


def test_what_the_unit_denies_is_not_added_first() -> None:
    both = intersection(parsed("@system-service", "~@memlock", "mlock chroot"), parsed("@system-service"), HOST)
    assert both.lines == ("@system-service", "~@memlock", "mlock")


lines = st.lists(
    st.tuples(
        st.sampled_from(("", "~")),
        st.lists(
            st.sampled_from(("@system-service", "@chown", "@mount", "chown", "uname", "read:ENOSYS", "mount:kill")),
            min_size=1,
            max_size=3,
        ),
    ).map(lambda line: line[0] + " ".join(line[1])),
    min_size=1,
    max_size=3,
)


@settings(deadline=None)
@given(lines, lines)
def test_an_intersection_allows_what_both_allow(first: list[str], second: list[str]) -> None:
    one, two = parsed(*first), parsed(*second)
    both = intersection(one, two, HOST)
    assert allowed(both) == allowed(one) & allowed(two)
    unknown = "from_the_future"
    assert both.allows(unknown) == (one.allows(unknown) and two.allows(unknown))


@settings(deadline=None)
@given(st.frozensets(st.sampled_from(sorted(HOST.known_calls)), max_size=8))
def test_a_closure_stays_out_of_weighty_groups(recorded: frozenset[str]) -> None:
    closed = closure(recorded, HOST)
    assert recorded <= closed
    assert closure(closed, HOST) >= closed
    for group in WEIGHTY_GROUPS:
        if not recorded & HOST.syscall_sets[group]:
            assert not closed & HOST.syscall_sets[group], group


def test_all_names_of_the_classes_are_calls_of_some_systemd() -> None:
    known = HOST.known_calls | for_version(262).known_calls
    newer = {"getxattrat", "setxattrat", "listxattrat", "removexattrat", "open_tree_attr"}
    elsewhere = {"oldstat", "oldlstat", "oldfstat", "oldumount", "fstatat64", "_newselect", "signal"}
    unknown = {name for group in CLASSES for name in group} - known - newer - elsewhere
    assert unknown == set()


def test_names_that_the_target_cannot_read_are_never_written() -> None:
    assert needed_calls(frozenset({"from_the_future", "read"}), HOST) <= HOST.known_calls


def test_without_tables_nothing_is_proposed() -> None:
    bare = replace(HOST, syscall_sets={})
    assert candidates("read", host=bare) == []
    unit = Evidence(frozenset(), bare, UnitSettings())
    assert not list(SystemCallErrorNumber.candidates(unit))


def test_killing_stays_where_the_unit_has_a_filter_of_its_own() -> None:
    own = UnitSettings(assignments=(("SystemCallFilter", "@system-service"),))
    assert not list(SystemCallErrorNumber.candidates(Evidence(frozenset(), HOST, own)))
    (proposed,) = SystemCallErrorNumber.candidates(Evidence(frozenset(), HOST, UnitSettings()))
    assert proposed.values() == ("EPERM",)


@pytest.mark.parametrize(
    ("own", "call", "answer"),
    [
        ("~@clock @debug", "mlock", "EPERM"),  # not recorded, but let through by the unit: it goes on
        ("~@clock @debug", "fchown", "EPERM"),
        ("~@clock @debug", "clock_settime", KILLED),
        ("~@resources", "sched_setaffinity", KILLED),  # denied by the unit itself
        ("~@resources", "setuid", "EPERM"),
        ("@system-service", "mlock", "EPERM"),
        ("@system-service", "reboot", KILLED),
        ("@system-service\n~@privileged @resources", "fchown", KILLED),
        ("~@clock", "setgid", ""),  # recorded
    ],
)
def test_a_filter_that_kills_does_so_for_what_the_unit_itself_denies(own: str, call: str, answer: str) -> None:
    unit = UnitSettings("a.service", assignments=tuple(("SystemCallFilter", line) for line in own.split("\n")))
    decision = decide(profile(calls(("read", "setgid")), unit), HOST)
    (chosen,) = (one.chosen for one in decision.choices if isinstance(one.chosen, SystemCallFilter))
    assert chosen.calls is not None
    assert chosen.calls.answer(call, KILLED) == answer


def test_other_architectures_that_were_seen_are_kept() -> None:
    facts = frozenset([*calls(("read",)), Fact(SystemCall("getpid", "x86"))])
    first, second = SystemCallArchitectures.candidates(Evidence(facts, HOST, UnitSettings()))
    assert first.values() == ("", "native")
    assert second.values() == ("", "native x86")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("EPERM", "EPERM"),
        ("1", "EPERM"),
        ("EWOULDBLOCK", "EAGAIN"),
        ("95", "EOPNOTSUPP"),
        ("errorcode", ""),
        ("Enough", ""),
        ("", ""),
        ("99999", ""),
    ],
)
def test_error_names(word: str, name: str) -> None:
    assert error_name(word) == name
