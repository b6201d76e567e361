"""The units in which probes run: the service's own sandbox, with and without a drop-in, around another program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.capability_names import CAPABILITIES
from policy.directives.base import all_directives
from policy.settings import Assignment
from policy.unit_settings import ALIASES, UnitSettings
from profiler.probe.action import Variant

PLACE = "/run/unit-tailor-probe"
"""Where the program and its socket are in the twin."""

PROGRAM = f"{PLACE}/executor"
SOCKET = f"{PLACE}/socket"

_DIRECTORIES = ("State", "Cache", "Logs", "Runtime", "Configuration")

IDENTITY = frozenset(
    (
        "User",
        "Group",
        "SupplementaryGroups",
        "DynamicUser",
        "RootDirectory",
        "MountAPIVFS",
        "MountFlags",
        "SecureBits",
        *(f"{kind}Directory{mode}" for kind in _DIRECTORIES for mode in ("", "Mode")),
    )
)
"""Settings besides those that the model judges which say who the service is and what it finds."""

WIDENING_CALLS = (
    "read write exit_group openat close newfstatat getdents64 mkdirat symlinkat mknodat unlinkat fchmodat utimensat "
    "truncate faccessat execve mmap munmap mprotect socket connect bind sendto setsockopt linkat renameat2 shmget "
    "shmat shmdt shmctl semget semctl msgget msgctl unshare clone clone3 setns personality sched_setscheduler "
    "sched_setattr chmod fchmod fchmodat2 mkdir mknod open creat timerfd_create keyctl add_key request_key kill "
    "setgroups setresgid setresuid adjtimex clock_adjtime clock_settime settimeofday mount umount2 "
    "listen accept4 getsockname recvfrom"
)
"""The system calls with which probes do what is no system call by itself."""

KEPT_AS_THEY_ARE = frozenset({"CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"})
"""Capabilities on which it depends what a process sees: the model's verdict on paths counts them in."""


@dataclass(frozen=True)
class Kind:
    """Which unit a probe needs: settings with the drop-in or without, the variant, and the prefix of the Exec line."""

    under: bool
    variant: Variant
    prefix: str = ""


def exec_prefix(exec_line: str) -> str:
    """Return the prefix of an Exec line that changes its sandbox: ``+``, ``!`` or ``!!``."""
    return "".join(mark for mark in exec_line[: len(exec_line) - len(exec_line.lstrip("-@:+!|"))] if mark in "+!")


def fragment(kind: Kind, unit: UnitSettings, drop_in: Sequence[Assignment]) -> str:
    """Return the unit file: all settings that bound or identify the service, and the program in its place."""
    settings = [pair for pair in unit.assignments if _is_kept(pair[0])]
    if kind.under:
        settings += [pair for pair in drop_in if _is_kept(pair[0])]
    lines = [
        "[Unit]",
        "DefaultDependencies=no",
        "[Service]",
        "Type=exec",
        "TimeoutStartSec=30",
        "TimeoutStopSec=2",
        f"ExecStart={kind.prefix}{PROGRAM}",
        f"StandardInput=file:{SOCKET}",
        f"StandardOutput=file:{SOCKET}",
        *(f"{name}={value}" for name, value in (*settings, *_for_the_program(settings))),
        *(f"{name}={value}" for name, value in (_widening(settings) if kind.variant is Variant.WIDENED else ())),
    ]
    return "\n".join(lines) + "\n"


def _is_kept(name: str) -> bool:
    return ALIASES.get(name, name) in all_directives() or name in IDENTITY


def _values(settings: Sequence[Assignment], name: str) -> tuple[str, ...]:
    return UnitSettings(assignments=tuple(settings)).values(name)


def _for_the_program(settings: Sequence[Assignment]) -> list[Assignment]:
    """Return what lets the program itself be found and executed, and nothing else."""
    added = [("ExecPaths", PROGRAM)] if _values(settings, "NoExecPaths") else []
    hiding = [*_values(settings, "TemporaryFileSystem"), *_values(settings, "InaccessiblePaths")]
    covers_ours = any(
        value.lstrip("-+\"'").startswith(("/run ", "/run:")) or value in {"/", "/run"} for value in hiding
    )
    if covers_ours or _values(settings, "RootDirectory"):
        added.append(("BindReadOnlyPaths", PROGRAM))
    return added


def _covers_ours(value: str) -> bool:
    paths = [word.strip("\"'").lstrip("-+").partition(":")[0].rstrip("/") for word in value.split()]
    return any(path in {"", "/run", PLACE} for path in paths)


def _widening(settings: Sequence[Assignment]) -> list[Assignment]:
    """Return what adds the calls and capabilities of probes to lists that there are."""
    added = [("SystemCallFilter", WIDENING_CALLS)] if _values(settings, "SystemCallFilter") else []
    bounds = [value for name, value in settings if name == "CapabilityBoundingSet"]
    if bounds:
        kept = [name for name in CAPABILITIES if name not in KEPT_AS_THEY_ARE]
        added.append(("CapabilityBoundingSet", " ".join(kept)))
    return added


def unit_name(token: str, unit: str) -> str:
    """Return a name for a unit of ours; instances keep what is behind the @, because settings can name it."""
    _, at, instance = unit.removesuffix(".service").partition("@")
    return f"unit-tailor-probe-{token}{at}{instance}.service"


def file_name(name: str) -> str:
    """Return the name of the file in which a unit is described."""
    start, at, _ = name.removesuffix(".service").partition("@")
    return f"{start}{at}.service"
