"""Names of units as systemctl(1) takes them: with a suffix or without, instances of templates, and patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from profiler.errors import UsageError
from profiler.machine import Machine

OTHER_UNIT_TYPES = frozenset(
    ("automount", "device", "mount", "path", "scope", "slice", "socket", "swap", "target", "timer")
)
"""The suffixes of systemd.unit(5) other than service: any other name gets ``.service`` behind it, as in systemctl."""

GLOB = re.compile(r"[*?\[]")
_UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")


def full_name(name: str) -> str:
    """Return the unit name with its suffix, ``nginx`` being ``nginx.service``; raises UsageError for a bad one."""
    if GLOB.search(name):
        raise UsageError(
            f"{name!a} is a pattern, and this works on one unit at a time",
            hint=f"see which units match: systemctl list-units --all '{name}'",
        )
    if not _UNIT_NAME.fullmatch(name):
        raise UsageError(f"{name!a} is not the name of a unit", hint="see systemd.unit(5) for the characters allowed")
    if name.rpartition(".")[2] in OTHER_UNIT_TYPES and "." in name:
        raise UsageError(
            f"{name} is not a service", hint="unit-tailor studies services: give the name of a .service unit"
        )
    suffixed = name if name.endswith(".service") else f"{name}.service"
    template = suffixed.removesuffix(".service")
    if template.endswith("@"):
        raise UsageError(
            f"{suffixed} is a template, which never runs itself",
            hint=f"give an instance, such as {template}NAME; those there are: systemctl list-units --all '{template}*';"
            " what a socket with Accept=yes starts for each connection: unit-tailor record -- COMMAND",
        )
    return suffixed


def is_template(name: str) -> bool:
    """Whether a full name is that of a template, of which only instances run."""
    return name.endswith("@.service")


def services(machine: Machine, patterns: Sequence[str] = ()) -> list[str]:
    """Return the machine's services, loaded or only installed, that match any of the patterns (all without one)."""
    wanted = [_with_suffix(pattern) for pattern in patterns]
    verbs = (("list-units", "--all", "--plain"), ("list-unit-files",))
    found = set()
    for verb in verbs:
        arguments = ["systemctl", *verb, "--type=service", "--no-legend", "--no-pager", "--", *wanted]
        lines = machine.run(arguments, check=False, timeout=20).stdout.splitlines()
        found |= {line.split()[0] for line in lines if line.split() and line.split()[0].endswith(".service")}
    return sorted(found)


def _with_suffix(pattern: str) -> str:
    return pattern if pattern.endswith((".service", "*")) else f"{pattern}.service"
