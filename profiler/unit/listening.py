"""The sockets on which a running service waits for others, as /proc shows them."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from profiler.machine import Machine
from profiler.unit.control_group import control_group
from profiler.unit.unit import Unit

_LISTEN = "0A"  # TCP_LISTEN of include/net/tcp_states.h
_UNCONNECTED = "07"  # TCP_CLOSE: what /proc/net/udp shows for a socket that is bound and not connected
_ACCEPTS = 0x10000  # __SO_ACCEPTCON of include/uapi/linux/net.h
_INTERNET = {"tcp": _LISTEN, "tcp6": _LISTEN, "udp": _UNCONNECTED, "udp6": _UNCONNECTED}
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_MOST_DESCRIPTORS = 4096
_DEFAULT_EPHEMERAL = 32768


def listening(unit: Unit, group: str = "") -> frozenset[str]:
    """Return where the processes of a unit listen: ``tcp 0100007F:0050`` (as /proc/net has it), ``unix /run/x``.

    ``group`` is its control group, if that is known already. Ports that the kernel chose are left out: they differ from
    run to run.
    """
    machine = unit.machine
    processes = _processes(machine, group or control_group(unit))
    held = {inode for process in processes for inode in _held(process)}
    if not held:
        return frozenset()
    first_ephemeral = _first_ephemeral(machine)
    found: set[str] = set()
    for process in processes[:1]:
        for table, state in _INTERNET.items():
            found |= _internet(_text(process, f"net/{table}"), table, state, held, first_ephemeral)
        found |= {_lasting(process, one) for one in _unix(_text(process, "net/unix"), held)}
    return frozenset(found)


def in_words(listener: str) -> str:
    """Return a listener with its port in the decimal system."""
    kind, _, place = listener.partition(" ")
    return f"{kind} port {int(place.rpartition(':')[2], 16)}" if kind in _INTERNET else f"{kind} socket {place}"


def _lasting(process: int, listener: str) -> str:
    """Return a unix listener without what changes from run to run: a socket that was renamed after it was bound is
    shown with the name that it was bound to, often with the number of a process in it."""
    path = listener.removeprefix("unix ")
    lives = path.startswith("@") or os.path.lexists(f"/proc/{process}/root{path}")
    return listener if lives else re.sub(r"\d+", "*", listener)


def _processes(machine: Machine, group: str) -> list[int]:
    # The kernel tells the numbers that the reader would use, so they are looked up in this process's own /proc.
    numbers: set[int] = set()
    for hierarchy in ("sys/fs/cgroup", "sys/fs/cgroup/unified", "sys/fs/cgroup/systemd"):
        for path, _, files in os.walk(machine.root / hierarchy / group.lstrip("/")):
            with contextlib.suppress(OSError):
                if "cgroup.procs" in files:
                    with open(os.path.join(path, "cgroup.procs"), encoding="ascii") as file:  # noqa: PTH118, PTH123
                        numbers |= {int(line) for line in file}
    return sorted(numbers - {0})


def _held(process: int) -> list[str]:
    directory = Path(f"/proc/{process}/fd")
    inodes = []
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(directory))[:_MOST_DESCRIPTORS]:  # noqa: PTH208
            with contextlib.suppress(OSError):
                match = _SOCKET.fullmatch(os.readlink(directory / name))  # noqa: PTH115
                inodes += [match[1]] if match else []
    return inodes


def _text(process: int, name: str) -> str:
    try:
        return Path(f"/proc/{process}/{name}").read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _first_ephemeral(machine: Machine) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(machine.path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return _DEFAULT_EPHEMERAL


def _internet(text: str, table: str, state: str, held: set[str], first_ephemeral: int) -> set[str]:
    found = set()
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == state and words[9] in held:
            port = int(words[1].rpartition(":")[2], 16)
            if 0 < port < first_ephemeral:
                found.add(f"{table} {words[1]}")
    return found


def _unix(text: str, held: set[str]) -> set[str]:
    found = set()
    for line in text.splitlines()[1:]:
        words = line.split(maxsplit=7)
        if len(words) == 8 and words[6] in held and int(words[3], 16) & _ACCEPTS:
            found.add(f"unix {words[7]}")
    return found
