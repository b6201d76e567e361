"""What a twin could leave behind, looked for on the whole machine but told apart by the twin's own state directory."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Leftovers:
    """Everything on this machine that bears the marks of twins with one state directory."""

    processes: frozenset[str]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    files: frozenset[str]

    def __bool__(self) -> bool:
        return any((self.processes, self.mounts, self.cgroups, self.files))


def look(state: Path, names: frozenset[str] = frozenset()) -> Leftovers:
    """Return what is there now of twins whose state is in ``state``, or that have these names."""
    marks = [os.fsencode(str(state)), *(name.encode() for name in names)]
    return Leftovers(
        processes=frozenset(_processes(marks)),
        mounts=frozenset(_mounts(marks)),
        cgroups=frozenset(_cgroups({*names, *_twins(state)})),
        files=frozenset(_files(state)),
    )


def none_within(seconds: float, state: Path, names: frozenset[str] = frozenset()) -> Leftovers:
    """Wait until nothing is left, at most ``seconds``, and return what is left then."""
    deadline = time.monotonic() + seconds
    while (found := look(state, names)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _twins(state: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [path.name for path in (state / "twins").iterdir() if path.is_dir()]
    return []


def _files(state: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [str(path) for path in (state / "twins").iterdir() if path.name != ".lock"]
    return []


def _processes(marks: list[bytes]) -> list[str]:
    """Processes that name a mark on their command line, or see one in their mounts."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            mounts = (entry / "mountinfo").read_bytes()
            if b"pytest" in command:
                continue
            if any(mark in command or mark in mounts for mark in marks):
                found.append(f"{entry.name} {command!r}")
    return found


def _mounts(marks: list[bytes]) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_bytes().split(b"\n")
    return [os.fsdecode(line) for line in lines if any(mark in line for mark in marks)]


def _cgroups(names: set[str]) -> list[str]:
    found = []
    for directory, below, _ in os.walk("/sys/fs/cgroup"):
        found += [f"{directory}/{name}" for name in below if any(mark in name for mark in names)]
    return found
