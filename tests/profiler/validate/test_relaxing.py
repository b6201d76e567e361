"""Relaxing on a real service in a twin where no model has the answer, and where the drop-in is not to blame."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from policy.drop_in import DropIn, parse
from profiler.host import read_host_facts
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.relaxing import Relaxed, Trying
from profiler.validate.validation import Verdict, validate
from tests.profiler.validate.services import left_behind, make, remove
from tests.twin_fixtures import TwinWith

SERVICE = "ExecStart=/bin/sh -c 'echo yes > /var/lib/relaxed/here && exec sleep 600'\n"
FAULTY = "[Service]\nProtectHome=yes\nLimitFSIZE=0\nPrivateTmp=yes\n"


@pytest.fixture
def unit(twin_with: TwinWith) -> Iterator[Unit]:
    machine = twin_with()
    machine.run(["mkdir", "-p", "/var/lib/relaxed"])
    made = make(machine, "relaxed.service", SERVICE)
    yield made
    remove(made)
    machine.run(["rm", "-rf", "/var/lib/relaxed"])


def relaxed(unit: Unit, text: str, workload: str, *, once: bool = False) -> Relaxed:
    host = read_host_facts(unit.machine)

    def test(drop_in: DropIn) -> Verdict:
        return validate(unit, drop_in.render(), drop_in.assignments, host, workload=Workload(workload))

    trying = Trying(test, host)
    return trying.once(parse(text)) if once else trying.until_it_fits(parse(text))


def test_a_limit_that_no_model_knows_is_found_by_restarts_and_only_it_goes(unit: Unit) -> None:
    done = relaxed(unit, FAULTY, "test -s /var/lib/relaxed/here")

    assert done.verdict.fits
    assert [change.in_words for change in done.relaxations] == ["remove LimitFSIZE="]
    assert done.drop_in.assignments == (("ProtectHome", "yes"), ("PrivateTmp", "yes"))
    (blamed,) = done.first_blamed
    assert [(line.line, line.value) for line in blamed.lines] == [(3, "0")]
    assert unit.is_active()
    assert left_behind(unit) == []


def test_a_drop_in_without_which_the_same_goes_wrong_is_not_to_blame(unit: Unit) -> None:
    done = relaxed(unit, "[Service]\nPrivateTmp=yes\n", "false", once=True)

    assert not done.verdict.fits
    assert done.innocent
    assert done.blamed == ()
