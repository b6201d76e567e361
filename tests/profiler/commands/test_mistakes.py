"""The mistakes that the documentation names: each ends with its cause, its remedy and its exit status."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from policy.behaviour import Fact, SystemCall
from policy.recording import Header, Loss, Recording
from policy.service_profile import Profile
from policy.unit_settings import UnitSettings
from profiler import profile_file
from profiler.cli import run_command_line
from profiler.errors import ExitCode
from profiler.machine import Host
from tests.policy.services import web_server
from tests.profiler.test_cli import COMMAND
from tests.requirements import require

HOST = ("--systemd", "252")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    profile_file.write_profile(tmp_path / "web.profile", web_server())
    lost = Recording("1", losses=(Loss("lines", 3),))
    header = Header(UnitSettings("a.service"), frozenset({lost}))
    profile_file.write_profile(tmp_path / "partial.profile", Profile(header, frozenset({Fact(SystemCall("read"))})))
    return tmp_path


def test_a_partial_profile_is_refused_unless_accepted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["generate", "partial.profile", *HOST]) == ExitCode.INCOMPLETE
    said = capsys.readouterr()
    assert said.out == ""
    assert "the profile is partial (lost: 3 x lines)" in said.err
    assert "--accept-partial" in said.err
    assert run_command_line(["generate", "partial.profile", "--accept-partial", *HOST]) == ExitCode.DONE
    assert "made from a partial profile, by request" in capsys.readouterr().out


def test_a_dash_is_standard_output_and_no_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["generate", "web.profile", "-o", "-", *HOST]) == ExitCode.DONE
    assert "[Service]" in capsys.readouterr().out
    assert not (place / "-").exists()


def test_a_full_disk_leaves_nothing_half_written(place: Path) -> None:
    require(os.geteuid() == 0, "mounting a small file system needs root")
    (place / "full").mkdir()
    script = (
        "mount -t tmpfs -o size=8k none full && head -c 8192 /dev/zero > full/fill;"
        f" {COMMAND} merge web.profile -o full/m.profile; echo status $?; ls -A full"
    )
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    assert "error: cannot write full/m.profile: No space left on device" in done.stderr
    assert "hint:  choose another place with -o" in done.stderr
    assert done.stdout.split() == ["status", "1", "fill"]


@pytest.mark.parametrize("words", ["apply x y", "confirm x", "revert x", "why x", "status"])
def test_where_no_systemd_runs_nothing_is_installed(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    require(os.geteuid() == 0, "not being root is told first")
    if Host.has_systemd():
        pytest.skip("systemd runs on this host")
    assert run_command_line(words.split()) == ExitCode.FAILED
    said = capsys.readouterr().err
    assert "error: systemd is not running on this host" in said
    assert "unit-tailor validate UNIT DROPIN --twin" in said


@pytest.mark.parametrize("swapped", [["replay", "web.conf", "web.profile"], ["check", "web.conf", "web.profile"]])
def test_files_in_the_wrong_order_are_told_apart(
    place: Path, swapped: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "web.conf").write_text("[Service]\nProtectHome=yes\n")
    assert run_command_line(swapped) == ExitCode.USAGE
    assert "web.conf: not a unit-tailor profile" in capsys.readouterr().err
