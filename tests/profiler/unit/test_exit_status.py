"""What systemd's exit codes mean, compared with systemd's own table."""

from __future__ import annotations

import pytest

from profiler.machine import Host
from profiler.unit.exit_status import SET_UP_STEPS, failure_in_words


def test_every_step_has_systemd_s_name_for_it() -> None:
    table = Host().run(["systemd-analyze", "exit-status", "--no-pager"]).stdout
    rows = (line.split() for line in table.splitlines())
    theirs = {int(row[1]): row[0] for row in rows if len(row) == 3 and row[2] == "systemd" and int(row[1]) < 255}

    ours = {number: name for number, (name, _) in SET_UP_STEPS.items()}

    assert theirs
    assert {number: name for number, name in ours.items() if number in theirs} == {
        number: name for number, name in theirs.items() if number in ours
    }
    assert set(theirs) <= set(ours)


@pytest.mark.parametrize(
    ("result", "code", "status", "words"),
    [
        ("success", "1", "0", ""),
        ("exit-code", "1", "226", "226/NAMESPACE"),
        ("exit-code", "1", "7", "exit status 7"),
        ("signal", "2", "31", "killed by SIGSYS (a system call that a filter answers by killing)"),
        ("core-dump", "3", "11", "killed by SIGSEGV"),
        ("timeout", "1", "0", "timeout"),
    ],
)
def test_a_failure_is_told_in_words(result: str, code: str, status: str, words: str) -> None:
    assert words in failure_in_words(result, code, status)
    assert bool(failure_in_words(result, code, status)) == bool(words)
