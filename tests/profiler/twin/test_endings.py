"""However a twin ends, nothing of it stays: no process, mount, control group or file."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler import twin
from profiler.errors import CommandFailed, ToolError
from profiler.twin import booting, process_identity, state
from tests.profiler.twin.leftovers import look, none_within
from tests.twin_fixtures import require_twin

SOON = 10.0
OWNER = """
import sys, time
from profiler import twin
name = sys.argv[1]
print("begin", flush=True)
with twin.up(name=name) as machine:
    child = machine.start(["sleep", "98765"])
    print("up", machine.leader, machine.record.keeper.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory of the test's own, in which nothing may be left."""
    require_twin()
    directory = tmp_path / "state"
    monkeypatch.setenv(state.VARIABLE, str(directory))
    yield directory
    found = none_within(SOON, directory)
    twin.sweep()
    assert not found


@pytest.fixture
def name() -> str:
    return state.random_name("test")


@contextmanager
def owner(name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a twin of this name; killed at the end."""
    command = [sys.executable, "-c", OWNER, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def is_running(pid: str) -> bool:
    return process_identity.identify(int(pid)) is not None


def stays(pid: str) -> bool:
    """Whether the process still runs after some seconds in which it may go."""
    deadline = time.monotonic() + SOON
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_running(pid)


def line_of(process: subprocess.Popen[bytes]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().decode().split()


def test_the_snapshot_sees_a_twin(own_state: Path, name: str) -> None:
    """The other tests prove nothing if the looking is blind."""
    with twin.up(name=name):
        found = look(own_state, frozenset({name}))
        assert found.processes
        assert found.cgroups
        assert found.files


def test_an_ordinary_end(own_state: Path, name: str) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    with twin.up(name=name) as machine:
        machine.run(["systemd-run", "--quiet", "sleep", "1000"])
        machine.start(["sleep", "1000"])
    assert not look(own_state, frozenset({name}))
    assert Path("/proc/self/mountinfo").read_text() == before
    assert not list(Path("/run/systemd/nspawn").glob(f"**/*{name}*"))


def test_an_error_in_the_body(own_state: Path, name: str) -> None:
    with pytest.raises(ZeroDivisionError), twin.up(name=name):
        raise ZeroDivisionError
    assert not look(own_state, frozenset({name}))


def test_files_that_do_not_want_to_go(own_state: Path, name: str) -> None:
    with twin.up(name=name) as machine:
        machine.run(["sh", "-c", "mkdir -p /srv/a/b && touch /srv/a/b/c && chattr +i /srv/a/b/c && chmod 0 /srv/a"])
        machine.run(["sh", "-c", "mkdir /srv/deep && cd /srv/deep && for i in $(seq 300); do mkdir d && cd d; done"])
        machine.run(["python3", "-c", "open(b'/srv/n\\n\\xff%', 'w')"])
        machine.run(["ln", "-s", "/etc", "/srv/link"])
    assert not look(own_state, frozenset({name}))
    assert Path("/etc/passwd").exists()


def test_mounts_made_in_the_twin_go_with_it(own_state: Path, name: str) -> None:
    with twin.up(name=name) as machine:
        machine.run(["mount", "-t", "tmpfs", "tmpfs", "/srv"])
        machine.run(["mount", "--bind", "/etc", "/mnt"])
    assert not look(own_state, frozenset({name}))
    assert Path("/etc/passwd").exists()


def test_a_service_that_will_not_stop_does_not_delay_the_end(own_state: Path, name: str) -> None:
    machine = twin.up(name=name)
    machine.run(
        ["systemd-run", "--quiet", "-pTimeoutStopSec=600", "sh", "-c", "trap '' TERM; while :; do sleep 9; done"]
    )
    began = time.monotonic()
    machine.down()
    assert time.monotonic() - began < 2
    assert not look(own_state, frozenset({name}))


def test_the_end_can_be_asked_for_twice(name: str) -> None:
    machine = twin.up(name=name)
    machine.down()
    machine.down()


def test_a_twin_that_shuts_itself_down(own_state: Path, name: str) -> None:
    with twin.up(name=name) as machine:
        machine.run(["systemctl", "poweroff"], check=False)
        assert not none_within(SOON, own_state, frozenset({name}))
        with pytest.raises(ToolError, match="is not running"):
            machine.run(["true"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_owner_gets_a_signal(own_state: Path, name: str, number: signal.Signals) -> None:
    with owner(name) as process:
        assert line_of(process) == ["begin"]
        _, leader, keeper = line_of(process)
        assert is_running(leader)
        process.send_signal(number)
        process.wait(SOON)
        assert not none_within(SOON, own_state, frozenset({name}))
        assert not stays(leader)
        assert not stays(keeper)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_owner_gets_a_signal_at_any_moment(own_state: Path, number: signal.Signals) -> None:
    chance = random.Random(number)
    for _ in range(8):
        name = state.random_name("test")
        with owner(name) as process:
            assert line_of(process) == ["begin"]
            time.sleep(chance.uniform(0, 0.45))
            process.send_signal(number)
            process.wait(SOON)
            left = none_within(SOON, own_state, frozenset({name}))
            if left and number == signal.SIGKILL:  # it had no keeper yet: the next one who comes cleans up
                assert not (left.processes or left.mounts or left.cgroups)
                twin.sweep()
                left = none_within(SOON, own_state, frozenset({name}))
            assert not left


def test_a_second_interrupt_while_it_is_taken_down(own_state: Path, name: str) -> None:
    with owner(name) as process:
        line_of(process)
        line_of(process)
        for _ in range(5):
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)
        process.wait(SOON)
        assert not none_within(SOON, own_state, frozenset({name}))


def test_the_keeper_is_killed(own_state: Path, name: str) -> None:
    """The twin dies with its keeper; what stays is removed by the next who comes, and no living twin is touched."""
    with twin.up() as living, owner(name) as process:
        line_of(process)
        _, leader, keeper = line_of(process)
        os.kill(int(keeper), signal.SIGKILL)
        assert not stays(leader), "the twin outlived its keeper"
        assert look(own_state, frozenset({name})).files
        assert twin.sweep().removed == (name,)
        process.kill()
        process.wait(SOON)
        assert not none_within(SOON, own_state / "twins" / name, frozenset({name}))
        assert living.run(["echo", "alive"]).stdout == "alive\n"


def test_owner_and_keeper_are_killed_at_any_moment(own_state: Path) -> None:
    chance = random.Random(1)
    for _ in range(8):
        name = state.random_name("test")
        with owner(name) as process:
            assert line_of(process) == ["begin"]
            time.sleep(chance.uniform(0, 0.4))
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for pid in [process.pid, *map(int, children)]:
                os.kill(pid, signal.SIGKILL)
            process.wait(SOON)
        deadline = time.monotonic() + SOON
        while look(own_state, frozenset({name})) and time.monotonic() < deadline:
            twin.sweep()
            time.sleep(0.02)
        assert not look(own_state, frozenset({name}))


def test_a_directory_of_unknown_origin_is_swept(own_state: Path) -> None:
    with twin.up() as machine:
        stale = own_state / "twins" / "stale"
        (stale / "store/root/upper/etc").mkdir(parents=True)
        (stale / "state.json").write_text("{")
        assert twin.sweep().removed == ("stale",)
        assert not stale.exists()
        assert machine.run(["echo", "alive"]).stdout == "alive\n"


def test_a_detached_twin_outlives_its_maker_and_not_its_end(own_state: Path, name: str) -> None:
    script = f"from profiler import twin; twin.up(name={name!r}, detached=True)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    machine = twin.find(name)
    assert twin.sweep().removed == ()
    assert machine.run(["systemctl", "is-system-running"]).stdout == "running\n"
    assert machine.record.detached
    assert not machine.record.owner.is_alive()
    machine.down()
    assert not look(own_state, frozenset({name}))


def test_a_boot_that_fails_shows_why_and_leaves_nothing(
    own_state: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose systemd cannot be executed: the real nspawn, and its real words."""
    script = (
        "from profiler.twin import nspawn, keeper_program\n"
        "nspawn.FIRST_PROGRAM = 'echo a word of explanation; exit 3'\n"
        "keeper_program.main()\n"
    )
    monkeypatch.setattr(
        "profiler.twin.keeper_process.command_line", lambda job: [sys.executable, "-c", script, job.to_text()]
    )
    with pytest.raises(CommandFailed, match="the twin did not boot, nspawn ended with status 3") as caught:
        twin.up(name=name)
    assert "a word of explanation" in caught.value.output
    assert not look(own_state, frozenset({name}))


def test_a_boot_that_hangs_is_given_up(own_state: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "from profiler.twin import nspawn, keeper_program\n"
        "nspawn.FIRST_PROGRAM = 'echo waiting; sleep 1000'\n"
        "keeper_program.main()\n"
    )
    monkeypatch.setattr(
        "profiler.twin.keeper_process.command_line", lambda job: [sys.executable, "-c", script, job.to_text()]
    )
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="it was not ready within 1 s: waiting"):
        twin.up(name=name, patience=1)
    assert time.monotonic() - began < 5
    assert not look(own_state, frozenset({name}))


def test_a_keeper_that_breaks_is_a_bug_and_leaves_nothing(
    own_state: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "raise SystemExit('broken')"
    monkeypatch.setattr("profiler.twin.keeper_process.command_line", lambda job: [sys.executable, "-c", script])
    with pytest.raises(RuntimeError, match="broken"):
        twin.up(name=name)
    assert not look(own_state, frozenset({name}))


def test_the_last_lines_of_a_failed_boot_are_told() -> None:
    said = "\n".join(f"line {number}" for number in range(100)) + "\n\n"
    error = booting.failure(said, "it broke")
    assert error.message == "the twin did not boot, it broke: line 99"
    assert getattr(error, "output", "").splitlines()[0] == "line 85"
