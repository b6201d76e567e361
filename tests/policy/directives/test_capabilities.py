"""What the capability directives keep, and why."""

from __future__ import annotations

import pytest

from policy.behaviour import UNKNOWN, CapabilityUsed, Fact, Phase, PrivilegeGained, SignalSent, SystemCall
from policy.capability_names import ALL_CAPABILITIES, CAPABILITIES
from policy.directives.base import Evidence
from policy.directives.capabilities import AmbientCapabilities, CapabilityBoundingSet
from policy.sandbox.capabilities import CapabilityBounds
from policy.unit_settings import ExecLine, UnitSettings
from tests.policy.services import HOST, capability

RELOAD = ExecLine("ExecReload", "", "/bin/kill")


def kept(*facts: Fact, unit: UnitSettings | None = None) -> set[str]:
    evidence = Evidence(frozenset(facts), HOST, unit or UnitSettings())
    (candidate,) = CapabilityBoundingSet.candidates(evidence)
    return set(candidate.kept)


def test_nothing_used_means_nothing_kept() -> None:
    assert kept() == set()
    assert CapabilityBoundingSet(frozenset()).values() == ("",)


def test_every_capability_is_decided_by_evidence() -> None:
    for name in CAPABILITIES:
        assert kept(capability(name, "something")) == {name}


def test_what_was_refused_was_not_there() -> None:
    assert kept(Fact(CapabilityUsed("CAP_CHOWN", "chown"), "EPERM")) == set()
    assert kept(Fact(CapabilityUsed("CAP_DAC_OVERRIDE", "open"), "EACCES")) == set()


@pytest.mark.parametrize("outcome", ["ENOENT", UNKNOWN])
def test_what_failed_behind_the_check_had_passed_it(outcome: str) -> None:
    assert kept(Fact(CapabilityUsed("CAP_SYS_ADMIN", "mount"), outcome)) == {"CAP_SYS_ADMIN"}


def test_a_line_outside_of_the_sandbox_needs_nothing_in_it() -> None:
    assert kept(Fact(CapabilityUsed("CAP_SYS_ADMIN", "mount"), exec_line="+ExecStartPre")) == set()


def test_a_file_with_capabilities_keeps_them_or_cannot_be_executed() -> None:
    ping = Fact(PrivilegeGained("/usr/bin/ping", "file-capabilities", ("CAP_NET_RAW",)))
    assert kept(ping) == {"CAP_NET_RAW"}
    bounds = CapabilityBounds()
    bounds.drop("CapabilityBoundingSet", "CapabilityBoundingSet=", frozenset({"CAP_NET_RAW"}))
    denial = bounds.judge(ping)
    assert denial is not None
    assert denial.outcome == "EPERM"


def test_signals_to_other_users_keep_kill() -> None:
    assert kept(Fact(SignalSent("own", other_user=True))) == {"CAP_KILL"}
    assert kept(Fact(SignalSent("own", other_user=True), "EPERM")) == set()
    assert kept(Fact(SignalSent("own"))) == set()


def test_a_reload_that_nobody_saw_may_send_signals_to_other_users() -> None:
    unit = UnitSettings(exec_lines=(RELOAD,))
    start = [Fact(SystemCall("read")), Fact(SystemCall("read"), user=33)]
    assert kept(*start, unit=unit) == {"CAP_KILL"}
    assert kept(start[0], unit=unit) == set(), "everything runs as the same user"
    seen = Fact(SystemCall("kill"), phase=Phase.RELOAD, exec_line="ExecReload")
    assert kept(*start, seen, unit=unit) == set(), "it was exercised"
    outside = UnitSettings(exec_lines=(ExecLine("ExecReload", "+", "/bin/kill"),))
    assert kept(*start, unit=outside) == set(), "it is not in the sandbox"


def test_rings_keep_what_operations_in_them_may_use() -> None:
    ring = Fact(SystemCall("io_uring_enter"))
    assert {"CAP_DAC_OVERRIDE", "CAP_NET_BIND_SERVICE"} <= kept(ring)
    assert kept(ring, unit=UnitSettings(user="a")) == set()


def test_one_capability_stands_in_for_another() -> None:
    reading = Fact(CapabilityUsed("CAP_DAC_READ_SEARCH", "open"))
    bounds = CapabilityBounds()
    bounds.drop("CapabilityBoundingSet", "x", ALL_CAPABILITIES - {"CAP_DAC_OVERRIDE"})
    assert bounds.judge(reading) is None
    bounds.drop("CapabilityBoundingSet", "x", ALL_CAPABILITIES)
    denial = bounds.judge(reading)
    assert denial is not None
    assert denial.outcome == "EACCES"


def test_the_units_own_set_is_met() -> None:
    own = CapabilityBoundingSet.parse(["~CAP_SYS_ADMIN CAP_CHOWN"], HOST)
    assert CapabilityBoundingSet(frozenset({"CAP_CHOWN", "CAP_KILL"})).intersected(own).kept == {"CAP_KILL"}


def test_ambient_capabilities_are_only_narrowed() -> None:
    unit = UnitSettings(user="a", assignments=(("AmbientCapabilities", "CAP_NET_RAW CAP_NET_ADMIN"),))
    used = Fact(CapabilityUsed("CAP_NET_RAW", "socket"), user=7)
    (candidate,) = AmbientCapabilities.candidates(Evidence(frozenset({used}), HOST, unit))
    assert candidate.values() == ("", "CAP_NET_RAW")
    other = Evidence(frozenset({capability("CAP_KILL", "kill")}), HOST, UnitSettings(user="a"))
    assert not list(AmbientCapabilities.candidates(other))
