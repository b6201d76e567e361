"""What of ours is installed for a unit: a drop-in for good, one on trial, what an interrupted command left.

A drop-in for good has a *home*: the unit, or, for all instances of a template, the template.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from policy import drop_in
from policy.drop_in import DropInError
from policy.template import template_of
from profiler.errors import ToolError
from profiler.machine import Machine
from profiler.unit.names import full_name, is_template
from profiler.unit.unit import OUR_DROP_IN, RUNNING, Unit
from profiler.validate.guard import STATE, note_path
from profiler.validate.placing import read

PERMANENT = "/etc/systemd/system"
"""Where drop-ins of the administrator are (systemd.unit(5))."""

ON_TRIAL = "/run/systemd/system.control"
"""Where a file wins over one of the same name in /etc, and is gone at reboot (systemd.unit(5), "Unit File Load Path").
So a drop-in on trial replaces an installed one without touching it."""


@dataclass(frozen=True)
class Pending:
    """A drop-in that goes away by itself unless it is confirmed: ``deadline`` in seconds since the epoch.

    ``home`` is the unit or template that it is meant for.
    """

    record: str
    timer: str
    deadline: float
    home: str


@dataclass(frozen=True)
class Installed:
    """The contents of our files for a unit; None where there is none. ``general`` is that of the unit's template."""

    unit: str
    permanent: bytes | None = None
    trial: bytes | None = None
    general: bytes | None = None
    pending: Pending | None = None
    interrupted: bool = False

    @property
    def edited(self) -> bool:
        """Whether the permanent drop-in is not as this tool wrote it: somebody changed it, or wrote it."""
        return self.edited_at(self.unit)

    def at(self, home: str) -> bytes | None:
        """Return what is there for good at a home: the unit's own or its template's."""
        return self.permanent if home == self.unit else self.general

    def edited_at(self, home: str) -> bool:
        """Whether what is there for good at a home is not as this tool wrote it."""
        data = self.at(home)
        return data is not None and is_edited(data)

    @property
    def in_force(self) -> bytes | None:
        """What systemd reads: of two files with one name it takes that of the instance, not that of its template."""
        return next((data for data in (self.trial, self.permanent, self.general) if data is not None), None)


def permanent_path(home: str) -> str:
    """Return where the drop-in of a unit, or for all instances of a template, is for good."""
    return f"{PERMANENT}/{home}.d/{OUR_DROP_IN}"


def trial_path(unit: str) -> str:
    """Return where a unit's drop-in is until it is confirmed."""
    return f"{ON_TRIAL}/{unit}.d/{OUR_DROP_IN}"


def is_edited(data: bytes) -> bool:
    """Whether a drop-in with the name of ours differs from what this tool wrote: its digest says so, or is missing."""
    try:
        return drop_in.parse(data).digest_matches() is not True
    except DropInError:
        return True


def installed(unit: Unit) -> Installed:
    """Return what of ours there is for a unit. Raises ToolError if it cannot be read."""
    machine, template = unit.machine, template_of(unit.name)
    return Installed(
        unit.name,
        read(machine, permanent_path(unit.name)),
        read(machine, trial_path(unit.name)),
        read(machine, permanent_path(template)) if template else None,
        _pending(machine, unit.name),
        machine.path(note_path(unit.name)).exists(),
    )


def _pending(machine: Machine, unit: str) -> Pending | None:
    start = f"{unit}.pending-"
    directory = machine.path(STATE)
    names = sorted(name for name in os.listdir(directory) if name.startswith(start)) if directory.is_dir() else []  # noqa: PTH208
    for name in names:
        text = read(machine, f"{STATE}/{name}")
        try:
            found = json.loads(text or b"")
            deadline, home = float(found["deadline"]), str(found.get("home", unit))
        except (ValueError, KeyError, TypeError):
            raise ToolError(
                f"the record {STATE}/{name} cannot be read", hint=f"run: unit-tailor revert {unit}"
            ) from None
        return Pending(f"{STATE}/{name}", timer_name(name.removeprefix(start)), deadline, home)
    return None


def waiting_with(unit: Unit) -> list[Unit]:
    """Return the other units that wait for the confirmation of the same drop-in, one for all instances of a template.

    Raises ToolError as ``installed``.
    """
    own = _pending(unit.machine, unit.name)
    if own is None or own.home == unit.name:
        return []
    names = {path.name.partition(".pending-")[0] for path in unit.machine.path(STATE).glob("*.pending-*")}
    others = sorted(name for name in names - {unit.name} if template_of(name) == own.home)
    found = {name: _pending(unit.machine, name) for name in others}
    return [Unit(unit.machine, name) for name, one in found.items() if one is not None and one.home == own.home]


def pending_path(unit: str, token: str) -> str:
    """Return where it is recorded that a drop-in waits for its confirmation."""
    return f"{STATE}/{unit}.pending-{token}"


def timer_name(token: str) -> str:
    """Return the timer that takes an unconfirmed drop-in away."""
    return f"unit-tailor-revert-{token}.timer"


def units_with_ours(machine: Machine) -> list[str]:
    """Return the names of all units and templates for which there is something of ours, sorted."""
    found = set()
    for place in (PERMANENT, ON_TRIAL, "/run/systemd/system"):
        for path in machine.path(place).glob("*.service.d/zz*-unit-tailor*.conf"):
            found.add(path.parent.name.removesuffix(".d"))
    for path in machine.path(STATE).glob("*.note"):
        found.add(path.name.removesuffix(".note"))
    return sorted(name if is_template(name) else full_name(name) for name in found)


def running_instances(machine: Machine, template: str) -> list[str]:
    """Return the instances of a template that run, or are about to, sorted."""
    states = f"--state={','.join(sorted(RUNNING))}"
    pattern = f"{template.removesuffix('.service')}*.service"
    arguments = ["systemctl", "list-units", "--plain", "--no-legend", "--no-pager", states, "--", pattern]
    lines = machine.run(arguments, check=False).stdout.splitlines()
    return sorted(line.split()[0] for line in lines if line.split())
