"""The report as a whole: for any profile, consistent in itself, and equal for equal input."""

from __future__ import annotations

from functools import cache

import pytest

from policy.behaviour import Access, Fact, PathUse, Phase, SystemCall
from policy.decide import decide
from policy.drop_in import DropIn, Setting, parse
from policy.drop_in_for import drop_in_settings
from policy.recording import Ending, Header, Loss, Recording, Workload
from policy.report.access import MIXTURES, SHOWN
from policy.report.build import report
from policy.report.model import Ran, Report, word_for
from policy.service_profile import Profile
from policy.unit_settings import ExecLine, UnitSettings
from tests.policy.services import HOST, calls, capability, profile, web_server

UNIT = UnitSettings(
    "a.service", exec_lines=(ExecLine("ExecStart", "", "/usr/sbin/a"), ExecLine("ExecReload", "-", "/bin/kill"))
)


def reported(recorded: Profile, drop_in: DropIn | None = None) -> Report:
    decision = decide(recorded, HOST)
    settings = tuple(
        Setting(name, value, comments if place == 0 else ())
        for name, values, comments in drop_in_settings(decision)
        for place, value in enumerate(values)
    )
    return report(recorded, decision, drop_in or DropIn(settings), "a.conf", generated=drop_in is None)


@cache
def web() -> Report:
    return reported(web_server())


def test_what_would_be_generated_blocks_nothing_and_lowers_the_level() -> None:
    assert web().replay.blocked == web().replay.changed == ()
    assert web().levels.floor <= web().levels.after < web().levels.before
    assert web().facts == web().replay.judged


def test_the_same_input_gives_the_same_report() -> None:
    turned = Profile(web_server().header, frozenset(reversed(sorted(web_server().facts, key=repr))))
    assert reported(turned) == web()


def test_calls_are_in_one_part_of_each_group_and_groups_cover_all() -> None:
    shown = web().calls
    everything: set[str] = set()
    for group in shown.groups:
        parts = [set(group.used), set(group.allowed), set(group.blocked)]
        assert sum(map(len, parts)) == len(set.union(*parts))
        assert group.name not in MIXTURES
        everything |= set.union(*parts)
    assert len(everything) == shown.known
    assert shown.used <= shown.allowed < shown.known


def test_capabilities_are_kept_with_evidence_or_taken_away() -> None:
    shown = reported(profile([capability("CAP_CHOWN", "chown to 33:-1"), *calls(["read"])])).capabilities
    assert [(one.name, one.allowed) for one in shown.kept] == [("CAP_CHOWN", True)]
    assert shown.kept[0].evidence
    assert len(shown.dropped) == 40


def test_openings_come_with_reasons_the_dearest_first() -> None:
    openings = web().openings
    assert [one.cost for one in openings] == sorted((one.cost for one in openings), reverse=True)
    paid = {one.directive: one for one in openings if one.cost}
    assert paid["PrivateNetwork"].reasons
    assert paid["RootDirectory"].remark == "no recording can decide this"
    assert all(len(one.reasons) <= SHOWN for one in openings)
    # The costs are shares of the level: rounding aside they add up to it.
    assert sum(one.cost for one in openings) == pytest.approx(web().levels.after, abs=0.15)


def test_every_line_says_what_it_takes_away() -> None:
    assert all(line.summary for line in web().lines)
    assert any(line.reasons for line in web().lines)


def test_a_drop_in_that_does_not_fit_says_where() -> None:
    given = parse("[Service]\nReadOnlyPaths=/\nCPUWeight=50\n[Unit]\nDescription=a\n")
    found = reported(web_server(), given)
    assert found.replay.blocked
    blocking, unknown, elsewhere = found.lines
    assert blocking.blocks
    assert "no model" in unknown.remark
    assert (elsewhere.section, elsewhere.name) == ("Unit", "Description")
    remarks = {one.directive: one.remark for one in found.openings}
    assert remarks["SystemCallFilter"].startswith("the recording would be content with: @")


def test_exec_lines_of_the_unit_are_listed_also_those_that_never_ran() -> None:
    facts = [Fact(PathUse("/usr/sbin/a", Access.EXECUTE), phase=Phase.START_UP, user=33, evidence="a: b: execve = 0")]
    found = reported(profile(facts, UNIT))
    start, reload = found.exec_lines
    assert (start.executed, start.users, start.phases, start.facts) == (("/usr/sbin/a",), (33,), ("start-up",), 1)
    assert (reload.ran, reload.programs) == (Ran.NO, ("-/bin/kill",))
    assert [program.name for program in found.programs] == ["a: b"]


def test_phases_tell_what_is_new_in_them() -> None:
    facts = [Fact(SystemCall("read"), phase=Phase.START_UP), *calls(["read", "write"])]
    assert [(one.phase, one.facts, one.new) for one in reported(profile(facts)).phases] == [
        ("start-up", 1, 1),
        ("serving", 2, 1),
    ]


def test_what_a_reader_must_know_is_remarked() -> None:
    recording = Recording(
        "1",
        unobserved=("ExecStop",),
        losses=(Loss("ring", 3),),
        workload=Workload.FAILED,
        ending=Ending.INTERRUPTED,
        phase_starts=((0, Phase.SERVING),),
        discovery=((0, 0), (5000, 1)),
    )
    found = reported(Profile(Header(UNIT, frozenset({recording})), frozenset(calls(["read"]))))
    words = "\n".join(found.remarks)
    for said in ("not exercised while recording: ExecStop", "3 x ring", "the start of the", "failed", "1 of 1"):
        assert said in words
    (course,) = found.courses
    assert (course.duration, course.points, course.phases) == (5000, ((0, 0), (5000, 1)), ((0, "serving"),))


@pytest.mark.parametrize(
    ("level", "word"),
    [(10.0, "DANGEROUS"), (9.6, "UNSAFE"), (7.5, "EXPOSED"), (5.0, "MEDIUM"), (2.0, "OK"), (0.3, "PERFECT")],
)
def test_levels_have_the_words_of_systemd_analyze(level: float, word: str) -> None:
    assert word_for(level) == word
