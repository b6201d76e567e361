"""Denials that no errno shows: calls that kill, calls that see something else, what is not tried any more."""

from __future__ import annotations

from policy.behaviour import UNKNOWN, Access, Fact, PathUse, SystemCall
from policy.compare import denied_under, vanished
from policy.settings import Assignment
from tests.policy.services import HOST, profile

KILLS: list[Assignment] = [("SystemCallErrorNumber", "EPERM"), ("SystemCallFilter", "~fsync:kill")]
FSYNC = Fact(SystemCall("fsync"), UNKNOWN)
READ = Fact(PathUse("/etc/a.conf", Access.READ))


def test_a_call_that_never_returned_was_killed_if_the_filter_kills_it() -> None:
    (denial,) = denied_under(KILLS, profile([FSYNC, Fact(SystemCall("pause"), UNKNOWN)]), HOST)

    assert (denial.outcome, denial.fact.outcome, denial.setting) == ("SIGSYS", "SIGSYS", "SystemCallFilter=~fsync:kill")
    assert not denied_under([("SystemCallFilter", "~fsync:EPERM")], profile([FSYNC]), HOST)


def test_a_file_that_is_covered_reads_as_empty_for_root() -> None:
    hidden: list[Assignment] = [("InaccessiblePaths", "/etc/a.conf")]

    (denial,) = denied_under(hidden, profile([READ]), HOST, profile([READ]))

    assert denial.outcome == "empty"
    assert not denied_under(hidden, profile([READ]), HOST, profile([])), "it did not read it when it was recorded"


def test_what_is_not_tried_any_more_has_vanished() -> None:
    more = Fact(PathUse("/etc/b.conf", Access.READ))
    failed = Fact(PathUse("/etc/c.conf", Access.READ), "ENOENT")

    assert vanished(profile([READ]), profile([READ, more, failed])) == (more,)
    assert vanished(profile([Fact(more.behaviour, "EACCES")]), profile([more])) == ()
