"""Layers: Debian packages that the host does not have, installed once in a tree of their own and reused by twins.

A layer fits the host it was made on: its name is a digest of the packages asked for, of the host's dpkg status and of
its package sources. Layers are stacked between the host's tree and the twin's own changes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from profiler import run
from profiler.errors import ToolError, UsageError
from profiler.twin import installing, keeper_process, process_identity, state
from profiler.twin.job import Job
from profiler.twin.packing import ARCHIVE
from profiler.twin.state import Record

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+~:-]+)?")
"""A package's name, with an architecture or a version if need be: deb-control(5), apt-get(8)."""

FORMAT = b"unit-tailor layer 1"
STATUS = Path("/var/lib/dpkg/status")
SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/preferences", "/etc/apt/preferences.d")
PATIENCE = 900.0
"""Seconds that an installation may take."""

KEPT_FOR = 30 * 24 * 3600.0
"""Seconds after its last use that a layer is kept."""


def ensure(packages: Sequence[str], announce: Callable[[str], AbstractContextManager[object]]) -> tuple[Path, ...]:
    """Return the layers that add these packages to the host, topmost first; they are made if they do not exist yet.

    Raises UsageError for what cannot be the name of a package, ToolError if this is no Debian, CommandFailed with apt's
    words if it cannot install them.
    """
    wanted = missing(packages)
    if not wanted:
        return ()
    place = state.state_directory() / "layers" / digest(wanted)
    found = _find(place)
    if found is None:
        with announce(f"installing {', '.join(wanted)} into a layer of its own"), state.locked(place.parent, PATIENCE):
            found = _find(place) or _make(wanted, place)
    return (found,)


def missing(packages: Sequence[str]) -> tuple[str, ...]:
    """Return those of these packages that the host does not have, sorted; raises as ``ensure`` for names."""
    return not_installed(sorted(set(map(check_name, packages))))


def check_name(package: str) -> str:
    """Return the name if a package can have it, else raise UsageError."""
    if not PACKAGE.fullmatch(package):
        raise UsageError(f"not the name of a package: {package!r}", hint="use the names that apt-get knows")
    return package


def not_installed(packages: Sequence[str]) -> tuple[str, ...]:
    """Return those packages that the host does not have, in the order given. Raises ToolError if there is no dpkg."""
    if not packages:
        return ()
    if not STATUS.is_file():
        raise ToolError(
            "packages can be added to a twin only on Debian and its derivatives: there is no /var/lib/dpkg/status",
            hint="install them on this machine, and leave --package out",
        )
    return tuple(package for package in packages if not _is_installed(package))


def _is_installed(package: str) -> bool:
    if "=" in package:
        return False
    answer = run.run(["dpkg-query", "--show", "--showformat=${db:Status-Status}\n", "--", package], check=False)
    return answer.status == 0 and "installed" in answer.stdout.splitlines()


def digest(packages: Sequence[str]) -> str:
    """Return the name of the layer that adds these packages to the host as it is now. Raises OSError."""
    hashed = hashlib.sha256(FORMAT)
    for package in sorted(packages):
        hashed.update(b"\0package " + package.encode("ascii"))
    for path in (STATUS, *_source_files()):
        content = path.read_bytes()
        hashed.update(b"\0file %s %d\0" % (os.fsencode(path), len(content)) + content)
    return hashed.hexdigest()[:32]


def _source_files() -> Iterator[Path]:
    for name in SOURCES:
        path = Path(name)
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from sorted(entry for entry in path.iterdir() if entry.is_file())


def _find(place: Path) -> Path | None:
    for kept in (place, place.with_name(place.name + ARCHIVE)):
        if kept.exists():
            os.utime(kept)
            return kept
    return None


def _make(packages: tuple[str, ...], place: Path) -> Path:
    _forget_old(place.parent)
    record = Record(state.random_name("layer"), process_identity.own(), time.time(), packages=packages)
    proxies = {name: os.environ[name] for name in installing.PASSED_ON if name in os.environ}
    keeper = keeper_process.begin(record, Job(install=packages, finished_layer=place, patience=PATIENCE), proxies)
    try:
        keeper.report(PATIENCE + 60)
    finally:
        keeper.end()
    found = _find(place)
    if found is None:
        raise RuntimeError(f"the keeper made no layer at {place}")
    return found


def _forget_old(directory: Path) -> None:
    """Remove layers that no twin has used for long and none uses now. The caller holds the directory's lock."""
    records = [state.read_record(path) for path in state.directories()]
    used = {layer for record in records if record is not None for layer in record.layers}
    for layer in directory.iterdir():
        if layer.name.startswith(".") or str(layer) in used or time.time() - layer.stat().st_mtime < KEPT_FOR:
            continue
        if layer.is_dir():
            shutil.rmtree(layer)
        else:
            layer.unlink()
