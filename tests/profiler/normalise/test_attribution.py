"""Which Exec line a program belongs to."""

from __future__ import annotations

import pytest

from policy.behaviour import Phase
from policy.unit_settings import ExecLine
from profiler.normalise.attribution import ExecLines

START, STOP, RELOAD = Phase.START_UP, Phase.STOP, Phase.RELOAD


@pytest.mark.parametrize(
    ("kinds", "phases", "expected"),
    [
        (["ExecStart"], [START, STOP, STOP], ["ExecStart"] * 3),
        (["ExecStartPre", "ExecStart"], [START, START, STOP, STOP], ["ExecStartPre", "ExecStart"] * 2),
        (["ExecStart", "ExecStop"], [START, STOP, STOP], ["ExecStart", "ExecStop", "ExecStart"]),
        (
            ["ExecStartPre", "ExecStart", "ExecStop"],
            [START, START, STOP, STOP, STOP],
            ["ExecStartPre", "ExecStart", "ExecStop", "ExecStartPre", "ExecStart"],
        ),
        (["ExecStart", "ExecReload"], [START, RELOAD, RELOAD], ["ExecStart", "ExecReload", "ExecReload"]),
    ],
)
def test_one_program_in_several_lines_is_told_by_order_and_phase(
    kinds: list[str], phases: list[Phase], expected: list[str]
) -> None:
    lines = ExecLines(ExecLine(kind, "", "/usr/sbin/program") for kind in kinds)
    found = [lines.line_of(b"/usr/sbin/program", b"/usr/sbin/program", phase) for phase in phases]
    assert found == expected
