"""A drop-in for all instances of a template unit, made from what one of them did (systemd.unit(5), "Specifiers").

Where a path names the instance, the specifier stands in its place: ``/var/lib/web/%i``. It is taken for the instance's
name only behind a directory that services and people share, never in the names of the system's own directories, and
only if systemd makes the same path of it again for the recorded instance. Another instance need not have the path yet,
so that it may be missing. Of ``%i`` and ``%I`` the first is taken where both are the recorded name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from policy.directives.own_trees import OWN_TREES
from policy.path_encoding import expand_specifiers, system_specifiers, unescaped
from policy.path_entry import PathEntry, entry_of, words, written
from policy.sandbox.mount_entry import is_below
from policy.settings import Assignment

PATH_LISTS = frozenset(
    {"ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "NoExecPaths", "ExecPaths", "BindPaths"}
    | {"BindReadOnlyPaths"}
)

SHARED = (*OWN_TREES, "/dev", "/etc", "/home", "/tmp", "/var/tmp", "/var/mail", "/var/backups", "/run/user")
"""Directories below which a name may be that of an instance."""

SHORTEST_PART = 2
"""A shorter instance name is recognised only as a whole component: ``1`` is a part of too many names."""


def template_of(unit: str) -> str:
    """Return the template of an instance, ``web@.service`` for ``web@a.service``; empty for other units."""
    name, dot, suffix = unit.rpartition(".")
    prefix, at, instance = name.partition("@")
    return f"{prefix}@{dot}{suffix}" if at and instance else ""


def for_all_instances(assignments: Sequence[Assignment], unit: str) -> list[Assignment]:
    """Return the assignments with the specifiers of the instance in their paths, in order, as many as there were."""
    return [(name, _general_value(name, value, unit)) for name, value in assignments]


def _general_value(name: str, value: str, unit: str) -> str:
    if name == "DeviceAllow":
        node, space, rights = value.rpartition(" ")
        path = generalised(node, unit) if space and node.startswith("/") and "%" not in node else node
        return f"{path}{space}{rights}"
    if name not in PATH_LISTS:
        return value
    found = [entry_of(word) for word in words(value)]
    if len(found) != 1 or found[0] is None or "%" in found[0].path.replace("%%", ""):
        return value  # a reset, several words, or one with specifiers of the unit's own
    entry = found[0]
    general = generalised(entry.path.replace("%%", "%"), unit)
    return value if general == entry.path else written(PathEntry(general, True, entry.beneath_root), name)


def generalised(path: str, unit: str) -> str:
    """Return a path as a unit file has it, ``%`` doubled, with specifiers for the instance where it is named."""
    doubled = path.replace("%", "%%")
    instance = unit.rpartition(".")[0].partition("@")[2]
    tree = max((tree for tree in SHARED if is_below(path, tree)), key=len, default="")
    if not instance or not tree:
        return doubled
    rest = doubled[len(tree) :]
    for specifier, name in (("%i", instance), ("%I", unescaped(instance).replace("%", "%%"))):
        found = tree + _with_specifier(rest, name.strip("/"), specifier)
        if found != doubled and expand_specifiers(found, system_specifiers(unit)) == path:
            return found
    return doubled


def _with_specifier(rest: str, name: str, specifier: str) -> str:
    if not name:
        return rest
    whole = re.sub(rf"(?<=/){re.escape(name)}(?=/|$)", lambda _: specifier, rest)
    if whole != rest or len(name) < SHORTEST_PART:
        return whole
    return re.sub(rf"(?<![A-Za-z0-9%]){re.escape(name)}(?![A-Za-z0-9])", lambda _: specifier, rest)
