"""Where systemd puts the processes of a unit."""

from __future__ import annotations

from collections.abc import Mapping

from profiler.unit.unit import Unit


def control_group(unit: Unit, properties: Mapping[str, str] | None = None) -> str:
    """Return the unit's control group; of one that does not run, where it will be (systemd.slice(5)).

    ``properties`` are those of the unit, if they are known already. In a name of a slice every dash stands for a level:
    a-b.slice is in a.slice.
    """
    found = properties or unit.systemctl.show(unit.name, ["ControlGroup", "Slice"])
    if found["ControlGroup"]:
        return found["ControlGroup"]
    return f"{slice_path(found['Slice'] or 'system.slice')}/{unit.name}"


def slice_path(name: str) -> str:
    """Return the control group of a slice; the root slice is ``-.slice``."""
    parts = name.removesuffix(".slice").split("-")
    if parts == ["", ""]:
        return ""
    return "".join(f"/{'-'.join(parts[: count + 1])}.slice" for count in range(len(parts)))
