"""``unit-tailor diff``: two drop-ins or two profiles, compared by meaning; the exit status is that of diff(1)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policy.behaviour import Fact, SystemCall
from policy.service_profile import Profile
from profiler import profile_file
from profiler.cli import run_command_line
from profiler.errors import ExitCode
from tests.policy.services import web_server

HOST = ("--systemd", "252")
BEFORE = "[Service]\nProtectSystem=full\nProtectHome=yes\nCapabilityBoundingSet=CAP_CHOWN CAP_KILL\n"
AFTER = "[Service]\nProtectSystem=strict\nProtectHome=true\nCapabilityBoundingSet=CAP_CHOWN CAP_KILL CAP_FOWNER\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "before.conf").write_text(BEFORE)
    (tmp_path / "after.conf").write_text(AFTER)
    recorded = web_server()
    profile_file.write_profile(tmp_path / "before.profile", recorded)
    more = Profile(recorded.header, recorded.facts | {Fact(SystemCall("reboot"))})
    profile_file.write_profile(tmp_path / "after.profile", more)
    return tmp_path


def test_drop_ins_are_compared_by_the_order_of_values(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["diff", "before.conf", "after.conf", *HOST]) == ExitCode.FAILED
    assert capsys.readouterr().out.splitlines() == [
        "tighter: ProtectSystem=full -> strict",
        "looser: CapabilityBoundingSet=",
        "  now allowed: CAP_FOWNER",
        "settings: 1 tighter, 1 looser, 0 different",
    ]
    assert run_command_line(["diff", "before.conf", "before.conf", *HOST]) == ExitCode.DONE


def test_what_fails_can_be_chosen(place: Path) -> None:
    (place / "tighter.conf").write_text(BEFORE + "ProtectClock=yes\n")
    assert run_command_line(["diff", "before.conf", "tighter.conf", *HOST]) == ExitCode.FAILED
    assert run_command_line(["diff", "before.conf", "tighter.conf", "--fail-on", "looser", *HOST]) == ExitCode.DONE
    assert run_command_line(["diff", "tighter.conf", "before.conf", "--fail-on", "looser", *HOST]) == ExitCode.FAILED
    assert run_command_line(["diff", "tighter.conf", "before.conf", "--fail-on", "never", *HOST]) == ExitCode.DONE


def test_profiles_are_compared_by_facts_and_by_what_follows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["diff", "before.profile", "after.profile", "--json", *HOST]) == ExitCode.FAILED
    answer = json.loads(capsys.readouterr().out)
    assert answer["kind"] == "profile"
    assert answer["looser"]
    assert answer["facts_gone"] == []
    (new,) = answer["facts_new"]
    assert new.startswith("call reboot")
    (changed,) = (one for one in answer["settings"] if one["directive"] == "SystemCallFilter")
    assert (changed["change"], "reboot" in changed["gained"], changed["lost"]) == ("looser", True, [])


def test_a_profile_is_not_compared_with_a_drop_in(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["diff", "before.profile", "after.conf", *HOST]) == ExitCode.USAGE
    assert "are not of one kind" in capsys.readouterr().err


def test_a_missing_file_is_bad_input(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["diff", "before.conf", "gone.conf", *HOST]) == ExitCode.USAGE
    assert "cannot read gone.conf" in capsys.readouterr().err
