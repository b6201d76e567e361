"""Does systemd hold what a drop-in says? Read back with systemctl show what can be compared.

Catches lines that systemd ignores and a file that lost its end. Not compared: system call filters (shown expanded),
values with specifiers, and everything that systemd shows in another form than it is written in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from policy.directives.choice import parse_boolean
from policy.settings import Assignment
from profiler.errors import ToolError
from profiler.unit.unit import Unit

WORD_LISTS = frozenset({"CapabilityBoundingSet", "AmbientCapabilities", "RestrictAddressFamilies"})
PATH_LISTS = frozenset({"ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths"})
WORDS = frozenset(
    (
        "DevicePolicy",
        "KeyringMode",
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateIPC",
        "PrivateMounts",
        "PrivateNetwork",
        "PrivateTmp",
        "PrivateUsers",
        "ProcSubset",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "ProtectProc",
        "ProtectSystem",
        "RemoveIPC",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "UMask",
    )
)
"""Directives with one word that ``systemctl show`` prints as it is written, booleans as yes or no."""


def check_in_force(unit: Unit, assignments: Sequence[Assignment]) -> None:
    """Raise ToolError if systemd does not hold what the assignments of the last drop-in say."""
    different = differences(unit, assignments)
    if different:
        raise ToolError(
            f"systemd does not hold what the drop-in says: {'; '.join(different)}",
            hint=f"look at: systemd-analyze verify {unit.name}",
        )


def differences(unit: Unit, assignments: Sequence[Assignment]) -> list[str]:
    """Return, in words, the settings that systemd shows otherwise than the assignments of the last drop-in say."""
    names = [name for name in dict.fromkeys(name for name, _ in assignments) if name in WORDS | WORD_LISTS | PATH_LISTS]
    shown = unit.systemctl.show(unit.name, names) if names else {}
    return [
        f"{name}= is {shown[name] or 'empty'!r}"
        for name in names
        if not _agrees(name, [value for key, value in assignments if key == name], shown[name])
    ]


def _agrees(name: str, values: Sequence[str], shown: str) -> bool:
    if name in WORDS:
        return _normal(values[-1]) in {_normal(shown), ""}
    last_reset = max((place for place, value in enumerate(values) if not value.strip()), default=-1)
    words = {word for value in values[last_reset + 1 :] for word in value.split()}
    if any(word.startswith("~") or set(word) & set("%\"'\\") for word in words):
        return True
    return _lowered(words) <= _lowered(shown.split())


def _normal(word: str) -> str:
    known = parse_boolean(word.strip())
    return word.strip().lower() if known is None else "yes" if known else "no"


def _lowered(words: Iterable[str]) -> set[str]:
    return {word.lstrip("-+").lower() for word in words}
