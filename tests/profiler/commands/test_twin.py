"""``unit-tailor twin`` as a user types it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler import twin
from profiler.twin import state
from tests.profiler.twin.leftovers import look, none_within
from tests.twin_fixtures import require_twin

COMMAND = str(Path(sys.prefix) / "bin" / "unit-tailor")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory of the test's own, emptied at the end."""
    directory = tmp_path / "state"
    monkeypatch.setenv(state.VARIABLE, str(directory))
    yield directory
    if os.geteuid() == 0:
        for machine in twin.running():
            machine.down()
        assert not none_within(10, directory)


@pytest.fixture
def up() -> str:
    """The name of a twin that was made by the command."""
    require_twin()
    name = state.random_name("test")
    done = unit_tailor("twin", "up", name)
    assert (done.returncode, done.stdout) == (0, f"{name}\n"), done.stderr
    return name


def unit_tailor(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, input=stdin, timeout=120, check=False)


def test_up_exec_list_down(own_state: Path, up: str) -> None:
    assert unit_tailor("twin", "exec", up, "--", "systemctl", "is-system-running").stdout == "running\n"
    listed = json.loads(unit_tailor("twin", "list", "--json=short").stdout)
    assert listed["schema_version"] == 1
    (entry,) = listed["twins"]
    assert (entry["name"], entry["state"], entry["detached"], entry["packages"]) == (up, "running", True, [])
    assert Path(f"/proc/{entry['leader']}/root/etc/machine-id").exists()
    assert unit_tailor("twin", "list").stdout.startswith(f"{up}: ")
    assert unit_tailor("twin", "down", up).returncode == 0
    assert not look(own_state, frozenset({up}))
    assert json.loads(unit_tailor("twin", "list", "--json").stdout)["twins"] == []


def test_up_without_a_name_prints_one() -> None:
    require_twin()
    done = unit_tailor("-q", "twin", "up")
    assert done.returncode == 0
    assert done.stderr == ""
    assert unit_tailor("twin", "exec", done.stdout.strip(), "--", "true").returncode == 0


def test_who_boots_it_does_not_show_in_priorities() -> None:
    require_twin()
    name = state.random_name("test")
    done = subprocess.run(["nice", "-n", "5", COMMAND, "-q", "twin", "up", name], timeout=120, check=False)
    assert done.returncode == 0
    assert unit_tailor("twin", "exec", name, "--", "ps", "-o", "ni=", "-p", "1").stdout.strip() == "0"


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -signal.SIGTERM)])
def test_the_exit_status_is_the_commands(up: str, script: str, status: int) -> None:
    assert unit_tailor("twin", "exec", up, "--", "sh", "-c", script).returncode == status


def test_streams_pass_through_and_options_are_the_commands(up: str) -> None:
    done = unit_tailor("twin", "exec", up, "--", "sh", "-c", "cat; echo --help -q >&2", stdin="a\0b")
    assert (done.stdout, done.stderr) == ("a\0b", "--help -q\n")
    assert unit_tailor("twin", "exec", up, "echo", "--help", "--", "-x").stdout == "--help -- -x\n"


def test_a_pipe_that_closes_ends_the_command(up: str) -> None:
    command = f"{COMMAND} twin exec {up} -- sh -c 'yes; echo $? >&2' | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "y\n"
    assert "Broken pipe" not in done.stderr


def test_a_terminal_passes_through(up: str) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(
            COMMAND, [COMMAND, "twin", "exec", up, "--", "sh", "-c", "test -t 0 -a -t 1 && stty size; read x; echo $x"]
        )
    os.write(terminal, b"typed\n")
    shown = b""
    deadline = time.monotonic() + 20
    while b"typed\r\ntyped" not in shown and time.monotonic() < deadline:
        try:
            shown += os.read(terminal, 4096)
        except OSError:
            break
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"0 0\r\n" in shown


def test_an_interrupt_ends_the_command_and_not_the_twin(up: str) -> None:
    with subprocess.Popen(
        [COMMAND, "twin", "exec", up, "--", "sh", "-c", "echo on; exec sleep 987"], stdout=-1
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        os.kill(process.pid, signal.SIGTERM)
        process.wait(10)
    deadline = time.monotonic() + 5
    while (
        found := twin.find(up).run(["pgrep", "-f", "^sleep 987$"], check=False)
    ).stdout and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["exec", "nobody", "--", "true"], "there is no twin named nobody"),
        (["down", "nobody"], "there is no twin named nobody"),
        (["up", "Not/A/Name"], "not a name for a twin"),
        (["up", "--package", "-o=x"], "not the name of a package"),
        (["exec", "nobody"], "missing argument"),
        (["down"], "missing argument"),
    ],
)
def test_bad_input_is_one_line_and_a_remedy(arguments: list[str], says: str) -> None:
    require_twin()
    done = unit_tailor("twin", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert says in next(line for line in lines if line.startswith("error: ")).lower()
    assert lines[-1].startswith("hint: ")


def test_a_taken_name(up: str) -> None:
    done = unit_tailor("twin", "up", up)
    assert done.returncode == 2
    assert f"there is a twin named {up} already" in done.stderr
    assert f"unit-tailor twin down {up}" in done.stderr


def test_an_interrupted_up_leaves_nothing(own_state: Path) -> None:
    require_twin()
    for delay in (0.1, 0.3, 0.6, 0.9, 1.0, 1.1, 1.2, 1.3):
        name = state.random_name("test")
        with subprocess.Popen([COMMAND, "twin", "up", name], stdout=-1, stderr=-1) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
            if process.returncode == 0:
                assert unit_tailor("twin", "down", name).returncode == 0
        assert not none_within(10, own_state, frozenset({name}))


@pytest.mark.parametrize("arguments", [["up"], ["list"], ["exec", "x", "--", "true"], ["down", "x"]])
def test_without_root_it_says_so(arguments: list[str], own_state: Path) -> None:
    require_twin()
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    done = subprocess.run([*nobody, COMMAND, "twin", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 77
    assert done.stderr.splitlines()[0] == "error: only root can make and use twins"
    assert "sudo" in done.stderr
    assert not own_state.exists()


def test_what_a_killed_keeper_left_is_swept_and_told(own_state: Path, up: str) -> None:
    keeper = twin.find(up).record.keeper
    assert keeper is not None
    assert keeper.end(5)
    done = unit_tailor("twin", "list")
    assert f"removed what was left of the twin {up}" in done.stderr
    assert not none_within(5, own_state, frozenset({up}))
