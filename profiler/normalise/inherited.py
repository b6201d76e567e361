"""What a service that runs already brings along: open files, mapped libraries, the calls that it waits in.

None of it is an event any more. It is read from /proc, and the facts are marked as inferred: that a file is open says
that it was opened once, not when, nor by whom.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from policy.behaviour import Access, Behaviour, Fact, FileKind, Known, PathUse, Phase, SystemCall
from profiler.machine import Machine
from profiler.normalise.attribution import Scope
from profiler.normalise.byte_paths import is_file
from profiler.normalise.owner import kind_of
from profiler.recorders.ebpf.descriptors import numbers

_ACCESS = (Access.READ, Access.WRITE, Access.READ_WRITE, Access.READ)
_MAPPING = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ (\d+) +(/.*)$")
_DELETED = b" (deleted)"
_PROCESS = re.compile(r"/proc/\d+(?=/|$)")


def inherited_facts(machine: Machine, scope: Scope) -> tuple[Fact, ...]:
    """Return what the unit's living processes show of their past. What is gone meanwhile is left out."""
    facts: set[Fact] = set()
    for process in _members(machine, scope):
        user = _user(process)
        for behaviour in (*_open_files(process), *_mapped_files(process), *_directory(process), *_calls(process)):
            evidence = f"{_program(process)}: found in /proc"
            facts.add(Fact(behaviour, phase=Phase.SERVING, user=user, known=Known.INFERRED, evidence=evidence))
    return tuple(facts)


def _members(machine: Machine, scope: Scope) -> list[Path]:
    found = []
    for process in machine.path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        groups = _read(process / "cgroup").splitlines()
        if any(scope.includes(line.split(b":", 2)[2]) for line in groups if line.count(b":") >= 2):
            found.append(process)
    return found


def _open_files(process: Path) -> list[Behaviour]:
    behaviours: list[Behaviour] = []
    for entry in _entries(process / "fd"):
        target = _link(entry)
        if target is None or not is_file(target) or target.endswith(_DELETED):
            continue
        flags = re.search(rb"^flags:\s*([0-7]+)", _read(process / "fdinfo" / entry.name), re.MULTILINE)
        access = _ACCESS[int(flags.group(1), 8) & 3] if flags else Access.READ
        behaviours.append(_use(process, target, access))
    return behaviours


def _mapped_files(process: Path) -> list[Behaviour]:
    behaviours: list[Behaviour] = []
    for line in _read(process / "maps").splitlines():
        match = _MAPPING.match(line)
        if match is None or b"x" not in match.group(1) or match.group(3).endswith(_DELETED):
            continue
        behaviours.append(_use(process, match.group(3), Access.MAP_EXECUTE))
        behaviours.append(_use(process, match.group(3), Access.READ))
    executable = _link(process / "exe")
    if executable is not None and not executable.endswith(_DELETED):
        behaviours.append(_use(process, executable, Access.EXECUTE))
    return behaviours


def _directory(process: Path) -> list[Behaviour]:
    current = _link(process / "cwd")
    return [_use(process, current, Access.LOOKUP)] if current is not None and current.startswith(b"/") else []


def _calls(process: Path) -> list[Behaviour]:
    # The calls that threads wait in; they may never return while anybody watches. x86-64 only: elsewhere the number
    # alone does not tell the architecture (proc_pid_syscall(5)).
    names = numbers()["x86-64"]
    behaviours: list[Behaviour] = []
    for thread in _entries(process / "task"):
        word = _read(thread / "syscall").split(b" ", 1)[0]
        if word.isdigit() and int(word) in names:
            behaviours.append(SystemCall(names[int(word)]))
    return behaviours


def _use(process: Path, path: bytes, access: Access) -> PathUse:
    kind, device = FileKind.UNKNOWN, ""
    try:
        status = os.lstat(os.fsencode(process / "root") + path)
        kind = kind_of(status.st_mode)
        if kind in {FileKind.CHARACTER, FileKind.BLOCK}:
            device = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    except (OSError, ValueError):
        pass
    shown = _PROCESS.sub(
        lambda match: "/proc/self" if match[0] == f"/proc/{process.name}" else "/proc/other", os.fsdecode(path), count=1
    )
    return PathUse(shown, access, kind, device=device)


def _user(process: Path) -> int:
    match = re.search(rb"^Uid:\s+\d+\s+(\d+)", _read(process / "status"), re.MULTILINE)
    return int(match.group(1)) if match else 0


def _program(process: Path) -> str:
    name = _read(process / "comm").decode("utf-8", "backslashreplace").strip()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name) or "?"


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _link(path: Path) -> bytes | None:
    try:
        return os.readlink(os.fsencode(path))  # noqa: PTH115
    except OSError:
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
