"""The keeper: a process beside each twin that takes it down when its owner is gone, however the owner went.

It is a process of its own because mounts and networks are made in namespaces, which the owner must not enter, and
because only a bystander can clean up after a SIGKILL. Its standard input is a pipe from the owner: at its end the twin
goes. Its standard output carries one report. If the keeper itself is killed, nspawn gets SIGKILL from the kernel
(PR_SET_PDEATHSIG), the mounts vanish with the last process, and ``sweep`` removes the rest.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from types import FrameType
from typing import NoReturn

from profiler import run
from profiler.errors import ToolError
from profiler.twin import cgroups, dismantling, host_mounts, kernel_calls, overlay, packing, process_identity
from profiler.twin import state as states
from profiler.twin.host_mounts import HostTrees
from profiler.twin.job import DETACH, Job, Outcome, Report
from profiler.twin.kernel_calls import MountFlag, Namespace
from profiler.twin.overlay import Workspace

OWNER, ANSWER = 0, 1
BURIAL = 2.0
"""Seconds to wait for processes that have been killed."""

EVERY_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class TwinEnds(BaseException):
    """The owner is gone, or somebody asked for the end."""


class Keeper:
    """Does one job, then waits for its end, then cleans up."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.workspace = Workspace(job.directory / "store", job.directory / "merged")
        self.log = job.directory / states.LOG
        record = states.read_record(job.directory)
        if record is None:
            raise RuntimeError(f"{job.directory} has no record")
        self.record = replace(record, keeper=process_identity.own())
        self.watched = True
        self.host = HostTrees((), ())

    def keep(self, work: Callable[[Keeper], None]) -> None:
        """Do the job, report how it went, and return when everything has been taken down."""
        try:
            self._attempt(work)
        except TwinEnds:
            pass
        finally:
            _be_deaf()
            dismantling.dismantle(self.job.directory)
            _bury_the_dead()

    def _attempt(self, work: Callable[[Keeper], None]) -> None:
        try:
            self._make_groups()
            work(self)
        except ToolError as error:
            self.answer(Report.of(error))
        except OSError as error:
            failure = states.fault_of(error)
            self.answer(Report.of(failure) if failure else Report(Outcome.BUG, output=traceback.format_exc()))
        except Exception:
            self.answer(Report(Outcome.BUG, output=traceback.format_exc()))

    def answer(self, report: Report) -> None:
        """Tell the owner how the job went."""
        with contextlib.suppress(BrokenPipeError):
            os.write(ANSWER, report.to_line())

    def note(self, **changes: object) -> None:
        """Write down something that has to be cleaned up, or shown; before it is made, so that no crash can lose it."""
        self.record = replace(self.record, **changes)  # type: ignore[arg-type]
        self.record.write(self.job.directory)

    @contextlib.contextmanager
    def own_mounts(self) -> Iterator[None]:
        """Be in a mount namespace of the twin's own, with its trees mounted; then be back in the host's."""
        before = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            kernel_calls.unshare(Namespace.MOUNT)
        except OSError as error:
            os.close(before)
            raise overlay.refusal(error) from None
        try:
            # What the host unmounts goes here too, what is mounted here is not seen there.
            kernel_calls.mount("", "/", "", MountFlag.RECURSIVE | MountFlag.SLAVE)
            self._mount_trees()
            yield
        finally:
            kernel_calls.enter(before, Namespace.MOUNT)
            os.close(before)

    def _mount_trees(self) -> None:
        state_directory = str(self.job.directory.parent.parent)
        in_memory = overlay.prepare_store(self.workspace)
        if self.job.image is not None:
            self.host = host_mounts.image_trees(self.job.image)
        else:
            self.host = host_mounts.host_trees().without(state_directory)
            overlay.hide(self.host, self.workspace, state_directory)
        layers = [packing.unpacked(layer, self.workspace.store) for layer in self.job.layers]
        remarks = overlay.mount_trees(self.host, layers, self.workspace)
        if in_memory:
            remarks += (f"{state_directory} cannot hold an overlay, so changes are kept in memory",)
        self.note(in_memory=in_memory, remarks=remarks)
        # nspawn leaves files below /run/systemd/nspawn when it is killed.
        kernel_calls.mount("tmpfs", "/run", "tmpfs", data="mode=0755")

    def _make_groups(self) -> None:
        """Make the control groups, before mounts of our own hide whether a systemd runs on the host."""
        places = cgroups.places_for(self.record.name)
        self.note(cgroups=tuple(map(str, places)))
        cgroups.make(places)

    def start(self, command: list[str], extra_environment: dict[str, str]) -> Popen[bytes]:
        """Start nspawn in the twin's control groups, its output in the log; it dies with this process."""
        places = tuple(map(Path, self.record.cgroups))
        bound = ["setpriv", "--pdeathsig", "KILL", "--", *command]
        with self.log.open("ab") as log:
            return run.start(
                cgroups.joining(places, bound), stdout=log, stderr=log, extra_environment=extra_environment
            )

    def wait(self, *descriptors: int, until: float | None = None) -> list[int]:
        """Return those descriptors that can be read, none at the monotonic time ``until``.

        Raises TwinEnds when the owner is gone.
        """
        while True:
            watched = [*descriptors, *([OWNER] if self.watched else [])]
            patience = None if until is None else max(0.0, until - time.monotonic())
            readable = select.select(watched, [], [], patience)[0]
            if OWNER in readable:
                self._hear_owner()
                readable.remove(OWNER)
            if readable or (until is not None and time.monotonic() >= until):
                return readable

    def _hear_owner(self) -> None:
        if os.read(OWNER, 4096) != DETACH:
            raise TwinEnds
        self.watched = False
        self.note(detached=True)

    def said(self) -> str:
        """Return what nspawn and the twin's systemd have said so far."""
        with contextlib.suppress(OSError):
            return self.log.read_text(encoding="utf-8", errors="replace")
        return ""


def become_keeper() -> None:
    """Prepare this process, which nothing but the end of the twin shall interrupt."""
    for number in EVERY_END:
        signal.signal(number, _end)
    # PID 1 of a container is often a program that does not wait for orphans: they would stay as zombies.
    kernel_calls.adopt_orphans()
    os.umask(0o022)
    os.chdir("/")


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    _be_deaf()
    raise TwinEnds


def _be_deaf() -> None:
    """Once the end has begun nothing interrupts it."""
    for number in EVERY_END:
        signal.signal(number, signal.SIG_IGN)


def _bury_the_dead() -> None:
    """Wait for what has been killed, but not for ever."""
    deadline = time.monotonic() + BURIAL
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.002)
