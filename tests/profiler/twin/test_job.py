"""What owner and keeper write to each other is read as it was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.errors import CommandFailed, ExitCode, PermissionRefused, ToolError
from profiler.twin.job import Job, Outcome, Report


def test_a_job_survives_its_way() -> None:
    job = Job(Path("/a b\n'c"), 7, (Path("/l1"), Path("/l2")), 12.5, ("nginx", "redis"), Path("/layers/x"))
    assert Job.from_text(job.to_text()) == job
    assert Job.from_text(Job(Path("/a"), 3).to_text()) == Job(Path("/a"), 3)


@pytest.mark.parametrize(
    "error",
    [
        ToolError("cannot do it: näin\nno", hint="try"),
        CommandFailed("apt said no", hint="try", output="E: no\n\udcff"),
        PermissionRefused("not root", hint="sudo"),
    ],
)
def test_a_failure_arrives_as_it_was_raised(error: ToolError) -> None:
    line = Report.of(error).to_line()
    assert line.count(b"\n") == 1
    with pytest.raises(type(error)) as caught:
        Report.from_line(line).require()
    assert (caught.value.message, caught.value.hint) == (error.message, error.hint)
    assert caught.value.exit_code is error.exit_code
    if isinstance(caught.value, CommandFailed):
        assert caught.value.output == getattr(error, "output", None)


def test_success_raises_nothing() -> None:
    Report.from_line(Report(Outcome.DONE).to_line()).require()


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(RuntimeError, match="Traceback of ours"):
        Report(Outcome.BUG, output="Traceback of ours").require()


def test_missing_rights_keep_their_exit_code() -> None:
    with pytest.raises(ToolError) as caught:
        Report.of(PermissionRefused("no")).require()
    assert caught.value.exit_code is ExitCode.PERMISSION
