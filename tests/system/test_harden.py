"""The main job on real daemons: record, cut, replay, validate under a real systemd."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable

import pytest

from tests.system.conftest import Hardened, unit_tailor
from tests.system.daemons import DAEMONS

NAMES = [daemon.name for daemon in DAEMONS]


@pytest.mark.parametrize("name", NAMES)
def test_a_daemon_works_under_the_drop_in_cut_for_it(hardened: Callable[[str], Hardened], name: str) -> None:
    run = hardened(name).finished

    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"^\d+ facts replayed, 0 blocked$", run.stdout, re.MULTILINE)
    assert "works under the drop-in: nothing was blocked" in run.stdout
    assert "next, to install it for good:" in run.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_exposure_falls(hardened: Callable[[str], Hardened], name: str) -> None:
    before, after = exposures(hardened(name))

    assert after < before or before <= 1.6


def test_a_root_daemon_on_a_low_port_reaches_the_floor_of_its_kind(hardened: Callable[[str], Hardened]) -> None:
    before, after = exposures(hardened("nginx"))

    assert before == 9.6
    assert after <= 2.6  # 2.4 with Debian 12's nginx; Debian 13's also binds its workers to processors


@pytest.mark.parametrize("name", NAMES)
def test_generating_and_replaying_again_gives_the_same_bytes_and_verdict(
    hardened: Callable[[str], Hardened], name: str
) -> None:
    done = hardened(name)

    generated = unit_tailor("generate", done.profile_path)
    replayed = unit_tailor("replay", done.profile_path, done.drop_in_path)

    assert generated.stdout == done.drop_in_path.read_text()
    assert replayed.returncode == 0, replayed.stdout
    assert re.search(r"^\d+ facts replayed, 0 blocked$", replayed.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_the_profile_is_private(hardened: Callable[[str], Hardened], name: str) -> None:
    assert stat.S_IMODE(hardened(name).profile_path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", NAMES)
def test_nothing_was_lost_and_the_whole_life_was_seen(hardened: Callable[[str], Hardened], name: str) -> None:
    header = hardened(name).profile.header

    assert header.losses == ()
    assert {phase.value for phase in header.phases} >= {"start-up", "serving", "stop"}
    assert header.workload.value == "ok"


def exposures(done: Hardened) -> tuple[float, float]:
    """Return the levels that ``harden`` printed."""
    match = re.search(r"^exposure: ([\d.]+) before, ([\d.]+) after", done.finished.stdout, re.MULTILINE)
    assert match, done.finished.stdout + done.finished.stderr
    return float(match[1]), float(match[2])
