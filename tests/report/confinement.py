"""What a running process is confined to, as the kernel has it: capabilities, system calls, writable directories."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from policy.capability_names import CAPABILITIES
from profiler.machine import Machine
from tests.report.kernel_filter import calls_let_through

NOT_FILES = frozenset({"proc", "sys", "dev"})
"""Directories of the root that hold the kernel's own files: nothing there is a place to leave anything."""


@dataclass(frozen=True)
class Confinement:
    """Of the main process of a service: its capability bound, calls let through, directories it can write in."""

    capabilities: frozenset[str]
    system_calls: frozenset[str]
    writable_directories: int


def confinement(machine: Machine, inner_pid: int) -> Confinement:
    """Return the confinement of a process, by its number inside of the machine. Raises OSError if it is gone."""
    pid = outer_pid(machine, inner_pid)
    bound = int(_status(pid)["CapBnd"], 16)
    held = frozenset(name for number, name in enumerate(CAPABILITIES) if bound >> number & 1)
    return Confinement(held, calls_let_through(pid), writable_directories(pid))


def outer_pid(machine: Machine, inner_pid: int) -> int:
    """Return the number by which this process knows a process of the machine. Raises ProcessLookupError."""
    namespace = Path(f"/proc/{machine.leader}/ns/pid").readlink()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            numbers = _status(int(place.name)).get("NSpid", "").split()
            if numbers and int(numbers[-1]) == inner_pid and (place / "ns" / "pid").readlink() == namespace:
                return int(place.name)
        except OSError:
            continue
    raise ProcessLookupError(f"no process {inner_pid} on {machine.name}")


def writable_directories(pid: int) -> int:
    """Count the directories in which a process can make and remove files: by mount, owner, group and mode."""
    status = _status(pid)
    user = int(status["Uid"].split()[1])
    groups = {int(status["Gid"].split()[1]), *map(int, status["Groups"].split())}
    root = Path(f"/proc/{pid}/root")
    count, places = 0, [os.fspath(root)]
    while places:
        place = places.pop()
        try:
            count += _is_writable(place, user, groups)
            with os.scandir(place) as entries:
                for entry in entries:
                    at_root = place == os.fspath(root)
                    if entry.is_dir(follow_symlinks=False) and not (at_root and entry.name in NOT_FILES):
                        places.append(entry.path)
        except OSError:  # gone meanwhile, or a file system that answers nobody
            continue
    return count


def _is_writable(place: str, user: int, groups: set[int]) -> bool:
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return False
    found = Path(place).stat()
    if user == 0:
        return True
    if found.st_uid == user:
        return bool(found.st_mode & 0o200)
    return bool(found.st_mode & (0o020 if found.st_gid in groups else 0o002))


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
