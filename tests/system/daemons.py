"""The real daemons of ``fixtures/daemons``: a folder each, with what to install, which unit to study, how to use it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from policy.service_profile import Profile
from profiler import twin
from profiler.record import record_unit
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from tests.twin_fixtures import CHECKOUT

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "daemons"


@dataclass(frozen=True)
class Daemon:
    """One daemon, its workload, and a second use that is never recorded; both are shell commands.

    ``slow`` daemons are left to ``make report``.
    """

    name: str
    unit: str
    packages: tuple[str, ...]
    workload: str
    second_use: str
    slow: bool = False

    @property
    def options(self) -> list[str]:
        """The options of the command line that install it in a twin and use it."""
        packages = [word for package in self.packages for word in ("--package", package)]
        return ["--twin", *packages, "--workload", self.workload]


def load(folder: Path) -> Daemon:
    """Read a daemon's folder."""
    described = tomllib.loads((folder / "daemon.toml").read_text(encoding="utf-8"))
    return Daemon(
        folder.name,
        described["unit"],
        tuple(described["packages"]),
        f"sh '{folder / described['workload']}'",
        f"sh '{folder / described['second_use']}'",
        described.get("slow", False),
    )


def load_all(folder: Path = FOLDER) -> tuple[Daemon, ...]:
    """Read every daemon below a folder, by name."""
    return tuple(load(path.parent) for path in sorted(folder.glob("*/daemon.toml")))


def record_daemon(name: str) -> Profile:
    """Return what a daemon does in a fresh twin with its workload."""
    daemon = load(FOLDER / name)
    with twin.up(packages=daemon.packages, visible=CHECKOUT) as machine:
        unit = Unit.load(machine, daemon.unit)
        recorded = record_unit(unit, workload=Workload(daemon.workload))
    assert recorded.error is None
    return recorded.profile


ALL_DAEMONS = load_all()

DAEMONS = tuple(daemon for daemon in ALL_DAEMONS if not daemon.slow)
"""Those that every run of the tests studies."""
