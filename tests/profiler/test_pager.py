"""What is longer than a screen goes through a pager, as systemd's own tools do it; nothing does without a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from policy.behaviour import Fact, SystemCall
from policy.recording import Header, Recording
from policy.service_profile import Profile
from policy.unit_settings import UnitSettings
from profiler import pager, profile_file
from tests.profiler.test_cli import COMMAND

PAGER = "sed s/^/PAGED:/"


@pytest.fixture
def profile(tmp_path: Path) -> str:
    path = tmp_path / "a.profile"
    recorded = Profile(
        Header(UnitSettings("a.service"), frozenset({Recording("1")})), frozenset({Fact(SystemCall("read"))})
    )
    profile_file.write_profile(path, recorded)
    return str(path)


def on_a_terminal(*words: str, **environment: str) -> tuple[int, str]:
    """Run the command with a terminal as standard output; return its status and what a person would read."""
    reading, writing = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SYSTEMD", "SUDO", "PAGER"))}
    process = subprocess.Popen(
        [COMMAND, *words],
        stdout=writing,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**inherited, "TERM": "xterm", **environment},
    )
    os.close(writing)
    seen = b""
    while True:
        try:
            block = os.read(reading, 65536)
        except OSError:  # EIO: the other side is closed
            break
        if not block:
            break
        seen += block
    os.close(reading)
    return process.wait(timeout=60), seen.decode()


def test_a_terminal_gets_a_pager(profile: str) -> None:
    status, seen = on_a_terminal("explain", profile, "--systemd", "252", SYSTEMD_PAGER=PAGER)
    assert status == 0
    assert all(line.startswith("PAGED:") for line in seen.splitlines())
    assert "PAGED:NoNewPrivileges" in seen


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["--no-pager"], {"SYSTEMD_PAGER": PAGER}),
        ([], {"SYSTEMD_PAGER": ""}),
        ([], {"SYSTEMD_PAGER": "cat", "PAGER": PAGER}),
        ([], {"SYSTEMD_PAGER": "no-such-pager-at-all"}),
        ([], {"SYSTEMD_PAGER": "'"}),
        ([], {"SYSTEMD_PAGER": PAGER, "SYSTEMD_PAGERSECURE": "1"}),
    ],
)
def test_and_none_where_it_is_not_wanted(profile: str, words: list[str], environment: dict[str, str]) -> None:
    status, seen = on_a_terminal("explain", profile, "--systemd", "252", *words, **environment)
    assert status == 0
    assert "TemporaryFileSystem" in seen
    assert "PAGED:" not in seen


def test_no_pager_is_taken_before_the_verb_too(profile: str) -> None:
    status, seen = on_a_terminal("--no-pager", "explain", profile, "--systemd", "252", SYSTEMD_PAGER=PAGER)
    assert status == 0
    assert "PAGED:" not in seen


def test_leaving_the_pager_early_is_no_error(profile: str) -> None:
    status, _ = on_a_terminal("explain", profile, "--systemd", "252", SYSTEMD_PAGER="true")
    assert status == 0


def test_a_pipe_gets_none(profile: str) -> None:
    done = subprocess.run(
        [COMMAND, "explain", profile, "--systemd", "252"],
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_PAGER": PAGER},
    )
    assert done.returncode == 0
    assert "PAGED:" not in done.stdout


def test_under_sudo_the_pager_is_secure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYSTEMD_PAGERSECURE", raising=False)
    monkeypatch.setenv("SUDO_UID", "1000")
    assert pager.is_secure()
    monkeypatch.setenv("SYSTEMD_PAGERSECURE", "0")
    assert not pager.is_secure()
