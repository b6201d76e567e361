"""Applying, confirming and reverting a drop-in, under a real systemd."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.drop_in import stamped
from profiler.errors import ToolError, UsageError
from profiler.twin import Twin
from profiler.unit.listening import listening
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.guard import locked
from profiler.validate.installed import installed, permanent_path, trial_path, units_with_ours
from profiler.validate.transaction import apply, confirm, revert
from tests.profiler.validate.services import (
    DROP_IN,
    TYPES,
    left_behind,
    make,
    no_new_privileges,
    remove,
    transients,
)

OURS = stamped(DROP_IN, "test")
ASSIGNMENTS = [("NoNewPrivileges", "yes")]
OTHER = stamped(b"[Service]\nPrivateTmp=yes\n", "test")
PORT = 4711


@pytest.fixture
def unit(session_twin: Twin) -> Iterator[Unit]:
    unit = make(session_twin, "tailor-apply.service", TYPES["simple"])
    yield unit
    remove(unit)


def test_a_drop_in_is_installed_for_good(unit: Unit) -> None:
    applied = apply(unit, OURS, ASSIGNMENTS)

    assert applied.problem == ""
    assert applied.pending is None
    assert no_new_privileges(unit)
    assert unit.files()[-1] == permanent_path(unit.name)
    assert left_behind(unit) == [permanent_path(unit.name)]
    assert unit.machine.path(permanent_path(unit.name)).read_bytes() == OURS
    assert units_with_ours(unit.machine) == [unit.name]
    assert transients(unit) == []


def test_revert_takes_it_away(unit: Unit) -> None:
    apply(unit, OURS, ASSIGNMENTS)

    assert revert(unit) == "its own settings"

    assert_untouched(unit)


def test_what_is_not_confirmed_goes_away_by_itself(unit: Unit) -> None:
    applied = apply(unit, OURS, ASSIGNMENTS, confirm_within=1.5)
    assert applied.pending is not None
    assert no_new_privileges(unit)
    assert left_behind(unit) == sorted([applied.pending.record, trial_path(unit.name)])

    wait_for(lambda: not left_behind(unit) and unit.is_active())

    assert_untouched(unit)


def test_what_is_confirmed_stays_without_a_restart(unit: Unit) -> None:
    apply(unit, OURS, ASSIGNMENTS, confirm_within=60)
    main = unit.properties()["MainPID"]

    confirm(unit)

    assert unit.properties()["MainPID"] == main
    assert left_behind(unit) == [permanent_path(unit.name)]
    assert unit.files()[-1] == permanent_path(unit.name)
    assert transients(unit) == []


def test_on_trial_it_replaces_an_older_one_which_comes_back(unit: Unit) -> None:
    apply(unit, OTHER, [("PrivateTmp", "yes")])

    apply(unit, OURS, ASSIGNMENTS, confirm_within=60)
    assert unit.systemctl.show(unit.name, ["PrivateTmp"]) == {"PrivateTmp": "no"}
    assert no_new_privileges(unit)

    assert revert(unit) == "the drop-in before it"
    assert unit.systemctl.show(unit.name, ["PrivateTmp"]) == {"PrivateTmp": "yes"}
    assert not no_new_privileges(unit)
    assert unit.machine.path(permanent_path(unit.name)).read_bytes() == OTHER
    assert transients(unit) == []


def test_a_service_that_dies_under_it_gets_back_what_it_had(unit: Unit) -> None:
    apply(unit, OTHER, [("PrivateTmp", "yes")])
    deadly = stamped(b"[Service]\nSystemCallFilter=~execve\n", "test")

    applied = apply(unit, deadly, [("SystemCallFilter", "~execve")])

    assert "tailor-apply" in applied.problem
    assert unit.is_active()
    assert left_behind(unit) == [permanent_path(unit.name)]
    assert unit.machine.path(permanent_path(unit.name)).read_bytes() == OTHER
    assert unit.properties()["Result"] == "success"


def test_a_service_that_crash_loops_is_seen(session_twin: Twin) -> None:
    program = "ExecStart=/bin/sh -c 'sleep 0.3; touch /srv/tailor || exit 1; sleep 600'\n"
    loops = f"Restart=always\nRestartSec=100ms\n{program}"
    unit = make(session_twin, "tailor-loops.service", loops)
    try:
        applied = apply(unit, stamped(b"[Service]\nProtectSystem=strict\n", "test"), [("ProtectSystem", "strict")])

        assert applied.problem != ""
        wait_for(unit.is_active)
        assert left_behind(unit) == []
    finally:
        remove(unit)


def test_the_users_check_decides(unit: Unit) -> None:
    applied = apply(unit, OURS, ASSIGNMENTS, check=Workload("echo it is ill >&2; exit 7"))

    assert applied.problem == "the check failed (exit status 7): it is ill"
    assert_untouched(unit)


def test_it_must_listen_where_it_listened(session_twin: Twin) -> None:
    server = (
        "import socket, time\n"
        "try:\n"
        f"    s = socket.create_server(('127.0.0.1', {PORT}))\n"
        "except OSError:\n"
        "    pass\n"
        "time.sleep(600)\n"
    )
    session_twin.path("/opt/tailor-server.py").write_text(server)
    unit = make(session_twin, "tailor-listens.service", "ExecStart=/usr/bin/python3 /opt/tailor-server.py\n")
    try:
        wait_for(lambda: listening(unit))
        refused = stamped(b"[Service]\nRestrictAddressFamilies=AF_UNIX\n", "test")

        applied = apply(unit, refused, [("RestrictAddressFamilies", "AF_UNIX")])

        assert applied.problem == f"it does not listen any more on tcp port {PORT}"
        assert left_behind(unit) == []
        assert apply(unit, OURS, ASSIGNMENTS).problem == ""
    finally:
        remove(unit)
        session_twin.path("/opt/tailor-server.py").unlink()


def test_a_unit_that_was_stopped_is_stopped_again(unit: Unit) -> None:
    unit.systemctl.change("stop", unit.name)

    assert apply(unit, OURS, ASSIGNMENTS).problem == ""

    assert not unit.is_active()
    assert left_behind(unit) == [permanent_path(unit.name)]


def test_an_edited_drop_in_is_not_lost(unit: Unit) -> None:
    apply(unit, OURS, ASSIGNMENTS)
    place = unit.machine.path(permanent_path(unit.name))
    edited = OURS + b"PrivateTmp=yes\n"
    place.write_bytes(edited)

    with pytest.raises(UsageError, match="was changed since unit-tailor wrote it"):
        apply(unit, OTHER, [("PrivateTmp", "yes")])
    with pytest.raises(UsageError, match="was changed since unit-tailor wrote it"):
        revert(unit)
    assert place.read_bytes() == edited

    apply(unit, OTHER, [("PrivateTmp", "yes")], force=True)
    assert place.read_bytes() == OTHER


def test_an_edited_drop_in_on_trial_is_not_lost(unit: Unit) -> None:
    apply(unit, OURS, ASSIGNMENTS, confirm_within=300)
    place = unit.machine.path(trial_path(unit.name))
    place.write_bytes(OURS + b"PrivateTmp=yes\n")

    with pytest.raises(UsageError, match="was changed since it was applied"):
        confirm(unit)
    with pytest.raises(UsageError, match="was changed since it was applied"):
        revert(unit)
    assert place.read_bytes() == OURS + b"PrivateTmp=yes\n"

    revert(unit, force=True)
    assert_untouched(unit)


def test_an_installed_drop_in_that_was_edited_during_a_trial_is_not_lost(unit: Unit) -> None:
    apply(unit, OURS, ASSIGNMENTS)
    apply(unit, OTHER, [("PrivateTmp", "yes")], confirm_within=300)
    place = unit.machine.path(permanent_path(unit.name))
    place.write_bytes(OURS + b"Nice=5\n")

    with pytest.raises(UsageError, match="was changed since unit-tailor wrote it"):
        confirm(unit)
    assert place.read_bytes() == OURS + b"Nice=5\n"

    confirm(unit, force=True)
    assert place.read_bytes() == OTHER


def test_other_peoples_drop_ins_stay(unit: Unit) -> None:
    directory = unit.machine.path(f"/etc/systemd/system/{unit.name}.d")
    directory.mkdir()
    (directory / "50-admin.conf").write_text("[Service]\nNice=5\n")

    apply(unit, OURS, ASSIGNMENTS)
    revert(unit)

    assert [path.name for path in directory.iterdir()] == ["50-admin.conf"]


def test_a_drop_in_that_sorts_behind_is_refused(unit: Unit) -> None:
    directory = unit.machine.path(f"/etc/systemd/system/{unit.name}.d")
    directory.mkdir()
    (directory / "zzzz.conf").write_text("[Service]\nNice=5\n")

    with pytest.raises(ToolError, match=r"zzzz\.conf comes after our drop-in"):
        apply(unit, OURS, ASSIGNMENTS)

    assert left_behind(unit) == []
    assert unit.is_active()


def test_a_line_that_systemd_does_not_take_is_noticed(unit: Unit) -> None:
    wrong = [("ProtectHome", "perhaps")]

    with pytest.raises(ToolError, match="systemd does not hold what the drop-in says: ProtectHome= is 'no'"):
        apply(unit, stamped(b"[Service]\nProtectHome=perhaps\n", "test"), wrong)

    assert_untouched(unit)


def test_a_second_trial_is_refused(unit: Unit) -> None:
    apply(unit, OURS, ASSIGNMENTS, confirm_within=60)

    with pytest.raises(UsageError, match="has a drop-in on trial already"):
        apply(unit, OTHER, [("PrivateTmp", "yes")])

    revert(unit)
    assert_untouched(unit)


@pytest.mark.parametrize("action", [confirm, revert])
def test_there_must_be_something(unit: Unit, action: object) -> None:
    assert callable(action)
    with pytest.raises(UsageError, match="has no drop-in"):
        action(unit)


def test_a_full_disk_changes_nothing(unit: Unit) -> None:
    directory = f"/etc/systemd/system/{unit.name}.d"
    unit.machine.run(["mkdir", directory])
    unit.machine.run(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2,mode=755", "none", directory])
    unit.machine.run(["sh", "-c", f"head -c 4096 /dev/zero > {directory}/full"])
    try:
        with pytest.raises(ToolError, match=r"cannot write .*: No space left on device"):
            apply(unit, OURS, ASSIGNMENTS)
        assert sorted(path.name for path in unit.machine.path(directory).iterdir()) == ["full"]
        assert not no_new_privileges(unit)

        apply(unit, OURS, ASSIGNMENTS, confirm_within=60)
        with pytest.raises(ToolError, match=r"cannot write .*: No space left on device"):
            confirm(unit)
        assert installed(unit).pending is not None
        revert(unit)
    finally:
        unit.machine.run(["umount", directory])

    assert_untouched(unit)


def test_a_directory_that_others_can_write_to_is_refused(unit: Unit) -> None:
    directory = unit.machine.path(f"/etc/systemd/system/{unit.name}.d")
    directory.mkdir()
    directory.chmod(0o777)

    with pytest.raises(ToolError, match="can be written to by others than root"):
        apply(unit, OURS, ASSIGNMENTS)

    assert left_behind(unit) == []


def test_a_symlinked_directory_is_refused(unit: Unit) -> None:
    link = unit.machine.path(f"/etc/systemd/system/{unit.name}.d")
    link.symlink_to(Path("/srv"))

    with pytest.raises(ToolError, match="cannot write"):
        apply(unit, OURS, ASSIGNMENTS)

    link.unlink()
    assert left_behind(unit) == []


def assert_untouched(unit: Unit) -> None:
    """The unit runs under its own settings and nothing of ours is left."""
    wait_for(lambda: not transients(unit))
    assert left_behind(unit) == []
    assert unit.is_active()
    assert not no_new_privileges(unit)
    assert unit.files() == [f"/etc/systemd/system/{unit.name}"]
    with locked(unit, announce=pytest.fail):
        pass


def wait_for(condition: object, seconds: float = 15.0) -> None:
    """Wait until something is so."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()
