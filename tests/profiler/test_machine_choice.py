"""What a twin is shown of the places that it has file systems of its own for."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.machine_choice import MachineChoice, hidden_places
from profiler.unit.workload import Workload
from tests.twin_fixtures import require_twin


def test_a_workload_in_tmp_is_run_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_twin()
    place = tmp_path / "a place: with\\odd name"
    place.mkdir()
    (place / "use.sh").write_text("cat /proc/1/comm; cat ./data; ! touch ./new 2>/dev/null\n")
    (place / "data").write_text("seen\n")
    monkeypatch.chdir(place)
    workload = Workload("sh use.sh")

    with MachineChoice(twin=True).machine(workload) as machine:
        completed = workload.run(machine)

    assert completed.stdout == "systemd\nseen\n"
    assert sorted(path.name for path in place.iterdir()) == ["data", "use.sh"]


def test_only_what_would_be_hidden_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "use.sh"
    script.touch()
    monkeypatch.chdir("/usr")
    named = Workload(f"sh '{script}' /etc/passwd /nonexistent --flag")

    assert hidden_places(named) == ((tmp_path,) if str(tmp_path).startswith(("/tmp/", "/run/")) else ())
    assert hidden_places(None) == ()
    assert hidden_places(Workload("echo 'unbalanced")) == ()


def test_a_file_in_a_shown_directory_is_shown_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "use.sh"
    script.touch()
    monkeypatch.chdir(tmp_path)

    shown = hidden_places(Workload(f"sh {script}"))

    assert shown == ((tmp_path,) if str(tmp_path).startswith(("/tmp/", "/run/")) else ())
