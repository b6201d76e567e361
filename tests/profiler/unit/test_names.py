"""Units are named as for systemctl(1); what cannot be one is refused with the way to find the right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.cli import run_command_line
from profiler.errors import ExitCode, UsageError
from profiler.twin import Twin
from profiler.unit.names import full_name, services


@pytest.mark.parametrize(
    ("name", "said", "remedy"),
    [
        ("nginx*", "is a pattern", "systemctl list-units --all 'nginx*'"),
        ("getty@", "getty@.service is a template", "give an instance, such as getty@NAME"),
        ("getty@.service", "getty@.service is a template", "list-units --all 'getty@*'"),
        ("dbus.socket", "is not a service", ".service"),
        ("../x", "is not the name of a unit", "systemd.unit(5)"),
        ("", "is not the name of a unit", "systemd.unit(5)"),
    ],
)
def test_what_is_no_service_says_how_to_find_one(name: str, said: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        full_name(name)
    assert said in caught.value.message
    assert remedy in caught.value.hint


@pytest.mark.parametrize("command", ["record", "harden", "apply", "revert", "confirm", "why", "validate", "status"])
def test_units_of_a_user_are_refused_in_words(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = ["x.conf"] if command in {"apply", "validate"} else []
    assert run_command_line([command, "--user", "nginx", *files]) == ExitCode.USAGE
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("error: units of a user's own systemd cannot be studied")
    assert said[1] == ("hint:  make it a system unit with User=, or record what it runs: unit-tailor record -- COMMAND")


def test_patterns_and_names_find_what_a_machine_has(session_twin: Twin) -> None:
    assert "systemd-journald.service" in services(session_twin)
    assert services(session_twin, ("systemd-journal*",)).count("systemd-journald.service") == 1
    assert services(session_twin, ("systemd-journald",)) == ["systemd-journald.service"]
    assert services(session_twin, ("no-such-service-*",)) == []
