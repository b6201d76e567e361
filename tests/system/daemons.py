"""The real daemons of ``fixtures/daemons``: a folder each, with what to install, which unit to study, how to use it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

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


ALL_DAEMONS = load_all()

DAEMONS = tuple(daemon for daemon in ALL_DAEMONS if not daemon.slow)
"""Those that every run of the tests studies."""
