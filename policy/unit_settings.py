"""The unit's own merged settings, as systemd sees them without our drop-in."""

from __future__ import annotations

from dataclasses import dataclass

ALIASES = {
    "ReadWriteDirectories": "ReadWritePaths",
    "ReadOnlyDirectories": "ReadOnlyPaths",
    "InaccessibleDirectories": "InaccessiblePaths",
}
"""Names of older versions for directives (``load-fragment-gperf.gperf.in`` in systemd); both add to one list."""


@dataclass(frozen=True)
class ExecLine:
    """One Exec command of a unit: ``kind`` such as ExecStartPre, its prefix characters and the path of the program."""

    kind: str
    prefixes: str
    program: str


@dataclass(frozen=True)
class UnitSettings:
    """A unit as it is before we touch it.

    ``assignments`` are the ``[Service]`` assignments of the fragment and all drop-ins in the order in which systemd
    reads them (ours left out), values as written, specifiers not expanded: a later directive class merges and resets
    them by systemd's rules.
    """

    name: str = "unknown.service"
    type: str = "simple"
    user: str = ""  # User= as configured; empty means root
    dynamic_user: bool = False
    notify_access: str = "none"
    default_dependencies: bool = True
    assignments: tuple[tuple[str, str], ...] = ()
    exec_lines: tuple[ExecLine, ...] = ()
    writable_directories: tuple[str, ...] = ()  # absolute paths of StateDirectory= and its siblings
    socket_activated: bool = False

    @property
    def runs_as_root(self) -> bool:
        """Whether the main process starts with uid 0."""
        return not self.dynamic_user and self.user in {"", "root", "0"}

    @property
    def root(self) -> str | None:
        """The directory that the service sees as ``/``: RootDirectory=, empty for an image; None for the machine's."""
        directory = self.values("RootDirectory")
        if directory and directory[-1].strip().removeprefix("-").strip("/"):
            return "/" + directory[-1].strip().removeprefix("-").strip("/")
        return "" if self.values("RootImage") or self.values("RootMStack") else None

    def values(self, directive: str) -> tuple[str, ...]:
        """Return the values assigned to a directive since its last reset (an empty assignment), in order."""
        collected: list[str] = []
        for name, value in self.assignments:
            if ALIASES.get(name, name) == directive:
                collected = [*collected, value] if value.strip() else []
        return tuple(collected)
