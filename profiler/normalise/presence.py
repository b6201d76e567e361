"""Processes that ran before the recording began: what /proc still shows of them stands in for what was not seen.

Their credentials, directories, descriptors and memory are taken over as they are. Their sockets become facts that are
marked as inferred; what their open files tell is in ``inherited``.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from policy.behaviour import OK, Access, Behaviour, Fact, FileKind, Known, PathUse, Phase, SocketAddress, SocketOpened
from profiler.machine import Machine
from profiler.normalise.byte_paths import name_of
from profiler.normalise.executable_ranges import ExecutableRanges
from profiler.normalise.open_sockets import OpenSocket, open_sockets
from profiler.normalise.processes import Directories, Process, Standing
from profiler.normalise.sighting import Ledger

_EXECUTABLE = re.compile(rb"(?m)^([0-9a-f]+)-([0-9a-f]+) ..x. ")
_MOST_DESCRIPTORS = 4096  # of one process that are looked at
_MOST_BYTES = 1 << 22


@dataclass(frozen=True)
class Presence:
    """A running process of the unit, as /proc shows it."""

    pid: int
    threads: tuple[int, ...]
    root: bytes = b"/"
    executable: bytes = b""
    descriptors: dict[int, bytes] = field(default_factory=dict)
    executable_ranges: tuple[tuple[int, int], ...] = ()
    sockets: dict[bytes, OpenSocket] = field(default_factory=dict)
    mount_namespace: str = ""


def look(machine: Machine, pid: int) -> Presence | None:
    """Return what /proc shows of a process, ``None`` if it has ended."""
    place = os.fsencode(machine.path(f"/proc/{pid}"))
    try:
        threads = tuple(sorted(int(name) for name in os.listdir(place + b"/task")))  # noqa: PTH208 - bytes
        root = os.readlink(place + b"/root")  # noqa: PTH115
    except OSError:
        return None
    descriptors = dict(_descriptors(place))
    return Presence(
        pid,
        threads,
        root,
        _link(place + b"/exe").removesuffix(b" (deleted)"),
        descriptors,
        tuple(_executable_ranges(place)),
        open_sockets(place, {name for name in descriptors.values() if name.startswith(b"socket:")}),
        os.fsdecode(_link(place + b"/ns/mnt")),
    )


def take_over(
    ledger: Ledger, presence: Presence, line_of: Callable[[bytes], str], *, service_namespace: str
) -> Process | None:
    """Add a running process to the table with all its threads, and its sockets as inferred facts.

    ``line_of`` gives the Exec line of a program that systemd started. ``service_namespace`` is the mount namespace of
    the unit's processes; another one is this process's own.
    """
    status = ledger.objects.process(presence.pid)
    if status is None:
        return None
    parent = ledger.processes.get(status.parent)
    inherited = parent.exec_line if parent is not None and parent.studied else line_of(presence.executable)
    process = Process(
        presence.pid,
        presence.pid,
        status.parent,
        Standing.STUDIED,
        status.credentials,
        Directories(status.current_directory, presence.root, status.umask),
        dict(presence.descriptors),
        ExecutableRanges(presence.executable_ranges),
        ledger.objects.hard_limits(presence.pid),
        exec_line=inherited,
        program=_shown(name_of(presence.executable)),
        executable=presence.executable,
        mount_namespace=0 if presence.mount_namespace == service_namespace else presence.pid,
    )
    ledger.processes.add(process)
    for thread in presence.threads:
        if thread != presence.pid:
            shared = frozenset({"CLONE_THREAD", "CLONE_FS", "CLONE_FILES", "CLONE_VM"})
            ledger.processes.fork(process, thread, shared)
    for name, socket in presence.sockets.items():
        ledger.sockets.put(name, socket.socket)
    for behaviour in (one for socket in presence.sockets.values() for one in _socket(socket)):
        user = process.credentials.user.effective
        evidence = f"{process.program}: found in /proc"
        fact = Fact(behaviour, OK, Phase.SERVING, process.exec_line, user, Known.INFERRED, evidence)
        ledger.facts.setdefault(fact, fact)
    return process


def _socket(socket: OpenSocket) -> Iterator[Behaviour]:
    known, address = socket.socket, socket.address
    if known.family and known.type:
        yield SocketOpened(known.family, known.type, known.protocol)
    if not known.bound or address is None:
        return
    if address.path is not None:
        yield PathUse(os.fsdecode(address.path), Access.BIND, FileKind.SOCKET)
    elif address.host:
        yield SocketAddress("bind", known.family, known.type, address.host, address.port)


def _descriptors(place: bytes) -> Iterator[tuple[int, bytes]]:
    with contextlib.suppress(OSError):
        for name in os.listdir(place + b"/fd")[:_MOST_DESCRIPTORS]:  # noqa: PTH208
            target = _link(place + b"/fd/" + name)
            if target:
                yield int(name), target


def _executable_ranges(place: bytes) -> Iterator[tuple[int, int]]:
    with contextlib.suppress(OSError), open(place + b"/maps", "rb") as file:  # noqa: PTH123
        for start, end in _EXECUTABLE.findall(file.read(_MOST_BYTES)):
            yield int(start, 16), int(end, 16)


def _link(place: bytes) -> bytes:
    try:
        return os.readlink(place)  # noqa: PTH115
    except OSError:
        return b""


def _shown(name: bytes) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in os.fsdecode(name)) or "?"


def running(machine: Machine, belongs: Callable[[int], bool]) -> list[int]:
    """Return the processes of a machine that belong to what is studied, in the order of their numbers."""
    numbers = (int(entry.name) for entry in machine.path("/proc").iterdir() if entry.name.isdigit())
    return sorted(number for number in numbers if belongs(number))
