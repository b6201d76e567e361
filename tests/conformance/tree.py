"""The files that probes use: the same small tree in many places, put in order before each run, from outside."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.probe_kind import TESTER

PLACES = (
    "/etc/probe",
    "/usr/share/probe",
    "/var/lib/probe",
    "/var/cache/probe",
    "/srv/probe",
    "/opt/probe",
    "/home/probe",
    "/root/probe",
    "/run/probe",
    "/run/user/probe",
    "/tmp/probe",
    "/var/tmp/probe",
    "/mnt/probe",
)
"""One for each directory that some directive treats in its own way, and for some that none does."""

OWN = "own"
"""Below each place, the same tree again, belonging to the tester."""

KEPT = ("file", "secret", "inner/file", "inner/second", "linked", "other")
CONSUMED_FILES = ("victim", "moved", "crossing", "replaced", "replacing", "inner/victim", "first", "second")
CONSUMED_DIRECTORIES = ("empty", "inner/empty")
MADE = ("new", "new-directory", "new-symlink", "new-fifo", "new-socket", "new-link", "made", "arrived", "crossed")
MADE_BELOW = tuple(f"inner/{name}" for name in ("new", "new-directory", "moved-in", "new-link", "arrived"))
MODES = ("mode-chmod", "mode-fchmod", "mode-fchmodat", "mode-fchmodat2")
DEVICES = {
    "probe-null": (stat.S_IFCHR, 1, 3),
    "probe-fuse": (stat.S_IFCHR, 10, 229),
    "probe-loop": (stat.S_IFBLK, 7, 0),
    "probe-log": (stat.S_IFCHR, 1, 11),
    "probe-clock": (stat.S_IFCHR, 250, 250),
}


def roots(place: str, user: int) -> str:
    """Return the directory of a place that belongs to this user."""
    return place if user == 0 else f"{place}/{OWN}"


class Tree:
    """The trees in one machine, seen from outside at ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def inside(self, path: str) -> Path:
        """Return where a path of the machine is seen; none of these leads through a symlink."""
        return self.root / path.lstrip("/")

    def restore(self) -> None:
        """Put every file in order: make what is missing, remove what was made."""
        for directory, owner in self._directories():
            _directory(directory, owner)
            _directory(directory / "inner", owner)
            for name in (*KEPT, *CONSUMED_FILES):
                mode = 0o600 if name == "secret" else 0o644
                _file(directory / name, owner, mode, b"content of " + os.fsencode(self._name(directory / name)))
            for name in CONSUMED_DIRECTORIES:
                _directory(directory / name, owner)
            for name in (*MADE, *MADE_BELOW):
                _gone(directory / name)
            _special(directory, owner)
        for name, (kind, major, minor) in DEVICES.items():
            node = self.inside(f"/dev/{name}")
            if not node.exists():
                os.mknod(node, kind | 0o666, os.makedev(major, minor))
                node.chmod(0o666)
        self._privileged()

    def _name(self, place: Path) -> str:
        return str(place.relative_to(self.root))

    def _directories(self) -> Iterator[tuple[Path, int]]:
        for place in PLACES:
            self.inside(place).parent.mkdir(parents=True, exist_ok=True)
            yield self.inside(place), 0
            yield self.inside(place) / OWN, TESTER
        yield self.inside("/dev/shm/probe"), 0
        yield self.inside("/dev/shm/probe") / OWN, TESTER

    def _privileged(self) -> None:
        base = self.inside("/var/lib/probe")
        for name in MODES:
            for directory in (base, base / OWN):
                place = directory / name
                owner = 0 if directory == base else TESTER
                _file(place, owner, 0o644, b"x")
                place.chmod(0o644)
        for name in ("foreign", "foreign-mode"):
            _file(base / name, TESTER, 0o600, b"foreign")
            (base / name).chmod(0o600)
        _file(base / "group", 0, 0o755, b"x")
        os.chown(base / "group", 0, TESTER)
        (base / "group").chmod(0o755)
        _file(base / "chowned", 0, 0o644, b"x")
        os.chown(base / "chowned", 0, 0)
        for name in ("node-character", "node-block"):
            _gone(base / name)
        for top in PLACES:
            _program(self.inside("/usr/bin/true"), self.inside(top) / "tool", 0o755)
        _program(self.inside("/usr/bin/id"), base / "set-uid", 0o4755)
        _program(self.inside("/usr/bin/cat"), base / "capable", 0o755)
        if "security.capability" not in os.listxattr(base / "capable"):
            # vfs_cap_data of version 2, effective, with CAP_NET_RAW (13) permitted (linux/capability.h).
            os.setxattr(base / "capable", "security.capability", bytes.fromhex("0100000200200000" + "00" * 12))
        for name in ("mounted", "mounted-own"):
            (base / name).mkdir(exist_ok=True)


def _directory(place: Path, owner: int) -> None:
    if not place.is_dir():
        place.mkdir()
        os.chown(place, owner, owner)
        place.chmod(0o755)


def _file(place: Path, owner: int, mode: int, content: bytes) -> None:
    try:
        if place.is_file() and not place.is_symlink() and place.stat().st_size == len(content):
            return
    except OSError:
        pass
    _gone(place)
    place.write_bytes(content)
    os.chown(place, owner, owner)
    place.chmod(mode)


def _special(directory: Path, owner: int) -> None:
    if not (directory / "fifo").is_fifo():
        os.mkfifo(directory / "fifo")
        os.chown(directory / "fifo", owner, owner)
    if not (directory / "symlink").is_symlink():
        (directory / "symlink").symlink_to("file")


def _gone(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _program(source: Path, place: Path, mode: int) -> None:
    if not place.exists():
        shutil.copyfile(source, place)
        place.chmod(mode)
