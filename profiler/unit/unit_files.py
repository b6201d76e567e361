"""The files of a unit as they lie on a disk, for where no systemd runs that could be asked.

A plan needs no more of a unit than its lines; whoever records it asks systemd itself. What a generator would make at
boot is not seen (systemd.generator(7)).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from policy import unit_file
from policy.template import template_of
from policy.unit_settings import ExecLine
from profiler.twin import inside
from profiler.unit.names import full_name
from profiler.unit.unit import OURS, exec_lines, masked, not_found, refuse_ours, refuse_restart

LOAD_PATH = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Where units are, the first of a name winning (systemd.unit(5), "Unit File Load Path")."""

INIT_SCRIPTS = "/etc/init.d"
"""Of what is here systemd makes services as well (systemd-sysv-generator(8))."""

_YES = frozenset({"1", "yes", "y", "true", "t", "on"})
_LOWER = ("RefuseManualStart", "RefuseManualStop")
_ACTIONS = ("FailureAction", "SuccessAction", "StartLimitAction")


@dataclass(frozen=True)
class UnitFiles:
    """A unit by its files: ``name`` is that of the unit whatever alias was asked for, ``paths`` in order of reading."""

    name: str
    paths: tuple[str, ...]
    assignments: tuple[unit_file.Assignment, ...] = ()

    @property
    def exec_lines(self) -> tuple[ExecLine, ...]:
        """Its Exec commands."""
        return exec_lines([(one.name, one.value) for one in self.assignments if one.section == "Service"])

    @property
    def can_reload(self) -> bool:
        """Whether systemd would reload it: with ExecReload=, or of a type that reloads by itself."""
        return "ExecReload" in {line.kind for line in self.exec_lines} or self._last("Type") == "notify-reload"

    @property
    def in_session(self) -> bool:
        """Whether PAM opens a session for its processes (PAMName=)."""
        return self._last("PAMName") != ""

    def _last(self, name: str) -> str:
        values = [one.value.strip() for one in self.assignments if (one.section, one.name) == ("Service", name)]
        return values[-1] if values else ""

    def check(self) -> None:
        """Raise ToolError where a recording in a twin would refuse the unit."""
        refuse_restart(self.name, self._restart_properties(), on_host=False)
        refuse_ours(self.name, self.paths)

    def _restart_properties(self) -> dict[str, str]:
        last = {one.name: one.value.strip().lower() for one in self.assignments if one.section == "Unit"}
        found = {name: last.get(name, "") for name in _ACTIONS}
        return found | {name: "yes" if last.get(name, "") in _YES else "no" for name in _LOWER}


def find_unit_files(root: Path, name: str) -> UnitFiles:
    """Return the files of a unit below a root directory.

    Raises UsageError, in the words of ``Unit.load``, if there are none, or if the unit is masked.
    """
    asked = full_name(name)
    for place in LOAD_PATH:
        for found in filter(None, (asked, template_of(asked))):
            fragment = root / place.lstrip("/") / found
            if fragment.exists() or fragment.is_symlink():
                return _read(root, place, found, asked)
    script = f"{INIT_SCRIPTS}/{asked.removesuffix('.service')}"
    if (root / script.lstrip("/")).is_file():
        return UnitFiles(asked, (script,))
    raise not_found(asked, "this host", _all(root), in_twin=True)


def _read(root: Path, place: str, found: str, asked: str) -> UnitFiles:
    target = inside.resolve(root, f"{place}/{found}")
    if target == root / "dev/null":
        raise masked(asked, "this host")
    # An alias is a symlink to the file of the unit that it stands for; a link to elsewhere keeps its name.
    name = target.name if target.name.endswith(".service") and not target.name.endswith("@.service") else asked
    paths = (f"{place}/{found}", *_drop_ins(root, name))
    assignments = [
        assignment for path in paths if PurePosixPath(path).name not in OURS for assignment in _assignments(root, path)
    ]
    return UnitFiles(name, paths, tuple(assignments))


def _all(root: Path) -> list[str]:
    folders = [root / place.lstrip("/") for place in LOAD_PATH]
    return sorted({path.name for folder in folders for path in folder.glob("*.service") if "@." not in path.name})


def _drop_ins(root: Path, name: str) -> tuple[str, ...]:
    """Return the drop-ins in the order of their names; of one name that which comes first in the load path."""
    found: dict[str, str] = {}
    for directory in (name, template_of(name), *_prefixes(name), "service"):
        for place in LOAD_PATH if directory else ():
            folder = root / f"{place}/{directory}.d".lstrip("/")
            for path in sorted(folder.glob("*.conf")) if folder.is_dir() else ():
                found.setdefault(path.name, f"{place}/{directory}.d/{path.name}")
    return tuple(found[name] for name in sorted(found))


def _prefixes(name: str) -> tuple[str, ...]:
    """Return the units with a part of the name up to a dash: ``a-b-.service`` and ``a-.service`` for ``a-b-c``."""
    stem = name.removesuffix(".service")
    parts = stem.split("-")
    return tuple(f"{'-'.join(parts[:count])}-.service" for count in range(len(parts) - 1, 0, -1))


def _assignments(root: Path, path: str) -> tuple[unit_file.Assignment, ...]:
    try:
        data = inside.resolve(root, path).read_bytes()
    except OSError:
        return ()
    parsed = unit_file.parse(data)
    return tuple(one for section in ("Unit", "Service") for one in parsed.assignments(section))
