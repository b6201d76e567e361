"""The day after: a use that nobody recorded, with rotated logs, reload and restart, under the drop-in of the first."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from profiler import twin
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.trial import on_trial
from tests.system.conftest import Hardened
from tests.system.daemons import ALL_DAEMONS, DAEMONS
from tests.twin_fixtures import CHECKOUT


@pytest.mark.parametrize("name", [daemon.name for daemon in DAEMONS])
def test_a_second_use_that_nobody_recorded_works(hardened: Callable[[str], Hardened], name: str) -> None:
    done = hardened(name)
    with twin.up(packages=done.daemon.packages, visible=CHECKOUT) as machine:
        unit = Unit.load(machine, done.daemon.unit)
        with on_trial(unit, done.drop_in_path.read_text(encoding="utf-8")):
            Workload(done.daemon.second_use, timeout=120).run(machine)
            under = machine.run(["systemctl", "show", "-P", "DropInPaths", unit.name]).stdout

    assert "unit-tailor" in under


def test_there_are_twelve_daemons() -> None:
    assert len(ALL_DAEMONS) >= 12
    assert len(DAEMONS) <= 3, "each takes half a minute of every run of the tests"
