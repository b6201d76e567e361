"""A drop-in made wrong in one place: replay names the line, validate sees it fail, puts the service back, and relaxing
finds the way back. ``make faults`` tries all of them and writes docs/faults.md; ``make test`` a few."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from policy import drop_in
from policy.replay import replay
from profiler.host import read_host_facts
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.validation import validate
from tests.faults.fault import Fault
from tests.faults.faults import FAULTS, USES
from tests.faults.run import harden
from tests.faults.trial import Study, try_fault
from tests.requirements import require
from tests.system.conftest import Hardened, is_root, unit_tailor
from tests.twin_fixtures import TwinWith

BY_MODEL = [fault for fault in FAULTS if fault.daemon == "nginx" and fault.directive != "LimitNOFILE"]
QUICK = {("nginx", "capability"), ("nginx", "hidden file")}
"""What ``make test`` tries by restarts as well."""


@pytest.mark.parametrize("fault", BY_MODEL, ids=str)
def test_replay_names_the_faulty_line(hardened: Callable[[str], Hardened], fault: Fault) -> None:
    done = hardened("nginx")
    faulty = done.directory / "faulty.conf"
    faulty.write_text(fault.seeded(drop_in.parse(done.drop_in_path.read_bytes())).render())

    replayed = unit_tailor("replay", done.profile_path, faulty)

    assert replayed.returncode == 3, replayed.stdout + replayed.stderr
    assert fault.blamed_directive in replayed.stdout


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory, hardened: Callable[[str], Hardened]) -> Callable[[str], Study]:
    """Return a function that gives a use of a daemon with the drop-in that was cut for it."""
    done: dict[str, Study] = {}

    def study(name: str) -> Study:
        require(is_root(), "hardening a service in a twin needs root")
        if name not in done:
            use = next(use for use in USES if use.name == name)
            if name == "nginx":
                cut = hardened(name)
                done[name] = Study(use, drop_in.parse(cut.drop_in_path.read_bytes()), cut.profile)
            else:
                done[name] = harden(use, tmp_path_factory.mktemp("study"))
        return done[name]

    return study


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault, marks=() if (fault.daemon, fault.kind) in QUICK else pytest.mark.long, id=f"{fault.daemon}: {fault}"
        )
        for fault in FAULTS
    ],
)
def test_validate_sees_it_names_the_line_puts_back_and_relaxes_by_the_least(
    studies: Callable[[str], Study], fault: Fault
) -> None:
    outcome = try_fault(fault, studies(fault.daemon))

    assert outcome.passed, outcome


def test_the_verdict_on_a_generic_drop_in_is_what_a_restart_shows(
    hardened: Callable[[str], Hardened], twin_with: TwinWith, repository: Path
) -> None:
    done = hardened("nginx")
    machine = twin_with(*done.daemon.packages)
    generic = drop_in.parse((repository / "fixtures" / "generic-nginx.conf").read_bytes())
    host = read_host_facts(machine)

    replayed = replay(done.profile, generic.assignments, host)
    verdict = validate(
        Unit.load(machine, done.daemon.unit),
        generic.render(),
        generic.assignments,
        host,
        workload=Workload(done.daemon.workload),
        before=done.profile,
    )

    assert bool(replayed.blocked) == (not verdict.fits), (replayed.blocked, verdict)
