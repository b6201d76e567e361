"""The report on a terminal: the same tables, every line printable."""

from __future__ import annotations

from profiler.report.text import lines, table
from tests.policy.report.test_build import web
from tests.profiler.report.hostile import SCRIPT, hostile_report


def test_all_sections_are_there_with_what_the_page_says() -> None:
    text = "\n".join(lines(web()))
    for title in (
        "LEFT OPEN",
        "DROP-IN",
        "PATHS",
        "SYSTEM CALLS",
        "CAPABILITIES",
        "SOCKETS",
        "PROCESSES",
        "RECORDINGS",
    ):
        assert f"\n{title}" in text
    assert f"{web().levels.before} UNSAFE -> {web().levels.after} OK" in text
    assert all(f"{line.name}={line.value}" in text for line in web().lines)


def test_every_line_is_printable() -> None:
    shown = lines(hostile_report())
    assert all(line.isprintable() for line in shown)
    assert any(SCRIPT in line for line in shown)
    assert any("BLOCKS: " in line for line in shown)


def test_long_lines_go_on_below_on_a_terminal() -> None:
    whole, broken = lines(web()), lines(web(), 60)
    assert len(broken) > len(whole)
    # Only what has no place to be broken may be longer.
    assert all(len(line) <= 60 or len(line.split()) <= 2 for line in broken)
    assert "".join("".join(broken).split()) == "".join("".join(whole).split())


def test_columns_stand_below_each_other_also_with_wide_characters() -> None:
    assert table([("a", "b", "last"), ("漢字", "x", "")], indent="") == ["a     b  last", "漢字  x"]
