"""``unit-tailor report``: files, formats, refusals."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from policy.service_profile import dumps
from profiler.cli import run_command_line
from tests.policy.services import web_server

OPTIONS = ["--systemd", "252"]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "web.profile"
    path.write_text(dumps(web_server()))
    return path


def test_the_page_is_beside_the_profile_private_and_never_replaced(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["report", str(recorded), *OPTIONS]) == 0
    page = recorded.with_name("web.html")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines()[-1] == f"open it in a browser: {page.as_uri()}"
    assert run_command_line(["report", str(recorded), *OPTIONS]) == 2
    assert "File exists" in capsys.readouterr().err
    assert run_command_line(["report", str(recorded), "--force", *OPTIONS]) == 0


def test_a_given_drop_in_is_judged(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drop_in = tmp_path / "tight.conf"
    drop_in.write_text("[Service]\nCapabilityBoundingSet=\nPrivateNetwork=yes\n")
    assert run_command_line(["report", str(recorded), str(drop_in), "--json=short", *OPTIONS]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["drop_in"], document["generated"]) == (1, "tight.conf", False)
    assert document["replay"]["blocked"]
    assert [line["name"] for line in document["lines"]] == ["CapabilityBoundingSet", "PrivateNetwork"]


def test_text_goes_to_standard_output_or_into_a_file(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["report", str(recorded), "--format", "text", *OPTIONS]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("web.service with what generate would write")
    assert not recorded.with_name("web.html").exists()
    target = tmp_path / "web.txt"
    assert run_command_line(["report", str(recorded), "--format", "text", "-o", str(target), *OPTIONS]) == 0
    assert target.read_text() == shown


def test_what_cannot_be_read_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["report", str(tmp_path / "none.profile"), *OPTIONS]) == 2
    assert "cannot read" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_quiet_is_quiet(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drop_in = str(tmp_path / "web.conf")
    commands = (
        ["report", str(recorded)],
        ["generate", str(recorded), "-o", drop_in],
        ["replay", str(recorded), drop_in],
    )
    for command in commands:
        assert run_command_line([*command, "-q", *OPTIONS]) == 0
        assert capsys.readouterr().err == ""
    assert run_command_line(["replay", str(recorded), drop_in, *OPTIONS]) == 0
    assert "next: " in capsys.readouterr().err
