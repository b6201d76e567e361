"""The service under study: what systemd has loaded for it, without anything of ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import PurePosixPath

from policy import unit_file
from policy.template import template_of
from policy.unit_settings import ExecLine, UnitSettings
from profiler.errors import ToolError, UsageError
from profiler.machine import Machine
from profiler.unit.names import full_name, services
from profiler.unit.systemctl import Systemctl

OUR_DROP_IN = "zz-unit-tailor.conf"
"""The name of an installed drop-in: it sorts behind the names that people and packages give."""

OUR_TEST_DROP_IN = "zzz-unit-tailor-test.conf"
"""The name of a drop-in under test, behind an installed one."""

OUR_HEAD_ROOM = "zzz-unit-tailor-room.conf"
"""The name of a drop-in that makes time limits longer during a recording; one under test comes after it."""

OURS = frozenset({OUR_DROP_IN, OUR_TEST_DROP_IN, OUR_HEAD_ROOM})

PARTS_OF_THE_SYSTEM = ("dbus", "systemd-", "user@")
"""How the names of units begin that a running machine does not do without."""

RUNNING = frozenset({"active", "reloading", "activating"})
"""The values of ActiveState= of a unit that runs, or is about to."""

PROPERTIES = (
    "Id",
    "LoadState",
    "LoadError",
    "FragmentPath",
    "DropInPaths",
    "Type",
    "User",
    "DynamicUser",
    "PAMName",
    "NotifyAccess",
    "ActiveState",
    "SubState",
    "DefaultDependencies",
    "CanReload",
    "CanStart",
    "CanStop",
    "RefuseManualStart",
    "RefuseManualStop",
    "TriggeredBy",
    "ControlGroup",
    "Slice",
    "MainPID",
    "ControlPID",
    "NRestarts",
    "Result",
    "InvocationID",
    "RemainAfterExit",
    "Restart",
    "FailureAction",
    "SuccessAction",
    "StartLimitAction",
    "StateDirectory",
    "RuntimeDirectory",
    "CacheDirectory",
    "LogsDirectory",
    "ConfigurationDirectory",
)

DIRECTORY_ROOTS = {
    "StateDirectory": "/var/lib",
    "RuntimeDirectory": "/run",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
    "ConfigurationDirectory": "/etc",
}
"""Where systemd.exec(5) puts the directories of a system service."""

PRIVATE_DIRECTORIES = ("StateDirectory", "CacheDirectory", "LogsDirectory")
"""Those of them that are in ``private`` for a service with DynamicUser=."""

EXEC_KINDS = (
    "ExecCondition",
    "ExecStartPre",
    "ExecStart",
    "ExecStartPost",
    "ExecReload",
    "ExecStop",
    "ExecStopPost",
)
"""The settings of systemd.service(5) that start processes."""

_EXEC_COMMAND = re.compile(r"(?P<prefixes>[-@:+!|]*)\s*(?P<program>\"[^\"]*\"|'[^']*'|\S+)")


@dataclass(frozen=True)
class Unit:
    """A loaded service on a machine. ``name`` is its primary Id, whatever alias was asked for."""

    machine: Machine
    name: str

    @classmethod
    def load(cls, machine: Machine, name: str) -> Unit:
        """Return the unit; raises UsageError if systemd cannot load it."""
        asked = full_name(name)
        found = Systemctl(machine).show(asked, ["Id", "LoadState", "LoadError"])
        if found["LoadState"] == "loaded":
            return cls(machine, found["Id"])
        if found["LoadState"] == "masked":
            raise masked(asked, machine.name)
        if found["LoadState"] == "not-found":
            raise not_found(asked, machine.name, services(machine), in_twin=machine.name != "this host")
        raise UsageError(
            f"systemd cannot load {asked} on {machine.name}: {found['LoadError'] or found['LoadState']}",
            hint=f"run: systemctl status {asked}",
        )

    def properties(self) -> dict[str, str]:
        """Return the unit's properties as they are now."""
        return Systemctl(self.machine).show(self.name, PROPERTIES)

    @cached_property
    def systemctl(self) -> Systemctl:
        """systemctl on the unit's machine."""
        return Systemctl(self.machine)

    def is_active(self) -> bool:
        """Whether the unit runs (or, for a oneshot that remains, has run)."""
        return self.systemctl.show(self.name, ["ActiveState"])["ActiveState"] in RUNNING

    def check_may_restart(self) -> None:
        """Raise ToolError where a test restart could take more down than the service itself."""
        refuse_restart(self.name, self.properties(), on_host=self.machine.name == "this host")

    def check_without_ours(self) -> None:
        """Raise ToolError while a drop-in of ours is in force: what it denies would be taken for what is needed."""
        refuse_ours(self.name, self.files())

    def settings(self, properties: dict[str, str] | None = None) -> UnitSettings:
        """Return the unit's own merged settings, read from its files; drop-ins of ours are left out.

        ``properties`` are what ``properties()`` returned, if that was asked for already.
        """
        properties = properties or self.properties()
        assignments = self._assignments(properties)
        return UnitSettings(
            name=self.name,
            type=properties["Type"] or "simple",
            user=properties["User"],
            dynamic_user=properties["DynamicUser"] == "yes",
            notify_access=properties["NotifyAccess"] or "none",
            default_dependencies=properties["DefaultDependencies"] != "no",
            assignments=tuple(pair for pair in assignments if pair[0] not in EXEC_KINDS),
            exec_lines=exec_lines(assignments),
            writable_directories=writable_directories(properties),
            socket_activated=".socket" in properties["TriggeredBy"],
        )

    def files(self) -> list[str]:
        """Return the unit's fragment and drop-ins in the order in which systemd reads them."""
        properties = self.properties()
        return [path for path in (properties["FragmentPath"], *properties["DropInPaths"].split()) if path]

    def installed_drop_in(self) -> str:
        """Return the path of a drop-in of ours that is in force, or the empty string."""
        return our_drop_in(self.files())

    def _assignments(self, properties: dict[str, str]) -> list[tuple[str, str]]:
        collected: list[tuple[str, str]] = []
        for path in (properties["FragmentPath"], *properties["DropInPaths"].split()):
            if not path or PurePosixPath(path).name in OURS:
                continue
            text = os.fsencode(self.machine.run(["cat", "--", path]).stdout)
            for assignment in unit_file.parse(text).assignments("Service"):
                collected.append((assignment.name, assignment.value))
        return collected


def masked(name: str, machine: str) -> UsageError:
    """Return what is wrong with a unit that is a link to /dev/null."""
    return UsageError(f"{name} is masked on {machine}", hint=f"run: systemctl unmask {name}")


def not_found(name: str, machine: str, there: Sequence[str], *, in_twin: bool) -> UsageError:
    """Return what is wrong with a name that no unit has, with the one that is meant, as far as that can be told."""
    close = get_close_matches(name, there, n=1)
    return UsageError(
        f"there is no unit {name} on {machine}" + (f"; did you mean {close[0]}" if close else ""),
        hint="list the services with: systemctl list-unit-files --type=service"
        + (" ; a twin gets more software with --package NAME" if in_twin else ""),
    )


def refuse_restart(name: str, properties: Mapping[str, str], *, on_host: bool) -> None:
    """Raise ToolError where a restart of a unit with these properties could take more down than the service itself."""
    hint = "record it in a twin instead: add --twin"
    for setting in ("RefuseManualStart", "RefuseManualStop"):
        if properties[setting] == "yes":
            raise ToolError(f"{name} has {setting}=yes: it cannot be restarted by hand", hint=hint)
    for setting in ("FailureAction", "SuccessAction", "StartLimitAction"):
        if properties[setting] not in {"", "none"}:
            raise ToolError(f"{name} has {setting}=: a failed test could reboot", hint=hint)
    if name.startswith(PARTS_OF_THE_SYSTEM) and on_host:
        raise ToolError(f"{name} is a part of the running system: restarting it is not safe", hint=hint)


def our_drop_in(files: Iterable[str]) -> str:
    """Return which of a unit's files is a drop-in of ours that denies something, or the empty string."""
    ours = (OUR_DROP_IN, OUR_TEST_DROP_IN)
    return next((path for path in files if PurePosixPath(path).name in ours), "")


def refuse_ours(name: str, files: Iterable[str]) -> None:
    """Raise ToolError if a drop-in of ours is among a unit's files."""
    path = our_drop_in(files)
    if path:
        raise ToolError(
            f"{name} runs under a drop-in of unit-tailor: {path}",
            hint=f"take it away first: unit-tailor revert {name}" + _for_all(name, path),
        )


def _for_all(name: str, path: str) -> str:
    template = template_of(name)
    return " --template" if template and PurePosixPath(path).parent.name == f"{template}.d" else ""


def exec_lines(assignments: list[tuple[str, str]]) -> tuple[ExecLine, ...]:
    """Return the Exec commands of ``[Service]`` assignments; an empty one takes away those of its kind before it."""
    lines: dict[str, list[ExecLine]] = {kind: [] for kind in EXEC_KINDS}
    for name, value in assignments:
        if name not in lines:
            continue
        if not value.strip():
            lines[name].clear()
        for command in value.split(" ; "):
            match = _EXEC_COMMAND.match(command.strip())
            if match and command.strip():
                lines[name].append(ExecLine(name, match["prefixes"], match["program"].strip("\"'")))
    return tuple(line for kind in EXEC_KINDS for line in lines[kind])


def writable_directories(properties: dict[str, str]) -> tuple[str, ...]:
    """Return the absolute paths that StateDirectory= and its siblings make writable.

    With DynamicUser= those that last are symlinks into ``private``, which facts about them go through
    (``exec_directory_is_private`` in systemd's ``src/core/execute.c``).
    """
    found = []
    for name, root in DIRECTORY_ROOTS.items():
        entries = [entry.split(":")[0] for entry in properties[name].split()]
        found += [f"{root}/{entry}" for entry in entries]
        if properties["DynamicUser"] == "yes" and name in PRIVATE_DIRECTORIES:
            found += [f"{root}/private/{entry}" for entry in entries]
    return tuple(found)
