"""Jobs of systemd: a stop that has no limit and hangs is ended, and told."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from profiler.errors import CommandFailed
from profiler.unit import systemctl
from profiler.unit.unit import Unit
from tests.profiler.validate.services import make, remove
from tests.twin_fixtures import TwinWith

HANGS = "TimeoutStopSec=infinity\nExecStart=/bin/sh -c 'trap : TERM; while :; do sleep 1; done'\n"


@pytest.fixture
def unit(twin_with: TwinWith, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unit]:
    monkeypatch.setattr(systemctl, "STOP_LIMIT", 2.0)
    made = make(twin_with(), "hanging.service", HANGS)
    time.sleep(0.5)  # until the shell ignores the signal
    yield made
    made.machine.run(["systemctl", "kill", "--signal=KILL", made.name], check=False)
    remove(made)


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_stop_without_a_limit_is_ended_and_told(unit: Unit, verb: str) -> None:
    before = unit.properties()["MainPID"]

    with pytest.raises(CommandFailed, match=r"did not stop within 2 s and was killed"):
        unit.systemctl.change(verb, unit.name)

    assert unit.is_active() == (verb == "restart")
    assert unit.properties()["MainPID"] != before


def test_where_the_service_comes_first_it_is_only_ended(unit: Unit) -> None:
    unit.systemctl.change("restart", unit.name, forgiving=True)

    assert unit.is_active()
