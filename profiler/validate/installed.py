"""What of ours is installed for a unit: a drop-in for good, one on trial, what an interrupted command left."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from policy import drop_in
from policy.drop_in import DropInError
from profiler.errors import ToolError
from profiler.machine import Machine
from profiler.unit.names import full_name
from profiler.unit.unit import OUR_DROP_IN, Unit
from profiler.validate.guard import STATE, note_path
from profiler.validate.placing import read

PERMANENT = "/etc/systemd/system"
"""Where drop-ins of the administrator are (systemd.unit(5))."""

ON_TRIAL = "/run/systemd/system.control"
"""Where a file wins over one of the same name in /etc, and is gone at reboot (systemd.unit(5), "Unit File Load Path").
So a drop-in on trial replaces an installed one without touching it."""


@dataclass(frozen=True)
class Pending:
    """A drop-in that goes away by itself unless it is confirmed: ``deadline`` in seconds since the epoch."""

    record: str
    timer: str
    deadline: float


@dataclass(frozen=True)
class Installed:
    """The contents of our files for a unit; None where there is none."""

    unit: str
    permanent: bytes | None = None
    trial: bytes | None = None
    pending: Pending | None = None
    interrupted: bool = False

    @property
    def edited(self) -> bool:
        """Whether the permanent drop-in is not as this tool wrote it: somebody changed it, or wrote it."""
        return self.permanent is not None and is_edited(self.permanent)

    @property
    def in_force(self) -> bytes | None:
        """What systemd reads."""
        return self.permanent if self.trial is None else self.trial


def permanent_path(unit: str) -> str:
    """Return where a unit's drop-in is for good."""
    return f"{PERMANENT}/{unit}.d/{OUR_DROP_IN}"


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
    machine = unit.machine
    return Installed(
        unit.name,
        read(machine, permanent_path(unit.name)),
        read(machine, trial_path(unit.name)),
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
            deadline = float(json.loads(text or b"")["deadline"])
        except (ValueError, KeyError, TypeError):
            raise ToolError(
                f"the record {STATE}/{name} cannot be read", hint=f"run: unit-tailor revert {unit}"
            ) from None
        return Pending(f"{STATE}/{name}", timer_name(name.removeprefix(start)), deadline)
    return None


def pending_path(unit: str, token: str) -> str:
    """Return where it is recorded that a drop-in waits for its confirmation."""
    return f"{STATE}/{unit}.pending-{token}"


def timer_name(token: str) -> str:
    """Return the timer that takes an unconfirmed drop-in away."""
    return f"unit-tailor-revert-{token}.timer"


def units_with_ours(machine: Machine) -> list[str]:
    """Return the names of all units for which there is something of ours, sorted."""
    found = set()
    for place in (PERMANENT, ON_TRIAL, "/run/systemd/system"):
        for path in machine.path(place).glob("*.service.d/zz*-unit-tailor*.conf"):
            found.add(path.parent.name.removesuffix(".d"))
    for path in machine.path(STATE).glob("*.note"):
        found.add(path.name.removesuffix(".note"))
    return sorted(full_name(name) for name in found)
