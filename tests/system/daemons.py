"""The real daemons of ``fixtures/daemons``: a folder each, with what to install, which unit to study, how to use it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "daemons"


@dataclass(frozen=True)
class Daemon:
    """One daemon and its workload."""

    name: str
    unit: str
    packages: tuple[str, ...]
    workload: str

    @property
    def options(self) -> list[str]:
        """The options of the command line that install it in a twin and use it."""
        packages = [word for package in self.packages for word in ("--package", package)]
        return ["--twin", *packages, "--workload", self.workload]


def load(folder: Path) -> Daemon:
    """Read a daemon's folder."""
    described = tomllib.loads((folder / "daemon.toml").read_text(encoding="utf-8"))
    script = folder / described["workload"]
    return Daemon(folder.name, described["unit"], tuple(described["packages"]), f"sh '{script}'")


DAEMONS = tuple(load(path.parent) for path in sorted(FOLDER.glob("*/daemon.toml")))
