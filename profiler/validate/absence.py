"""What a machine does not have outside of a service's sandbox, so that no sandbox can be blamed for not finding it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import PurePosixPath

from policy.unit_settings import UnitSettings
from profiler.machine import Machine
from profiler.twin import inside

OTHER_VIEWS = frozenset(
    (
        "RootDirectory",
        "RootImage",
        "BindPaths",
        "BindReadOnlyPaths",
        "TemporaryFileSystem",
        "MountImages",
        "ExtensionImages",
        "ExtensionDirectories",
    )
)
"""Settings of a unit's own after which its paths are not those of the machine (systemd.exec(5))."""

PROCESSES = "/proc/"
"""Facts write processes by what they are to the service (``/proc/own``), which no machine has."""


def absent_on(machine: Machine, unit: UnitSettings) -> Callable[[str], bool]:
    """Return a function that says of an absolute path whether the machine has nothing there; never if unknown."""
    if any(name in OTHER_VIEWS and value.strip() for name, value in unit.assignments):
        return lambda _path: False
    return lambda path: not path.startswith(PROCESSES) and not _exists(machine, path)


def _exists(machine: Machine, path: str) -> bool:
    name = PurePosixPath(path)
    try:
        return os.path.lexists(inside.resolve(machine.root, str(name.parent)) / name.name)
    except (OSError, ValueError):
        return True  # not known to be absent
