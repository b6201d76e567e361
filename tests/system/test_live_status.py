"""Recording on a real terminal: the status lives, Ctrl-C keeps what was recorded, a second one gives it up."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.behaviour import Phase
from policy.recording import Ending, Recording
from profiler.errors import ExitCode
from profiler.profile_file import read_profile
from profiler.twin import Twin
from tests.system.terminal_session import TerminalSession, unit_tailor

NAME = "tailor-busy.service"
LINES = "ExecStart=/bin/sh -c 'while :; do n=$$((n+1)); : > /var/tmp/tailor-$$n; sleep 0.2; done'\n"


@pytest.fixture
def busy(session_twin: Twin) -> Iterator[str]:
    """A service that finds something new to do all the time; yields the twin's name."""
    place = session_twin.path(f"/run/systemd/system/{NAME}")
    place.write_text(f"[Service]\n{LINES}")
    session_twin.run(["systemctl", "daemon-reload"])
    yield session_twin.name
    session_twin.run(["systemctl", "stop", NAME], check=False)
    session_twin.run(["sh", "-c", "rm -f /var/tmp/tailor-*"])
    place.unlink()
    session_twin.run(["systemctl", "daemon-reload"])


def recording_in(path: Path) -> Recording:
    (recording,) = read_profile(path).header.recordings
    return recording


def is_active(twin: Twin) -> bool:
    return twin.run(["systemctl", "is-active", NAME], check=False).status == 0


def test_the_status_lives_and_ctrl_c_keeps_the_recording(busy: str, session_twin: Twin, tmp_path: Path) -> None:
    profile = tmp_path / "a.profile"
    with TerminalSession(unit_tailor(busy, "record", NAME, "--for", "10min", "-o", str(profile))) as session:
        session.wait_for("new a minute · serving")
        session.press("\x03")
        assert session.end() == ExitCode.INTERRUPTED, session.screen()[-20:]
    assert re.search(r"━.* s · [\d,]+ facts · [\d,]+ new a minute · serving", session.written)
    last = [line for line in session.screen() if line]
    assert any("the recording is kept" in line for line in last)
    assert last[-1] == f"next: unit-tailor generate {profile}"
    recording = recording_in(profile)
    assert recording.ending is Ending.INTERRUPTED
    assert [phase for _, phase in recording.phase_starts] == [Phase.START_UP, Phase.SERVING, Phase.STOP]
    assert recording.discovery[-1][1] == len(read_profile(profile).facts)
    assert len(recording.discovery) > 5
    assert not is_active(session_twin)


def test_a_second_ctrl_c_gives_it_up_and_puts_the_service_back(busy: str, session_twin: Twin, tmp_path: Path) -> None:
    # A service that takes its time to stop leaves room for the second one.
    stubborn = f"[Service]\n{LINES}ExecStop=/bin/sleep 6\n"
    session_twin.path(f"/run/systemd/system/{NAME}").write_text(stubborn)
    session_twin.run(["systemctl", "daemon-reload"])
    profile = tmp_path / "a.profile"
    with TerminalSession(unit_tailor(busy, "record", NAME, "--for", "10min", "-o", str(profile))) as session:
        session.wait_for("new a minute · serving")
        session.press("\x03")
        session.wait_for("gives it up")
        session.press("\x03")
        assert session.end() == ExitCode.INTERRUPTED, session.screen()[-20:]
    assert session.screen()[-2] == "error: interrupted"
    assert not profile.exists()
    assert not is_active(session_twin)


def test_a_narrow_terminal_without_colour(busy: str, tmp_path: Path) -> None:
    columns = 30
    profile = tmp_path / "a.profile"
    command = unit_tailor(busy, "record", NAME, "--for", "2s", "-o", str(profile))
    with TerminalSession(command, columns=columns, environment={"NO_COLOR": "1"}) as session:
        assert session.end() == ExitCode.DONE
    assert "\x1b[3" not in session.written
    drawn = [part for part in re.split("[\r\n]+", session.written) if part.endswith("\x1b[K") and "done" not in part]
    assert len(drawn) > 4
    assert max(map(len, drawn)) - len("\x1b[K") < columns
    assert recording_in(profile).ending is Ending.COMPLETE


def test_without_a_terminal_there_are_plain_lines(busy: str, tmp_path: Path) -> None:
    command = unit_tailor(busy, "record", NAME, "--for", "1s", "-o", str(tmp_path / "a.profile"))
    log = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "\x1b" not in log.stderr
    assert "\r" not in log.stderr
    assert f"recording {NAME}: watching for 1 s" in log.stderr.splitlines()


def test_an_interrupted_command_is_kept_as_well(busy: str, tmp_path: Path) -> None:
    profile = tmp_path / "a.profile"
    command = unit_tailor(busy, "record", "-o", str(profile), "--", "/bin/sh", "-c", "echo running; exec sleep 60")
    with TerminalSession(command) as session:
        session.wait_for("running")
        session.press("\x03")
        assert session.end() == ExitCode.INTERRUPTED, session.screen()[-20:]
    assert recording_in(profile).ending is Ending.INTERRUPTED
