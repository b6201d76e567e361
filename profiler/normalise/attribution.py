"""Which of PID 1's children belong to the unit under study, and which of its Exec lines each of them runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from policy.behaviour import Phase
from policy.unit_settings import ExecLine
from profiler.normalise.byte_paths import directory_of

CONTROL_GROUPS = b"/sys/fs/cgroup"
"""Where the groups are as services see them (cgroups(7); only with version 2 directly)."""

EXECUTOR = b"systemd-executor"
"""The program that PID 1 of systemd 254 and later starts to set up the sandbox, before the unit's own program."""

_LIFE = ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost")
_PREFERRED = {
    Phase.START_UP: _LIFE[:4],
    Phase.SERVING: ("ExecStart", *_LIFE[:2], *_LIFE[3:]),
    Phase.RELOAD: ("ExecReload",),
    Phase.STOP: _LIFE[5:],
}  # where a program stands in several lines, the phase tells which one it is


@dataclass(frozen=True)
class Scope:
    """What is studied: a unit, or with an empty name everything that is traced.

    ``control_group`` is the unit's ControlGroup= (such as ``/system.slice/nginx.service``), empty if not known yet.
    ``group_of_root`` is where it is or will be if it is root's: PID 1 makes it, and gives it to nobody but the unit's
    user (``cg_set_access`` in systemd's ``src/shared/cgroup-setup.c``). It is gone as soon as the service is.
    """

    unit: str = ""
    control_group: str = ""
    exec_lines: tuple[ExecLine, ...] = ()
    group_of_root: str = ""

    @property
    def is_command(self) -> bool:
        """Whether a command is recorded, not a unit: everything traced belongs to it."""
        return not self.unit

    def includes(self, control_group: bytes) -> bool:
        """Whether a cgroup, as a path below any mount or in /proc/PID/cgroup, is the unit's or below it.

        The path may have parts of other places in front: the mount point, the cgroups of a container.
        """
        path = control_group.rstrip(b"/") + b"/"
        if self.control_group:
            return os.fsencode(self.control_group).rstrip(b"/") + b"/" in path
        parts = path.split(b"/")
        manager = any(part.startswith(b"user@") for part in parts)
        name = os.fsencode(self.unit)
        return not manager and bool({name, b"_" + name} & set(parts))  # _: cg_escape() of systemd


def control_group_of(opened: bytes) -> bytes | None:
    """Return the cgroup whose cgroup.procs file this is, ``None`` if it is no such file."""
    return directory_of(opened) if opened.endswith(b"/cgroup.procs") else None


class ExecLines:
    """Matches programs to the Exec lines of a unit. Lines are used in their order, and again from the first."""

    def __init__(self, lines: Iterable[ExecLine]) -> None:
        self._lines = tuple(lines)
        self._used: set[int] = set()
        self._again = False

    def line_of(self, program: bytes, resolved: bytes, phase: Phase) -> str:
        """Return the line that runs this program in this phase: its kind, or ``ExecStart`` if none is known to.

        In front stands ``+`` or ``!`` if the line has that prefix: the unit's sandbox, or its user, is not for it.
        ``program`` is the path as PID 1's child spelled it, ``resolved`` the same without symlinks.
        """
        names = {os.fsdecode(program), os.fsdecode(resolved)}
        bare = {name.rpartition("/")[2] for name in names}
        candidates = [
            index
            for index, line in enumerate(self._lines)
            if line.program in names or ("/" not in line.program and line.program in bare)
        ]
        if not candidates:
            return "ExecStart"
        fresh = [index for index in candidates if index not in self._used]
        if not fresh:
            self._used.difference_update(candidates)
            fresh = candidates
            # A service that was found running is started again when it has been stopped.
            self._again = self._again or phase is Phase.STOP
        preferred = _PREFERRED[Phase.START_UP if self._again else phase]
        best = min(fresh, key=lambda index: (_rank(self._lines[index].kind, preferred), index))
        of_this_phase = [index for index in candidates if self._lines[index].kind in preferred]
        if of_this_phase and best not in of_this_phase:
            # Every line of this phase has run: it starts again (a restart, a second reload).
            best = min(candidates, key=lambda index: (_rank(self._lines[index].kind, preferred), index))
        self._used.add(best)
        line = self._lines[best]
        return next((mark for mark in "+!" if mark in line.prefixes), "") + line.kind


def _rank(kind: str, preferred: tuple[str, ...]) -> int:
    return preferred.index(kind) if kind in preferred else len(preferred) + (_LIFE.index(kind) if kind in _LIFE else 99)
