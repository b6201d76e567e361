"""A drop-in made wrong in one place: replay names the line, validate sees it fail and puts the service back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from policy import drop_in
from policy.drop_in import DropIn, Setting
from policy.replay import replay
from profiler.host import read_host_facts
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.validation import validate
from tests.system.conftest import Hardened, unit_tailor
from tests.twin_fixtures import TwinWith


@dataclass(frozen=True)
class Fault:
    """Takes ``word`` out of every assignment of a directive."""

    directive: str
    word: str

    def __str__(self) -> str:
        return f"{self.directive} without {self.word}"

    def seeded(self, sound: DropIn) -> DropIn:
        """Return the drop-in with the fault; it must change something."""
        settings = tuple(self._without(setting) for setting in sound.settings)
        assert settings != sound.settings, f"{self} is not in the drop-in"
        return replace(sound, settings=tuple(setting for setting in settings if setting is not None))

    def _without(self, setting: Setting) -> Setting | None:
        words = setting.value.split()
        if setting.name != self.directive or not {self.word, f'"{self.word}"'} & set(words):
            return setting
        kept = [word for word in words if word.strip('"') != self.word]
        return replace(setting, value=" ".join(kept)) if kept else None


@dataclass(frozen=True)
class Group(Fault):
    """Denies a group of system calls that the service needs."""

    def seeded(self, sound: DropIn) -> DropIn:
        """Return the drop-in with one more line."""
        return replace(sound, settings=(*sound.settings, Setting(self.directive, f"~{self.word}")))


FAULTS = [
    Fault("ReadWritePaths", "/var/lib/nginx"),
    Fault("ReadWritePaths", "/var/log/nginx"),
    Fault("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"),
    Fault("CapabilityBoundingSet", "CAP_SETUID"),
    Fault("CapabilityBoundingSet", "CAP_CHOWN"),
    Fault("RestrictAddressFamilies", "AF_INET"),
    Fault("RestrictAddressFamilies", "AF_INET6"),
    Group("SystemCallFilter", "@network-io"),
    Group("SystemCallFilter", "@io-event"),
    Fault("SystemCallFilter", "setuid"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_replay_names_the_faulty_line(hardened: Callable[[str], Hardened], fault: Fault) -> None:
    done = hardened("nginx")
    faulty = done.directory / "faulty.conf"
    faulty.write_text(fault.seeded(drop_in.parse(done.drop_in_path.read_bytes())).render())

    replayed = unit_tailor("replay", done.profile_path, faulty)

    assert replayed.returncode == 3, replayed.stdout + replayed.stderr
    assert fault.directive in replayed.stdout or fault.directive == "ReadWritePaths"
    blamed = {
        "ReadWritePaths": "ProtectSystem=strict",
        "SystemCallFilter": "SystemCallFilter",
    }.get(fault.directive, fault.directive)
    assert blamed in replayed.stdout


QUICK = {"ReadWritePaths", "RestrictAddressFamilies"}
"""Directives whose faults ``make test`` tries by a restart as well; the others take minutes together."""


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=() if fault.directive in QUICK or index % 2 == 0 else pytest.mark.long)
        for index, fault in enumerate(FAULTS)
    ],
    ids=str,
)
def test_validate_sees_it_and_puts_the_service_back(
    hardened: Callable[[str], Hardened], twin_with: TwinWith, fault: Fault
) -> None:
    done = hardened("nginx")
    machine = twin_with(*done.daemon.packages)
    unit = Unit.load(machine, done.daemon.unit)
    unit.systemctl.change("restart", unit.name)
    # What a first start does is done again: directories are made and given away.
    machine.run(["find", "/var/lib/nginx", "-mindepth", "1", "-delete"])
    before = machine.run(["systemctl", "cat", unit.name]).stdout
    faulty = fault.seeded(drop_in.parse(done.drop_in_path.read_bytes()))

    verdict = validate(
        unit,
        faulty.render(),
        faulty.assignments,
        read_host_facts(machine),
        workload=Workload(done.daemon.workload),
        before=done.profile,
    )

    assert not verdict.fits
    assert unit.is_active()
    assert machine.run(["systemctl", "cat", unit.name]).stdout == before
    assert machine.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1/"]).stdout == "200"
    assert left_behind(unit) == []


def left_behind(unit: Unit) -> list[str]:
    """Return what of ours is still on the machine."""
    found = unit.machine.run(
        ["find", "/run/unit-tailor", "/run/systemd/system", "-name", f"*{unit.name}*"], check=False
    )
    guards = unit.machine.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "unit-tailor-guard-*"])
    return [*found.stdout.splitlines(), *guards.stdout.splitlines()]


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
