"""Time spans as systemd.time(7) writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.cli import run_command_line
from profiler.errors import ExitCode, UsageError
from profiler.service_options import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("30s", 30), ("1min 30s", 90), ("1h30min", 5400), ("1.5min", 90), ("500ms", 0.5), ("2 h", 7200)],
)
def test_a_span_is_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-5", "soon", "5 parsecs", "5s garbage", "garbage 5s", "8000h", "1e3"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        seconds(text)


@pytest.mark.parametrize("command", ["record", "harden"])
def test_a_workload_that_is_not_there_is_noticed_before_any_work(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command_line([command, "some", "--workload", "./use.sh --twice"]) == ExitCode.USAGE
    assert "there is no ./use.sh" in capsys.readouterr().err
    (tmp_path / "use.sh").write_text("true")
    assert run_command_line([command, "some", "--workload", "./use.sh"]) == ExitCode.USAGE
    assert "hint:  run: chmod +x ./use.sh" in capsys.readouterr().err


def test_a_misspelled_command_says_what_was_probably_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["recrod", "some"]) == ExitCode.USAGE
    assert "did you mean 'record'" in capsys.readouterr().err
    assert run_command_line(["frobnicate"]) == ExitCode.USAGE
    assert "did you mean" not in capsys.readouterr().err
