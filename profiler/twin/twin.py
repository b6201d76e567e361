"""A twin of this machine as a machine: booted, used and taken down. See docs/twin.md for what it cannot show.

::

    with twin.up(packages=("nginx",)) as machine:
        machine.run(["systemctl", "start", "nginx"])
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from profiler import run
from profiler.errors import CommandFailed, PermissionRefused, ToolError, UsageError
from profiler.machine import Machine
from profiler.twin import cgroups, keeper_process, layers, nspawn, process_identity, state
from profiler.twin.job import Job
from profiler.twin.keeper_process import KeeperProcess
from profiler.twin.state import Record

BOOT_PATIENCE = 60.0
"""Seconds a twin may take to boot."""

TOOLS = {
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
"""Programs that a twin needs, and the packages they come in."""

CAP_SYS_ADMIN = 21  # linux/capability.h

Announce = Callable[[str], AbstractContextManager[object]]
"""Shows what is being done for as long as the context lasts, as ``profiler.progress.step`` does."""


class Twin(Machine):
    """A running twin. As a context manager it is taken down at the end."""

    def __init__(self, directory: Path, record: Record, keeper: KeeperProcess | None = None) -> None:
        self.name = record.name
        self.directory = directory
        self.record = record
        self._keeper = keeper
        self._down = False

    @property
    def root(self) -> Path:
        """The twin's root directory, seen through its PID 1. Raises ToolError if the twin is not running."""
        return Path(f"/proc/{self.leader}/root")

    @property
    def leader(self) -> int:
        """The twin's PID 1, as this machine numbers it. Raises ToolError if the twin is not running."""
        if self.record.leader is None or not self.is_running:
            raise ToolError(f"the twin {self.name} is not running", hint="run: unit-tailor twin list")
        return self.record.leader.pid

    @property
    def is_running(self) -> bool:
        """Whether its PID 1 runs."""
        return not self._down and self.record.leader is not None and self.record.leader.is_alive()

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command line that runs ``arguments`` in all namespaces and a control group of the twin.

        Raises ToolError if the twin is not running: its number may belong to another process by now.
        """
        return self._entering(arguments)

    def command_here(self, arguments: Sequence[str]) -> list[str]:
        """Return the same, but in the caller's directory where the twin has one of that name, not in ``/``."""
        with contextlib.suppress(OSError):
            here = Path.cwd()
            if self.path(str(here)).is_dir():
                return self._entering(arguments, f"--wdns={here}")
        return self._entering(arguments)

    def _entering(self, arguments: Sequence[str], *options: str) -> list[str]:
        enter = ["nsenter", f"--target={self.leader}", "--all", *options, "--", *arguments]
        groups = [Path(place, cgroups.PAYLOAD, cgroups.COMMANDS) for place in self.record.cgroups]
        return cgroups.joining(tuple(group for group in groups if group.is_dir()), enter)

    def let_go(self) -> None:
        """Let the twin live on when this process ends; it is then taken down by its name."""
        if self._keeper is not None:
            self._keeper.let_go()
            self._keeper = None

    def down(self) -> None:
        """Take the twin down: all that runs in it is killed, its files are removed. Raises ToolError if any stay."""
        self._down = True
        if self._keeper is not None:
            self._keeper.end()
        else:
            _end_from_outside(self.directory, self.record)

    def __enter__(self) -> Twin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()


def up(
    packages: Sequence[str] = (),
    *,
    name: str | None = None,
    detached: bool = False,
    patience: float = BOOT_PATIENCE,
    announce: Announce = nullcontext,
    image: Path | None = None,
    visible: Sequence[Path] = (),
) -> Twin:
    """Boot a twin, with Debian packages that the host does not have, and return it when its systemd is ready.

    ``image`` is the root directory of another system, which is booted in place of a clone of this machine; it is only
    read. ``visible`` are directories and files of the host that the twin sees, read-only, although they lie where it
    has a file system of its own (/tmp, /run). The twin is gone when this process ends, however it ends; ``detached``
    lets it live until it is taken down by name. ``patience`` is in seconds.
    Raises PermissionRefused, UsageError for a bad or taken name, ToolError otherwise.
    """
    require_possible()
    sweep()
    name = state.check_name(name) if name is not None else state.random_name()
    if image is not None and (packages or not image.is_dir()):
        raise UsageError(f"cannot boot {image}", hint="name a directory that holds a system, and no packages")
    stack = layers.ensure(packages, announce)
    with announce(f"booting the twin {name}"):
        twin = _boot(name, tuple(packages), Job(layers=stack, patience=patience, image=image, visible=tuple(visible)))
    if detached:
        twin.let_go()
    return twin


def _boot(name: str, packages: tuple[str, ...], job: Job) -> Twin:
    record = Record(name, process_identity.own(), time.time(), packages=packages, layers=tuple(map(str, job.layers)))
    keeper = keeper_process.begin(record, job)
    try:
        keeper.report(job.patience + 30)
        booted = state.read_record(keeper.directory)
        if booted is None:
            raise ToolError(f"the twin {name} was taken down while it booted", hint="try again")
        twin = Twin(keeper.directory, booted, keeper)
        _check(twin)
    except BaseException:
        keeper.end()
        raise
    return twin


def _check(twin: Twin) -> None:
    """Raise CommandFailed with systemd's words if the twin booted into something else than it was meant to."""
    if twin.run(["systemctl", "is-active", "--quiet", nspawn.TARGET], check=False).status == 0:
        return
    failed = twin.run(["systemctl", "--failed", "--plain", "--no-legend"], check=False).stdout
    raise CommandFailed(
        f"the twin {twin.name} did not reach {nspawn.TARGET}",
        hint="units that fail to start in a twin of this machine are listed above",
        output=failed,
    )


def require_possible() -> None:
    """Raise PermissionRefused or ToolError, with the remedy, if no twin can be made here."""
    require_root()
    places = run.environment()["PATH"]
    missing = {program: package for program, package in TOOLS.items() if shutil.which(program, path=places) is None}
    if missing:
        raise ToolError(
            f"a twin needs {', '.join(missing)}, which is not installed",
            hint=f"run: apt-get install {' '.join(sorted(set(missing.values())))}",
        )
    if not _has_capability(CAP_SYS_ADMIN):
        raise PermissionRefused(
            "a twin needs the capability CAP_SYS_ADMIN, which this process does not have",
            hint="in a container: run it privileged",
        )


def require_root() -> None:
    """Raise PermissionRefused unless this process is root's."""
    if os.geteuid() != 0:
        raise PermissionRefused("only root can make and use twins", hint="run the same command with sudo")


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


@dataclass(frozen=True)
class Swept:
    """What was found of dead twins: the names of those removed, and why others could not be."""

    removed: tuple[str, ...]
    failures: tuple[ToolError, ...]


def sweep() -> Swept:
    """Remove what twins left behind whose keeper was killed; those that live are not touched."""
    removed, failures = [], []
    with state.locked(state.twins_directory()):
        for directory in state.directories():
            try:
                if keeper_process.dismantle_if_dead(directory):
                    removed.append(directory.name)
            except ToolError as error:
                failures.append(error)
    return Swept(tuple(removed), tuple(failures))


def present() -> tuple[Twin, ...]:
    """Return all twins, also those that still boot and layers in the making, sorted by name."""
    records = ((directory, state.read_record(directory)) for directory in state.directories())
    return tuple(Twin(directory, record) for directory, record in records if record is not None)


def running() -> tuple[Twin, ...]:
    """Return the twins that are up, sorted by name."""
    return tuple(twin for twin in present() if twin.is_running)


def find(name: str) -> Twin:
    """Return the twin of that name, also while it still boots. Raises UsageError if there is none."""
    directory = state.twins_directory() / state.check_name(name)
    record = state.read_record(directory)
    if record is not None:
        return Twin(directory, record)
    raise UsageError(f"there is no twin named {name}", hint="run: unit-tailor twin list")


def _end_from_outside(directory: Path, record: Record) -> None:
    """Ask the keeper of somebody else's twin to end it; kill it if it does not."""
    keeper = record.keeper
    if keeper is not None and not keeper.end(keeper_process.END_WITHIN, signal.SIGTERM):
        keeper.end(5.0, signal.SIGKILL)
    keeper_process.dismantle_if_dead(directory)
