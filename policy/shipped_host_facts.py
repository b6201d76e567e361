"""Facts about systemd versions that travel with this tool, for work without the target: ``--systemd 252``.

The target itself is always the better source (``profiler.host``): stable branches port system calls back. The tables
in ``data`` are made on a machine with that version by ``tools/ship_host_facts.py``.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from policy.host_facts import HostFacts

_FILE = re.compile(r"systemd_(\d+)\.json")


def shipped_versions() -> tuple[int, ...]:
    """Return the systemd versions of which tables are shipped, ascending."""
    names = (_FILE.fullmatch(entry.name) for entry in (resources.files("policy") / "data").iterdir())
    return tuple(sorted(int(match[1]) for match in names if match))


def table_version(version: int) -> int:
    """Return the shipped version that stands in for this one: the nearest lower, or the lowest of all."""
    shipped = shipped_versions()
    return max((one for one in shipped if one <= version), default=shipped[0])


def for_version(version: int) -> HostFacts:
    """Return the facts of a machine with this systemd, from the nearest lower version that is shipped.

    Kernel and architecture are those of the machine where the table was made. ``shortcoming`` says what to tell the
    user when it is not the same version.
    """
    table = _table(table_version(version))
    return HostFacts(
        systemd_version=version,
        kernel=(int(table["kernel"][0]), int(table["kernel"][1])),
        architecture=table["architecture"],
        syscall_sets=expand_sets({name: frozenset(members) for name, members in table["syscall_sets"].items()}),
        features=frozenset(table["features"]),
    )


def shortcoming(version: int) -> str:
    """Return what is wrong with the shipped facts for this version, for the user; empty if nothing is."""
    stand_in = table_version(version)
    if stand_in == version:
        return ""
    return f"the system call sets of systemd {version} are not shipped; those of {stand_in} are used instead"


def service_settings(version: int) -> frozenset[str]:
    """Return the names of all settings of ``[Service]`` that the shipped version for this one knows."""
    return frozenset(_table(table_version(version))["service_settings"])


def made_with(version: int) -> str:
    """Return which build of systemd the shipped table of exactly this version was made with: its own words."""
    build: str = _table(version)["made_with"]
    return build


def expand_sets(sets: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Replace ``@sets`` inside of sets by their members, however deep; sets that are not given vanish."""
    expanded: dict[str, frozenset[str]] = {}

    def members(name: str, above: frozenset[str]) -> frozenset[str]:
        if name not in expanded:
            parts = sets.get(name, frozenset()) - above  # a set inside of itself adds nothing
            nested = (members(part, above | {name}) for part in parts if part.startswith("@"))
            found = frozenset(part for part in parts if not part.startswith("@")).union(*nested)
            if above:
                return found
            expanded[name] = found
        return expanded[name]

    for name in sets:
        members(name, frozenset())
    return expanded


@functools.cache
def _table(version: int) -> dict[str, Any]:
    path = resources.files("policy") / "data" / f"systemd_{version}.json"
    table: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return table
