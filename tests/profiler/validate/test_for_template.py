"""A drop-in for all instances of a template, under a real systemd: tried for each that runs, then the template's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from policy.drop_in import stamped
from profiler.errors import UsageError
from profiler.twin import Twin
from profiler.unit.unit import Unit
from profiler.validate.installed import installed, permanent_path, running_instances, trial_path, units_with_ours
from profiler.validate.transaction import apply, confirm, revert
from tests.profiler.recorders.recordings import wait_for
from tests.profiler.validate.dies import ASSIGNMENTS
from tests.profiler.validate.services import (
    DROP_IN,
    TYPES,
    left_behind,
    no_new_privileges,
    remove,
    transients,
    unit_text,
)
from tests.profiler.validate.test_killed_anywhere import REPOSITORY

TEMPLATE = "tailor-many@.service"
OURS = stamped(DROP_IN, "test")
DEADLY_FOR_TWO = stamped(b"[Service]\nProtectSystem=strict\n", "test")
SHARE = 1 if os.environ.get("UNIT_TAILOR_EVERY_POINT") == "1" else 12


@pytest.fixture
def pair(session_twin: Twin) -> Iterator[tuple[Unit, Unit]]:
    session_twin.path(f"/etc/systemd/system/{TEMPLATE}").write_text(unit_text(TYPES["notify"]))
    session_twin.run(["systemctl", "daemon-reload"])
    session_twin.run(["systemctl", "start", "tailor-many@one", "tailor-many@two"])
    units = Unit.load(session_twin, "tailor-many@one"), Unit.load(session_twin, "tailor-many@two")
    yield units
    for unit in units:
        remove(unit)
    remove(Unit(session_twin, TEMPLATE))


def assert_untouched(units: tuple[Unit, Unit]) -> None:
    for unit in units:
        assert unit.is_active()
        assert unit.files()[1:] == []
        assert not no_new_privileges(unit)
        assert left_behind(unit) == []
        assert transients(unit) == []


def test_all_that_run_are_tried_and_it_is_permanent_for_the_template(pair: tuple[Unit, Unit]) -> None:
    one, two = pair
    applied = apply(one, OURS, ASSIGNMENTS, for_template=True)

    assert (applied.problem, applied.tried) == ("", (one.name, two.name))
    assert running_instances(one.machine, TEMPLATE) == [one.name, two.name]
    for unit in pair:
        assert no_new_privileges(unit)
        assert unit.files()[1:] == [permanent_path(TEMPLATE)]
        assert left_behind(unit) == [permanent_path(TEMPLATE)]
        assert installed(unit).in_force == OURS
    assert transients(one) == []
    assert units_with_ours(one.machine) == [TEMPLATE]

    with pytest.raises(UsageError, match="has no drop-in of its own, but one for all instances"):
        revert(two)
    assert revert(two, for_template=True) == "its own settings"
    assert not no_new_privileges(two)
    assert no_new_privileges(one)  # nothing restarted it
    one.systemctl.change("restart", one.name)
    assert_untouched(pair)


def test_it_is_confirmed_and_reverted_for_all_at_once(pair: tuple[Unit, Unit]) -> None:
    one, two = pair
    applied = apply(one, OURS, ASSIGNMENTS, for_template=True, confirm_within=60)
    assert applied.pending is not None
    mains = [unit.properties()["MainPID"] for unit in pair]
    assert [unit.files()[-1] for unit in pair] == [trial_path(unit.name) for unit in pair]
    assert installed(two).general is None

    assert confirm(two) == permanent_path(TEMPLATE)

    assert [unit.properties()["MainPID"] for unit in pair] == mains
    assert [left_behind(unit) for unit in pair] == [[permanent_path(TEMPLATE)]] * 2
    assert transients(one) == []


def test_what_is_not_confirmed_goes_away_for_all(pair: tuple[Unit, Unit]) -> None:
    one, _ = pair
    assert apply(one, OURS, ASSIGNMENTS, for_template=True, confirm_within=1.5).problem == ""
    wait_for(lambda: not any(map(left_behind, pair)) and not transients(one))
    assert_untouched(pair)


def test_one_that_does_not_work_under_it_spares_all(pair: tuple[Unit, Unit]) -> None:
    one, two = pair
    needs = "ExecStartPre=/bin/sh -c 'test %i != two || touch /srv/tailor-two'\n"
    one.machine.path(f"/etc/systemd/system/{TEMPLATE}").write_text(unit_text(needs + TYPES["notify"]))
    one.systemctl.daemon_reload()

    applied = apply(one, DEADLY_FOR_TWO, [("ProtectSystem", "strict")], for_template=True)

    assert (applied.unit, applied.tried) == (two.name, ())
    assert applied.problem
    assert not one.machine.path(permanent_path(TEMPLATE)).exists()
    assert_untouched(pair)


def test_who_has_one_of_its_own_is_left_out(pair: tuple[Unit, Unit]) -> None:
    one, two = pair
    apply(two, OURS, ASSIGNMENTS)
    with pytest.raises(UsageError, match="has a drop-in of its own"):
        apply(two, OURS, ASSIGNMENTS, for_template=True)
    assert apply(one, OURS, ASSIGNMENTS, for_template=True).tried == (one.name,)
    assert revert(two) == "the drop-in of its template"


def test_what_somebody_edited_and_what_is_no_instance(pair: tuple[Unit, Unit]) -> None:
    one, _ = pair
    apply(one, OURS, ASSIGNMENTS, for_template=True)
    with one.machine.path(permanent_path(TEMPLATE)).open("a") as file:
        file.write("# edited\n")
    for call in (lambda: apply(one, OURS, ASSIGNMENTS, for_template=True), lambda: revert(one, for_template=True)):
        with pytest.raises(UsageError, match="was changed since unit-tailor wrote it"):
            call()
    with pytest.raises(UsageError, match="not an instance of a template"):
        apply(Unit(one.machine, "systemd-journald.service"), OURS, ASSIGNMENTS, for_template=True)


@pytest.mark.long
@pytest.mark.parametrize("action", ["apply template", "confirm template", "revert template"])
def test_killed_at_any_point_all_instances_are_whole(pair: tuple[Unit, Unit], action: str) -> None:
    names = run_until(pair, action, 0).stdout.splitlines()
    assert len(names) >= 5
    kills = 0
    for point in range(1 + len(action) % SHARE, len(names) + 1, SHARE):
        where = f"{action} killed before point {point} of {len(names)}: {names[point - 1]}"
        killed = run_until(pair, action, point)
        if killed.returncode == 0:
            continue  # this run had fewer changes to make
        kills += 1
        assert killed.returncode == -9, f"{where}: {killed.stderr}"
        settle(pair, where)
        for unit in pair:
            now = installed(unit)
            assert {now.trial, now.general} <= {None, OURS}, where
            is_restarted = action != "revert template" or unit is pair[0]
            assert no_new_privileges(unit) == (now.in_force is not None) or not is_restarted, where
            expected = {trial_path(unit.name)} if now.trial else set()
            expected |= {now.pending.record} if now.pending else set()
            left = {path for path in left_behind(unit) if unit.name in path and not path.endswith(".lock")}
            assert left == expected, where
            in_force = trial_path(unit.name) if now.trial else permanent_path(TEMPLATE)
            assert unit.files()[1:] == [in_force][: bool(now.in_force)], where
    assert kills


def run_until(pair: tuple[Unit, Unit], action: str, point: int) -> subprocess.CompletedProcess[str]:
    one = pair[0]
    for unit in pair:
        if installed(unit).trial is not None:
            revert(unit)
    if installed(one).general is not None:
        revert(one, for_template=True)
    one.systemctl.reset_failed(pair[1].name)  # so many restarts would be refused
    one.systemctl.change("restart", pair[1].name)
    if action != "apply template":
        within = 300.0 if action == "confirm template" else 0.0
        assert apply(one, OURS, ASSIGNMENTS, for_template=True, confirm_within=within).problem == ""
    words = ["-m", "tests.profiler.validate.dies", one.machine.name, one.name, action, str(point)]
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, check=False, cwd=REPOSITORY
    )


def settle(pair: tuple[Unit, Unit], where: str) -> None:
    def is_settled() -> bool:
        notes = list(pair[0].machine.path("/run/unit-tailor").glob("*.note"))
        guards = [line for line in transients(pair[0]) if "guard" in line]
        return not guards and not notes and all(unit.is_active() for unit in pair)

    try:
        wait_for(is_settled)
    except AssertionError:
        pytest.fail(f"{where}: {transients(pair[0])}, {[left_behind(unit) for unit in pair]}")
