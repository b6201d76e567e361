"""``unit-tailor merge``: the union, its summary, and every refusal with its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policy.behaviour import Behaviour, CapabilityUsed, Fact, SystemCall
from policy.recording import Header, Loss, Recording
from policy.service_profile import Profile, dumps, merge
from policy.unit_settings import UnitSettings
from profiler import profile_file
from profiler.cli import run_command_line
from profiler.errors import ExitCode

RENAMED = UnitSettings("a.service", type="notify")


def saved(
    path: Path,
    identity: str,
    *behaviours: Behaviour,
    unit: UnitSettings | None = None,
    losses: tuple[Loss, ...] = (),
) -> Profile:
    recording = Recording(identity, ("strace",), 252, losses=losses, unobserved=("ExecStop",))
    profile = Profile(
        Header(unit or UnitSettings("a.service"), frozenset({recording})), frozenset(map(Fact, behaviours))
    )
    profile_file.write_profile(path, profile)
    return profile_file.read_profile(path)


def test_merges_and_says_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = saved(tmp_path / "1", "1", SystemCall("read"), SystemCall("write"))
    two = saved(tmp_path / "2", "2", SystemCall("read"), CapabilityUsed("CAP_CHOWN", "chown"))
    output = tmp_path / "my profile"
    assert run_command_line(["merge", str(tmp_path / "1"), str(tmp_path / "2"), "-o", str(output)]) == ExitCode.DONE
    assert output.read_text() == dumps(merge([one, two]))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "3 facts of a.service from 2 recordings, 1 more than the largest" in captured.err
    assert f"next: unit-tailor generate '{output}'" in captured.err
    assert "no recording saw ExecStop" in captured.err


def test_the_order_does_not_matter(tmp_path: Path) -> None:
    saved(tmp_path / "1", "1", SystemCall("read"), unit=RENAMED)
    saved(tmp_path / "2", "2", SystemCall("write"), losses=(Loss("lines", 3),))
    names = [str(tmp_path / "1"), str(tmp_path / "2")]
    assert run_command_line(["merge", *names, "-o", str(tmp_path / "a")]) == ExitCode.DONE
    assert run_command_line(["merge", *reversed(names), *names, "-o", str(tmp_path / "b")]) == ExitCode.DONE
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert profile_file.read_profile(tmp_path / "a").is_partial


def test_says_what_was_lost_and_that_the_unit_was_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path / "1", "1", SystemCall("read"), unit=RENAMED)
    saved(tmp_path / "2", "2", SystemCall("write"), losses=(Loss("lines", 3),))
    run_command_line(["merge", str(tmp_path / "1"), str(tmp_path / "2"), "-o", str(tmp_path / "3")])
    said = capsys.readouterr().err
    assert "lost while recording: lines (3)" in said
    assert "under different settings" in said


def test_replaces_only_with_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path / "1", "1", SystemCall("read"))
    (tmp_path / "out").write_text("precious")
    arguments = ["merge", str(tmp_path / "1"), "-o", str(tmp_path / "out")]
    assert run_command_line(arguments) == ExitCode.USAGE
    assert "File exists" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "precious"
    assert run_command_line([*arguments, "--force"]) == ExitCode.DONE


def test_refuses_different_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path / "1", "1", SystemCall("read"))
    saved(tmp_path / "2", "2", SystemCall("read"), unit=UnitSettings("b.service"))
    arguments = ["merge", str(tmp_path / "1"), str(tmp_path / "2"), "-o", str(tmp_path / "3")]
    assert run_command_line(arguments) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "error: cannot merge profiles of different units: a.service, b.service" in said
    assert "hint:" in said
    assert not (tmp_path / "3").exists()
    assert run_command_line([*arguments, "--different-units"]) == ExitCode.DONE


@pytest.mark.parametrize("contents", [None, b"", b"\xff\x00garbage", b'{"unit-tailor-profile":99}\n'])
def test_bad_profiles_are_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], contents: bytes | None
) -> None:
    if contents is not None:
        (tmp_path / "bad").write_bytes(contents)
    status = run_command_line(["merge", str(tmp_path / "bad"), "-o", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert status == ExitCode.USAGE
    assert said.count("error:") == 1
    assert said.count("hint:") == 1
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["merge"], ["merge", "a"], ["merge", "-o", "x"]])
def test_missing_arguments_are_usage_errors(arguments: list[str]) -> None:
    assert run_command_line(arguments) == ExitCode.USAGE


def test_says_in_how_many_recordings_things_were_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path / "1", "1", SystemCall("read"), SystemCall("write"))
    saved(tmp_path / "2", "2", SystemCall("read"), CapabilityUsed("CAP_CHOWN", "chown"))
    arguments = ["merge", str(tmp_path / "1"), str(tmp_path / "2"), "-o", str(tmp_path / "3")]
    assert run_command_line([*arguments, "--json"]) == ExitCode.DONE
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert (answer["facts"], answer["recordings"], answer["counted_recordings"]) == (3, 2, 2)
    assert answer["seen_in"] == {"1": 2, "2": 1}
    assert "seen in all 2 recordings: 1 fact; in one only: 2 facts" in captured.err
    assert run_command_line(["explain", str(tmp_path / "3"), "CapabilityBoundingSet", "--systemd", "252"]) == 0
