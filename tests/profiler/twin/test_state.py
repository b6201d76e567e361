"""Who holds a twin's directory, and what is known of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from profiler.errors import ToolError, UsageError
from profiler.twin import process_identity, state
from profiler.twin.state import Record


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own."""
    directory = tmp_path / "state"
    monkeypatch.setenv(state.VARIABLE, str(directory))
    return directory


def record(name: str = "one") -> Record:
    return Record(name, process_identity.own(), time.time(), packages=("nginx",), remarks=("näin\n",))


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 41, "a.b", "a\n", "ä", "a b"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not a name"):
        state.check_name(name)


@pytest.mark.parametrize("name", ["a", "7", "my-twin", "a" * 40])
def test_good_names_are_taken(name: str) -> None:
    assert state.check_name(name) == name


def test_random_names_are_good_names() -> None:
    name = state.random_name()
    assert state.check_name(name) == name


def test_a_name_is_claimed_once_and_dead_when_nobody_holds_it() -> None:
    claim = state.claim("one")
    with pytest.raises(UsageError, match="there is a twin named one already"):
        state.claim("one")
    assert state.take_if_dead(claim.directory) is None
    os.close(claim.lock)
    taken = state.take_if_dead(claim.directory)
    assert taken is not None
    os.close(taken)


def test_the_lock_is_released_when_a_holder_is_killed() -> None:
    program = "from profiler.twin import state; import sys; state.claim('one'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        directory = state.twins_directory() / "one"
        assert state.take_if_dead(directory) is None
        holder.kill()
    taken = state.take_if_dead(directory)
    assert taken is not None
    os.close(taken)


def test_a_record_is_read_as_it_was_written(own_state: Path) -> None:
    claim = state.claim("one")
    record().write(claim.directory)
    found = state.read_record(claim.directory)
    os.close(claim.lock)
    assert found is not None
    assert (found.name, found.packages, found.remarks) == ("one", ("nginx",), ("näin\n",))
    assert found.owner == process_identity.own()
    assert [path.name for path in claim.directory.iterdir()].count(state.RECORD) == 1
    assert not [path for path in claim.directory.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 99}', '{"format": 1, "name": 3}', "\0" * 100])
def test_a_damaged_record_is_none_and_no_traceback(text: str) -> None:
    claim = state.claim("one")
    (claim.directory / state.RECORD).write_text(text)
    assert state.read_record(claim.directory) is None
    os.close(claim.lock)


def test_the_state_is_private(own_state: Path) -> None:
    os.close(state.claim("one").lock)
    for directory in (own_state, own_state / "twins", own_state / "twins/one"):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_a_state_that_others_can_change_is_refused(own_state: Path) -> None:
    own_state.mkdir()
    own_state.chmod(0o777)
    with pytest.raises(ToolError, match="can be changed by other users"):
        state.state_directory()


@pytest.mark.parametrize("place", ["relative", "/run/unit-tailor-test", "/proc/x", "/dev/x"])
def test_unsuitable_states_are_refused(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(state.VARIABLE, place)
    with pytest.raises(UsageError):
        state.state_directory()
    assert not Path("/run/unit-tailor-test").exists()


def test_two_holders_take_turns(own_state: Path) -> None:
    def hold_too() -> None:
        with state.locked(state.twins_directory(), seconds=0.05):
            pass

    with state.locked(state.twins_directory()), pytest.raises(ToolError, match="locked by another process"):
        hold_too()
    hold_too()
