"""The control groups of a twin: a place of its own, so that several can live at once and all of one can be ended.

systemd-nspawn with ``--keep-unit`` makes ``supervisor`` and ``payload`` below the group it is started in, and leaves
them behind (systemd 252, src/nspawn/nspawn-cgroup.c); on hybrid hosts in the hierarchy ``name=systemd`` too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from profiler.errors import PermissionRefused, ToolError
from profiler.machine import Host
from profiler.twin.host_mounts import unescape

PREFIX = "unit-tailor-"
KEEPER = "keeper"
PAYLOAD = "payload"
COMMANDS = "unit-tailor-commands.scope"
"""Below the payload: the group of the programs we start in the twin, which no systemd cares for."""

PAUSE = 0.005


@dataclass(frozen=True)
class Hierarchy:
    """A mounted hierarchy that systemd uses for naming, and where in it this process is."""

    mount: Path
    own: str
    version_2: bool


def hierarchies() -> tuple[Hierarchy, ...]:
    """Return the hierarchies that matter, version 2 first. Raises ToolError if version 2 is not mounted."""
    found = tuple(_find(Path("/proc/self/mountinfo").read_text("utf-8"), Path("/proc/self/cgroup").read_text("utf-8")))
    if not found or not found[0].version_2:
        raise ToolError(
            "control groups of version 2 are not mounted",
            hint="run: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
        )
    return found


def _find(mountinfo: str, membership: str) -> Iterator[Hierarchy]:
    groups = dict(line.split(":", 2)[1:] for line in membership.splitlines() if line.count(":") >= 2)
    mounted: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        separator = fields.index("-", 6)
        kind, options = fields[separator + 1], fields[separator + 3]
        if fields[3] != "/":
            continue  # only a part of the hierarchy
        if kind == "cgroup2":
            mounted.setdefault("", Path(unescape(fields[4])))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            mounted.setdefault("name=systemd", Path(unescape(fields[4])))
    for name in ("", "name=systemd"):
        if name in mounted and name in groups:
            yield Hierarchy(mounted[name], groups[name], version_2=not name)


def places_for(name: str) -> tuple[Path, ...]:
    """Return where a twin's groups belong, the one of version 2 first; nothing is made yet.

    Under a running systemd that is below this process's own group, which must be delegated (``Delegate=`` in
    systemd.resource-control(5)); elsewhere at the top.
    """
    delegated = Host.has_systemd()
    return tuple(
        hierarchy.mount / (hierarchy.own.lstrip("/") if delegated else "") / (PREFIX + name)
        for hierarchy in hierarchies()
    )


def make(places: tuple[Path, ...]) -> None:
    """Make the groups. Raises PermissionRefused where cgroups are read-only, as in an ordinary container."""
    try:
        if Host.has_systemd():
            _step_aside(places[0].parent)
        for place in places:
            place.mkdir(exist_ok=True)
    except OSError as error:
        raise PermissionRefused(
            f"cannot make the control group {error.filename}: {error.strerror}",
            hint="a twin needs writable cgroups; in a container: run it privileged",
        ) from None


def _step_aside(delegated: Path) -> None:
    """Move this process into a leaf: a group that has controllers for its children holds no processes itself."""
    leaf = delegated / KEEPER
    leaf.mkdir(exist_ok=True)
    (leaf / "cgroup.procs").write_text(f"{os.getpid()}\n", encoding="ascii")


def joining(groups: tuple[Path, ...], command: list[str]) -> list[str]:
    """Return the command line that moves itself into the groups and then becomes ``command``."""
    files = [str(group / "cgroup.procs") for group in groups]
    writes = " && ".join(f'echo $$ > "${number}"' for number in range(1, len(files) + 1))
    return ["sh", "-c", f'{writes} && shift {len(files)} && exec "$@"', "sh", *files, *command]


def end(places: tuple[Path, ...], seconds: float = 10.0) -> bool:
    """Kill every process in the groups and remove the groups; return whether all are gone within ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        present = [place for place in places if place.is_dir()]
        if not present:
            return True
        for place in present:
            _kill(place)
            _remove(place)
        if time.monotonic() > deadline:
            return not any(place.is_dir() for place in places)
        time.sleep(PAUSE)


def _kill(place: Path) -> None:
    with contextlib.suppress(OSError):
        (place / "cgroup.kill").write_text("1\n", encoding="ascii")  # since Linux 5.14
        return
    for directory, _, _ in os.walk(place):
        with contextlib.suppress(OSError):
            for pid in (Path(directory) / "cgroup.procs").read_text("ascii").split():
                if pid != "0":
                    os.kill(int(pid), signal.SIGKILL)


def _remove(place: Path) -> None:
    for directory, _, _ in os.walk(place, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()
