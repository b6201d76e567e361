"""Bad input: one line with the cause, one with the remedy, a stable exit status, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from policy.behaviour import Fact, SystemCall
from policy.recording import Header, Recording
from policy.service_profile import Profile
from policy.unit_settings import UnitSettings
from profiler import twin
from profiler.engines.choice import Engine
from profiler.errors import ToolError
from profiler.profile_file import write_profile
from profiler.record import record_unit
from profiler.unit.unit import Unit
from tests.requirements import require
from tests.system.conftest import COMMAND, is_root, unit_tailor
from tests.twin_fixtures import require_twin

PROFILE = Profile(
    Header(UnitSettings(name="some.service"), frozenset({Recording("one")})), frozenset({Fact(SystemCall("read"))})
)
DROP_IN = "[Service]\nNoNewPrivileges=yes\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a sound profile and a sound drop-in."""
    write_profile(tmp_path / "good.profile", PROFILE, force=False)
    (tmp_path / "good.conf").write_text(DROP_IN)
    return tmp_path


def assert_refused(words: Sequence[str | Path], status: int, *parts: str, cwd: Path) -> None:
    """The command must end with this status, one error line with these parts, one hint, and change nothing."""
    before = sorted(path.name for path in cwd.iterdir())
    run = unit_tailor(*words, cwd=cwd)
    lines = [line for line in run.stderr.splitlines() if not line.startswith(("booting", "installing"))]

    assert run.returncode == status, run.stdout + run.stderr
    assert lines[0].startswith("error: "), run.stderr
    assert lines[1].startswith("hint:"), run.stderr
    assert len(lines) == 2
    assert run.stdout == ""
    for part in parts:
        assert part in lines[0], run.stderr
    assert sorted(path.name for path in cwd.iterdir()) == before


def test_a_profile_that_is_not_there(place: Path) -> None:
    assert_refused(["generate", "missing.profile"], 2, "missing.profile", "No such file", cwd=place)


def test_a_profile_that_may_not_be_read(place: Path) -> None:
    require(is_root() and shutil.which("setpriv") is not None, "another user is needed, so root and setpriv")
    place.chmod(0o755)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    readable = os.access(COMMAND, os.X_OK) and all(part.stat().st_mode & 1 for part in COMMAND.resolve().parents)
    require(readable, f"{COMMAND} is not reachable for another user")
    run = subprocess.run(
        [*as_nobody, str(COMMAND), "generate", str(place / "good.profile")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "Permission denied" in run.stderr


@pytest.mark.parametrize("text", [b"", b"hello\n", b"\x00\xff\xfe", b'{"unit-tailor-profile":1}\n{"unit":'])
def test_a_profile_that_is_none(place: Path, text: bytes) -> None:
    (place / "bad.profile").write_bytes(text)
    assert_refused(["generate", "bad.profile"], 2, "bad.profile", cwd=place)


def test_a_damaged_profile(place: Path) -> None:
    text = (place / "good.profile").read_bytes()
    (place / "bad.profile").write_bytes(text.replace(b'"read"', b'"rexd"'))
    assert_refused(["replay", "bad.profile", "good.conf"], 2, "bad.profile", cwd=place)


def test_a_profile_of_a_newer_version(place: Path) -> None:
    text = (place / "good.profile").read_text().replace('{"unit-tailor-profile":1}', '{"unit-tailor-profile":2}')
    (place / "newer.profile").write_text(text)
    assert_refused(["generate", "newer.profile"], 2, "newer", cwd=place)


@pytest.mark.parametrize(
    "text",
    ["NoNewPrivileges=yes\n", "[Service\nNoNewPrivileges=yes\n", "[Service]\nNoNewPrivileges\n", "[Service]\nA=\0\n"],
)
def test_a_malformed_drop_in(place: Path, text: str) -> None:
    (place / "bad.conf").write_text(text)
    assert_refused(["replay", "good.profile", "bad.conf"], 2, "bad.conf:", cwd=place)
    assert_refused(["validate", "some", "bad.conf", "--twin"], 2, "bad.conf:", cwd=place)


def test_an_output_that_exists_is_kept(place: Path) -> None:
    assert_refused(["generate", "good.profile", "-o", "good.conf"], 2, "good.conf", cwd=place)
    assert (place / "good.conf").read_text() == DROP_IN


def test_an_unknown_unit(place: Path) -> None:
    require_twin()
    for words in (["record", "no-such-unit", "--twin"], ["harden", "no-such-unit", "--twin"]):
        assert_refused(words, 2, "no-such-unit.service", cwd=place)
    assert_refused(["validate", "no-such-unit", "good.conf", "--twin"], 2, "no-such-unit.service", cwd=place)


@pytest.mark.parametrize("name", ["a/b", "", "x y", "\x1b[31m", "foo.socket"])
def test_a_name_that_is_no_service(place: Path, name: str) -> None:
    assert_refused(["record", name, "--twin"], 2, cwd=place)


@pytest.mark.parametrize("span", ["0", "soon", "5 years", "-3s", "1e9h"])
def test_a_time_that_is_none(place: Path, span: str) -> None:
    assert_refused(["record", "some", "--twin", f"--for={span}"], 2, cwd=place)


def test_nothing_to_record(place: Path) -> None:
    assert_refused(["record"], 2, "say what to record", cwd=place)
    assert_refused(["record", "--"], 2, "say what to record", cwd=place)


def test_no_twin_where_systemd_does_not_run(place: Path) -> None:
    require(not Path("/run/systemd/system").is_dir(), "systemd runs here")
    require(is_root(), "the check of rights comes first, so root")
    assert_refused(["record", "some", "--no-twin"], 2, "systemd is not running", cwd=place)


def test_without_rights(place: Path) -> None:
    require(is_root(), "another user is needed, so root")
    place.chmod(0o755)
    readable = all(part.stat().st_mode & 1 for part in COMMAND.resolve().parents)
    require(readable, f"{COMMAND} is not reachable for another user")
    run = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", str(COMMAND), "record", "some", "--twin"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/tmp",
    )
    assert run.returncode == 77, run.stderr
    assert "sudo" in run.stderr


def test_without_strace(place: Path, tmp_path: Path) -> None:
    require_twin()
    with twin.up() as machine:
        machine.run(["rm", "/usr/bin/strace"])
        machine.path("/run/systemd/system/some.service").write_text("[Service]\nExecStart=/bin/sleep 60\n")
        machine.run(["systemctl", "daemon-reload"])
        with pytest.raises(ToolError) as caught:
            record_unit(Unit.load(machine, "some"), engine=Engine.STRACE)
    assert "strace" in caught.value.message
    assert "apt-get install strace" in caught.value.hint
    assert caught.value.exit_code == 2
