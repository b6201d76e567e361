"""``unit-tailor check``: what a build gates on, as exit status, text, JUnit, SARIF and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from profiler import profile_file
from profiler.cli import run_command_line
from profiler.errors import ExitCode
from tests.policy.services import web_server

HOST = ("--systemd", "252")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a profile, the drop-in made from it, a looser and a tighter one."""
    monkeypatch.chdir(tmp_path)
    profile_file.write_profile(tmp_path / "web.profile", web_server())
    assert run_command_line(["generate", "web.profile", "-o", "web.conf", *HOST]) == ExitCode.DONE
    text = (tmp_path / "web.conf").read_text()
    (tmp_path / "loose.conf").write_text(text.replace("ProtectClock=yes\n", ""))
    (tmp_path / "tight.conf").write_text(text + "CapabilityBoundingSet=\nRestrictAddressFamilies=none\n")
    return tmp_path


def check(*words: str) -> int:
    return run_command_line(["check", "web.profile", *words, *HOST])


def test_the_exit_status_says_how_it_stands(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("web.conf") == ExitCode.DONE
    assert "0 blocked" in capsys.readouterr().out
    assert check("loose.conf") == ExitCode.FAILED
    assert "could be tighter: ProtectClock=(unset) could be ProtectClock=yes" in capsys.readouterr().out
    assert check("loose.conf", "--fail-on", "blocked") == ExitCode.DONE
    assert check("tight.conf") == check("tight.conf", "--fail-on", "blocked") == ExitCode.DOES_NOT_FIT
    assert check("tight.conf", "--fail-on", "never") == ExitCode.DONE


def test_the_level_is_the_one_that_the_drop_in_was_made_with(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command_line(["generate", "web.profile", "-o", "strict.conf", "--level", "strict", *HOST])
    run_command_line(["generate", "web.profile", "-o", "compatible.conf", "--level", "compatible", *HOST])
    assert check("strict.conf") == check("compatible.conf") == ExitCode.DONE
    assert check("web.conf", "--level", "strict") == ExitCode.FAILED


def test_junit_has_a_case_for_each_directive(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check("tight.conf", "--format", "junit")
    suite = ElementTree.fromstring(capsys.readouterr().out)
    assert (suite.tag, suite.get("failures")) == ("testsuite", suite.get("tests"))
    kinds = {case.get("name"): failure.get("type") for case in suite for failure in case.iter("failure")}
    assert kinds["CapabilityBoundingSet="] == "blocked"
    check("web.conf", "--format", "junit")
    suite = ElementTree.fromstring(capsys.readouterr().out)
    assert (suite.get("tests"), suite.get("failures"), len(suite)) == ("1", "0", 1)


def test_sarif_points_at_the_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check("tight.conf", "--format", "sarif")
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    known = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    lines = (place / "tight.conf").read_text().splitlines()
    assert run["results"]
    for result in run["results"]:
        assert result["ruleId"] in known
        where = result["locations"][0]["physicalLocation"]
        assert where["artifactLocation"]["uri"] == "tight.conf"
        assert lines[where["region"]["startLine"] - 1].split("=")[0] in result["message"]["text"]


def test_a_hostile_name_makes_no_broken_xml(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\x01<&\n\udcff.conf"
    (place / name).write_text("[Service]\nProtectSystem=full\n")
    assert check(name, "--format", "junit") == ExitCode.FAILED
    ElementTree.fromstring(capsys.readouterr().out)
    assert check(name, "--format", "sarif") == ExitCode.FAILED
    json.loads(capsys.readouterr().out)


def test_the_result_goes_to_a_file_that_is_not_replaced_unasked(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("loose.conf", "--format", "junit", "-o", "check.xml") == ExitCode.FAILED
    assert capsys.readouterr().out == ""
    ElementTree.parse(place / "check.xml")
    assert check("loose.conf", "-o", "check.xml") == ExitCode.USAGE
    assert "File exists" in capsys.readouterr().err
    assert check("loose.conf", "-o", "check.xml", "--force", "--json=short") == ExitCode.FAILED
    assert json.loads((place / "check.xml").read_text())["slack"][0]["directive"] == "ProtectClock"


def test_two_answers_at_once_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("web.conf", "--format", "sarif", "--json") == ExitCode.USAGE
    assert "two answers at once" in capsys.readouterr().err
