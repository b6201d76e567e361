"""The services of ``fixtures/services``: a file each, with the program, what is there before, and what it needs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from profiler.machine import Machine
from profiler.unit.unit import Unit

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "services"
PROGRAMS = "/usr/local/lib/tailor-services"


@dataclass(frozen=True)
class Needs:
    """The least that a service needs: all else can be denied. ``relaxed`` are yes/no directives, by their names."""

    capabilities: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()
    relaxed: frozenset[str] = frozenset()
    writable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Service:
    """One service. ``decoy_for`` is what it seems to need and does not; ``explained`` why a difference is right.

    ``quick`` ones are studied by every run of the tests, all of them by ``make report`` and ``make oracle``.
    """

    name: str
    about: str
    program: str
    needs: Needs
    unit_lines: tuple[str, ...] = ()
    prepare: str = ""
    decoy_for: str = ""
    explained: str = ""
    quick: bool = False

    @property
    def unit_name(self) -> str:
        """Its unit."""
        return f"tailor-{self.name}.service"

    @property
    def command(self) -> str:
        """The command line of its main process."""
        return f"/usr/bin/python3 -IS {PROGRAMS}/{self.name}.py"

    def stage(self, machine: Machine) -> Unit:
        """Put program and unit on a machine, make what is there before the first start, and return the unit."""
        place = machine.path(PROGRAMS)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{self.name}.py").write_text(self.program, encoding="utf-8")
        lines = ["[Service]", "Type=oneshot", "RemainAfterExit=yes", f"ExecStart={self.command}", *self.unit_lines]
        machine.path(f"/run/systemd/system/{self.unit_name}").write_text("\n".join(lines) + "\n", encoding="utf-8")
        machine.run(["systemctl", "daemon-reload"])
        self.make_ready(machine)
        return Unit.load(machine, self.unit_name)

    def make_ready(self, machine: Machine) -> None:
        """Make what the service finds when it starts, anew."""
        machine.run(["sh", "-euc", self.prepare])

    def remove(self, machine: Machine) -> None:
        """Stop the service and take its unit away, with the directories that systemd made for it."""
        machine.run(["systemctl", "stop", self.unit_name], check=False)
        machine.run(["systemctl", "clean", "--what=all", self.unit_name], check=False)
        machine.path(f"/run/systemd/system/{self.unit_name}").unlink(missing_ok=True)


def load(path: Path) -> Service:
    """Read one file."""
    described = tomllib.loads(path.read_text(encoding="utf-8"))
    return Service(
        name=path.stem,
        about=described["about"],
        program=described["program"],
        needs=Needs(*(frozenset(described[key]) for key in ("capabilities", "families", "relaxed", "writable"))),
        unit_lines=tuple(described.get("unit", ())),
        prepare=described.get("prepare", ""),
        decoy_for=described.get("decoy_for", ""),
        explained=described.get("explained", ""),
        quick=described.get("quick", False),
    )


SERVICES = tuple(map(load, sorted(FOLDER.glob("*.toml"))))
