"""The eBPF recorder as a whole: loads the kernel's side, says what belongs to the unit, hands records on."""

from __future__ import annotations

import mmap
import os
import queue
import secrets
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from pathlib import Path
from types import TracebackType

from profiler import run
from profiler.errors import ToolError
from profiler.machine import Host, Machine
from profiler.recorders.base import Losses
from profiler.recorders.ebpf import control_groups, descriptors
from profiler.recorders.ebpf.library import possible_processors
from profiler.recorders.ebpf.loading import Loader, Programs, load
from profiler.recorders.ebpf.records import KernelRecord, RecordKind, parse
from profiler.recorders.ebpf.ring import Ring

LOSSES = (
    "the ring buffer was full",
    "a process was not followed: the table of processes was full",
    "a string of the service could not be read",
    "a path was too long or too deep to be followed",
    "the file behind a returned descriptor was gone",
    "the recorder's working memory was overwritten",
    "a system call number beyond the tables",
    "more messages in one sendmmsg() than are looked at",
)
"""What the kernel's side counts, in the order of ``enum loss``."""

_TABLE_FULL = len(LOSSES)
RUN_MISSED = "an eBPF program did not run because it was running already"
DAMAGED = "a record could not be understood"
STILL_RUNNING = "processes were still running when the recording ended"

RING_BYTES = 32 << 20
_ENROL = 0x554E5441  # ENROL_MAGIC of recorder.bpf.c
_CONTROL = struct.Struct("=IIQIIII512s")
_CGROUP_AT, _LEVEL_AT, _MEMBERS_AT = 8, 16, 28
_LONGEST_GROUP = 511
_SETTINGS = struct.Struct("=QII")
_WAIT = 0.05
_DRAIN_SECONDS = 600.0

# Names the nonce and becomes the command: from that execve on it is recorded. What this little program itself does is
# not, and LC_CTYPE, which Python exports where the locale is C (PEP 538), is taken away again.
_LAUNCHER = """
import ctypes, os, shutil, sys
magic, nonce, coerced, *command = sys.argv[1:]
if coerced == "1":
    os.environ.pop("LC_CTYPE", None)
program = shutil.which(command[0])
if program is None:
    sys.exit(f"{command[0]}: command not found")
ctypes.CDLL(None).prctl(ctypes.c_ulong(int(magic)), ctypes.c_ulong(int(nonce)), 0, 0, 0)
try:
    os.execv(program, command)
except OSError as error:
    sys.exit(f"{command[0]}: {error.strerror}")
"""


class EbpfRecorder:
    """Records what the processes of a unit's control group do, or what ``command`` does.

    ``consume`` is called with each record, in a thread of its own. ``group`` is the unit's control group as the machine
    names it (``/system.slice/nginx.service``); it need not exist yet. With ``members`` the processes that are in it
    already are recorded as well; otherwise recording begins with the next program that is started in it. Use it as a
    context manager::

        with EbpfRecorder(machine, normaliser.feed, group="/system.slice/nginx.service") as recorder:
            service.restart()
        recorder.losses

    ``sizes`` gives tables another size (tests make them tiny), ``loader`` is another than the one that was asked for,
    ``missing`` are hooks to be taken for absent.
    """

    def __init__(
        self,
        machine: Machine,
        consume: Callable[[KernelRecord], None],
        *,
        group: str = "",
        members: bool = False,
        command: Sequence[str] = (),
        sizes: dict[str, int] | None = None,
        loader: Loader | None = None,
        missing: frozenset[str] = frozenset(),
    ) -> None:
        self.losses = Losses()
        self.notes = Losses()
        self.records = 0
        self.loader = loader
        self.sees_capabilities = True
        self._missing = missing
        self._machine = machine
        self._consume = consume
        self._group = group
        self._members = members
        self._command = tuple(command)
        self._nonce = secrets.randbits(63) | 1 if command else 0
        self._sizes = {"ring": RING_BYTES, **(sizes or {})}
        self._object: Programs | None = None
        self._control: mmap.mmap | None = None
        self._ring: Ring | None = None
        self._queue: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: BaseException | None = None
        self._loading: Future[None] | None = None
        self._epoch = 0
        self._clock_offset = time.time() - time.monotonic()

    def __enter__(self) -> EbpfRecorder:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop(raising=kind is None)

    def load_ahead(self) -> None:
        """Begin to load, in a thread of its own: nothing is recorded before ``start``, which waits for the end of it.

        ``stop`` gives it up.
        """
        executor = ThreadPoolExecutor(1, "ebpf load")
        self._loading = executor.submit(copy_context().run, self._load)
        executor.shutdown(wait=False)

    def start(self) -> None:
        """Load and attach the programs, and start the command if there is one.

        Raises PermissionRefused if the kernel does not allow it, ToolError if something is missing.
        """
        try:
            if self._loading is None:
                self._load()
            else:
                self._loading.result()
            self._prepare_group()
            self._begin_reading()
            self._attach()
            if self._command:
                self._launch()
        except BaseException:
            self.stop(raising=False)
            raise

    def set_epoch(self, epoch: int) -> None:
        """Mark all that happens from now on with this number (0 to 255)."""
        self._epoch = epoch
        if self._control is not None:
            struct.pack_into("=I", self._control, 0, epoch)

    def was_member(self, process: int) -> bool:
        """Whether the process with this number on the machine is, or was, one of those that are recorded."""
        bpf = self._object
        return bpf is not None and bpf.look_up("members", struct.pack("=I", process), 1) is not None

    def wait(self) -> int:
        """Wait until the command and everything it started have ended; return its status (negative: the signal).

        Raises ToolError if there is no command.
        """
        if self._process is None or self._object is None:
            raise ToolError("no command is being recorded")
        status = self._process.wait()
        while self._object.count("tracked"):
            time.sleep(_WAIT)
        return status

    def stop(self, *, raising: bool = True) -> None:
        """Detach, read what is left, count the losses. Raises whatever ``consume`` raised if ``raising``."""
        if self._loading is not None:
            wait([self._loading])
        bpf = self._object
        if bpf is None:
            return
        running = self._still_running(bpf) if self._command else 0
        bpf.detach()
        self._ending.set()
        for thread in self._threads:
            thread.join(_DRAIN_SECONDS)
            if thread.is_alive():
                self.losses.add("the rest of the records could not be read in time")
        if running:
            self._count(self.losses, STILL_RUNNING, running)
        self._read_losses(bpf)
        if self._ring is not None:
            self._ring.close()
        self._control = self._object = None
        bpf.close()
        if self._failure is not None and raising:
            raise self._failure

    def _load(self) -> None:
        loaded = load(self._prepare, self.loader, self._missing)
        bpf = self._object = loaded.programs
        self.loader, self.sees_capabilities = loaded.loader, loaded.sees_capabilities
        self._control = bpf.variables()
        for index, value in descriptors.packed():
            bpf.store("descriptors", struct.pack("=I", index), value)

    def _prepare(self, bpf: Programs) -> None:
        bpf.set_entries({"scratches": 2 * possible_processors(), **self._sizes})
        _SETTINGS.pack_into(bpf.constants(), 0, self._nonce, self._pid_namespace(), possible_processors())

    def _pid_namespace(self) -> int:
        # Of this host it is our own: to look at another user's PID 1 would need CAP_SYS_PTRACE.
        who = "self" if isinstance(self._machine, Host) else self._machine.leader
        return Path(f"/proc/{who}/ns/pid").stat().st_ino

    def _prepare_group(self) -> None:
        control = self._control
        assert control is not None
        if not self._group:
            _CONTROL.pack_into(control, 0, self._epoch, 0, 0, 0, 0, 0, 0, b"")
            return
        mount = control_groups.mount_point(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
        if mount is None:
            raise ToolError(
                "control groups of version 2 are not mounted",
                hint="run: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
            )
        top = control_groups.group_of(self._machine.leader).removesuffix("/init.scope").rstrip("/")
        path = os.fsencode(top + self._group)
        if len(path) > _LONGEST_GROUP:
            raise ToolError(f"the path of the control group {self._group} is too long", hint="use: --engine strace")
        anywhere = not control_groups.in_initial_namespace()
        identity, level = control_groups.identify(mount, top + self._group) or (0, 0)
        _CONTROL.pack_into(control, 0, self._epoch, 0, identity, level, len(path), int(anywhere), 0, path)

    def _attach(self) -> None:
        assert self._object is not None
        self._object.attach(*self._object.loaded())
        if self._members:
            self._enrol_members()

    def _enrol_members(self) -> None:
        # Twice: a process may be forked by one that is not followed yet while the first goes through the list.
        assert self._object is not None
        assert self._control is not None
        struct.pack_into("=I", self._control, _MEMBERS_AT, 1)
        for _ in range(2):
            self._object.iterate("enrol_members")
        struct.pack_into("=I", self._control, _MEMBERS_AT, 0)

    def _launch(self) -> None:
        environment = dict(os.environ)
        started_with = Path("/proc/self/environ").read_bytes().split(b"\0")
        coerced = not any(variable.startswith(b"LC_CTYPE=") for variable in started_with)
        if isinstance(self._machine, Host) and shutil.which(self._command[0]) is None:
            raise ToolError(f"there is no program {self._command[0]}", hint="give the path of a program, or its name")
        python = os.path.realpath("/proc/self/exe") if isinstance(self._machine, Host) else "python3"
        words = [python, "-I", "-S", "-c", _LAUNCHER, str(_ENROL), str(self._nonce), str(int(coerced)), *self._command]
        self._process = run.start(
            self._machine.command_here(words),
            stdin=0,
            stdout=1,
            stderr=2,
            extra_environment=environment,
            new_session=False,
        )

    def _begin_reading(self) -> None:
        assert self._object is not None
        self._ring = Ring(self._object.map_descriptor("ring"), self._sizes["ring"])
        for target in (self._read, self._hand_on):
            thread = threading.Thread(target=target, name=f"ebpf {target.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _read(self) -> None:
        # Does nothing but take records out of the ring, so that it does not fill up while others work on them.
        assert self._ring is not None
        last = False
        while True:
            records = self._ring.take()
            if records:
                self._queue.put(records)
            elif last:
                break
            else:
                last = self._ending.is_set()
                self._ring.wait(0 if last else _WAIT)
        self._queue.put(None)

    def _hand_on(self) -> None:
        while (records := self._queue.get()) is not None:
            for data in records:
                self._hand_on_one(data)

    def _hand_on_one(self, data: bytes) -> None:
        self.records += 1
        try:
            record = parse(data, self._clock_offset)
        except (struct.error, ValueError) as error:
            self.losses.add(DAMAGED, str(error))
            return
        try:
            if record.kind is RecordKind.JOINED and self._object is not None:
                self._object.iterate("enrol_members")
            if self._failure is None:
                self._consume(record)
        except BaseException as error:
            self._failure = error

    def _still_running(self, bpf: Programs) -> int:
        return bpf.count("tracked")

    def _read_losses(self, bpf: Programs) -> None:
        width = 8 * possible_processors()
        for index in range(_TABLE_FULL + 1):
            values = bpf.look_up("losses", struct.pack("=I", index), width)
            number = sum(struct.unpack(f"={len(values) // 8}Q", values)) if values else 0
            if number and index == _TABLE_FULL:
                self._count(self.notes, "a table was full: what is in none was sent every time", number)
            elif number:
                self._count(self.losses, LOSSES[index], number)
        for name, number in bpf.misses().items():
            if number:
                self._count(self.losses, RUN_MISSED, number)
                self.losses.samples[RUN_MISSED] = name

    @staticmethod
    def _count(losses: Losses, kind: str, number: int) -> None:
        losses.counts[kind] = losses.counts.get(kind, 0) + number
        losses.samples.setdefault(kind, "")
