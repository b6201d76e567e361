"""Reading a drop-in from a file."""

from __future__ import annotations

import re
from pathlib import Path

from policy import drop_in
from policy.drop_in import DropIn, DropInError
from policy.host_facts import HostFacts
from policy.settings import unenforced_directives, unknown_directives
from policy.shipped_host_facts import service_settings, table_version
from policy.template import template_of
from profiler.errors import UsageError

_MADE_FOR = re.compile(r"for (?P<unit>\S+\.service) on systemd (?P<version>\d+)")

FOR_ALL_INSTANCES = "for all instances of "
"""How the line begins at the top of a drop-in that was made for a template."""

LARGEST = 4 * 1024 * 1024
"""Bytes; a larger file is no drop-in."""


def read_drop_in(path: Path) -> DropIn:
    """Return the drop-in in a file; raises UsageError, with the line, for one that systemd would not read whole."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="give the path of a drop-in file") from None
    if len(data) > LARGEST:
        raise UsageError(f"{path} is too large for a drop-in", hint="give the path of a drop-in file")
    try:
        return drop_in.parse(data, str(path))
    except DropInError as error:
        raise UsageError(str(error), hint="systemd.syntax(7) tells how unit files are written") from None


def origin_remarks(parsed: DropIn, unit: str, host: HostFacts) -> list[str]:
    """Return what the user should know of a drop-in of ours that was made for something else than this."""
    made_for = next((match for line in parsed.header if (match := _MADE_FOR.match(line))), None)
    if made_for is None:
        return []
    lines = []
    if made_for["unit"].partition("@")[0] != unit.partition("@")[0]:
        lines.append(f"warning: the drop-in was made for {made_for['unit']}, not for {unit}")
    if int(made_for["version"]) != host.systemd_version:
        lines.append(f"note: the drop-in was made for systemd {made_for['version']}; here is {host.systemd_version}")
    return lines


def check_for_template(parsed: DropIn, path: Path, *, force: bool) -> None:
    """Raise UsageError for a drop-in of ours that was made for one instance alone, unless ``force`` is set: the paths
    in it are those of that instance."""
    made_for = next((match["unit"] for line in parsed.header if (match := _MADE_FOR.match(line))), "")
    is_general = any(line.startswith(FOR_ALL_INSTANCES) for line in parsed.header)
    if template_of(made_for) and not is_general and not force:
        raise UsageError(
            f"{path} was made for {made_for} alone, and would be installed for all instances",
            hint="make one for all of them: unit-tailor generate PROFILE --template (or add --force)",
        )


def remarks(parsed: DropIn, host: HostFacts) -> list[str]:
    """Return what the user should know of a drop-in before trusting a verdict on it, as lines."""
    systemd_version = host.systemd_version
    known = service_settings(systemd_version) if table_version(systemd_version) == systemd_version else frozenset()
    problems = [*parsed.problems, *(parsed.unknown_settings(known) if known else ())]
    lines = [f"warning: line {problem.line}: {problem.message}" for problem in problems]
    lines += [
        f"warning: {name}= has no effect on this target: {reason}"
        for name, reason in unenforced_directives(parsed.assignments, host).items()
    ]
    if parsed.digest_matches() is False:
        lines.append("note: the drop-in was changed since unit-tailor wrote it")
    names = dict.fromkeys(name for name, _ in parsed.assignments if not known or name in known)
    unjudged = [f"{name}=" for name in unknown_directives([(name, "") for name in names])]
    if unjudged:
        lines.append(f"note: not judged, because they take nothing away that is recorded: {' '.join(unjudged)}")
    return lines
