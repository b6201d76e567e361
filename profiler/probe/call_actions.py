"""How everything but uses of paths is done again: by the calls themselves, with arguments that do no harm."""

from __future__ import annotations

import dataclasses
import socket
import struct
from collections.abc import Callable

from policy.behaviour import (
    ClockUsed,
    FileDescriptorUsed,
    IpcUsed,
    KeyringUsed,
    MemoryMapped,
    Mounted,
    NamespaceUsed,
    PersonalityChanged,
    SchedulingSet,
    SignalSent,
    SocketAddress,
    SocketOpened,
    SpecialModeSet,
    SystemCall,
)
from profiler.probe.action import HERE, Action, Here, Need, NotProbed, Variant
from profiler.probe.executor import ARCHITECTURE, BUFFER, numbers
from profiler.probe.harmless import APART, ARGUMENTS, BAD, NOT_MADE, TWICE

ETIMEDOUT, EINPROGRESS, EAGAIN = 110, 115, 11
NAMESPACES = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "mnt": 0x00020000,
    "net": 0x40000000,
    "pid": 0x20000000,
    "time": 0x00000080,
    "user": 0x10000000,
    "uts": 0x04000000,
}
"""Flags of clone(2), by the names that RestrictNamespaces= has for them."""

POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
CLOCKS = {"CLOCK_REALTIME": 0, "CLOCK_MONOTONIC": 1, "CLOCK_REALTIME_ALARM": 8, "CLOCK_BOOTTIME_ALARM": 9}
RESET_ON_FORK = 0x40000000
VFORK, SIGCHLD = 0x4000, 17
ANONYMOUS = 0x22  # MAP_PRIVATE and MAP_ANONYMOUS
PAGE = 4096
DISCARD = 9
"""A port to send to where the fact has none: that of the discard service."""

FAMILIES = {family.name: int(family) for family in socket.AddressFamily}
TYPES = {kind.name: int(kind) for kind in socket.SocketKind}


def system_call_action(made: SystemCall) -> Action | NotProbed:
    """Return how a system call is made."""
    if made.architecture != ARCHITECTURE:
        return NotProbed(f"a call of {made.architecture} code; the probe makes those of {ARCHITECTURE}")
    if made.name in NOT_MADE:
        return NotProbed(f"the call {made.name} is not made: {NOT_MADE[made.name]}")
    if made.name not in numbers():
        return NotProbed(f"the probe knows no number for the call {made.name}")
    perform = _twice(made.name) if made.name in TWICE else _harmless(made.name)
    return Action(perform, variant=Variant.EXACT, apart=made.name in APART, is_bare=True)


def _harmless(name: str) -> Callable[[Here], str]:
    def perform(here: Here) -> str:
        here.executor.call(name, *ARGUMENTS.get(name, (BAD,) * 6))
        return ""

    return perform


def _twice(name: str) -> Callable[[Here], str]:
    def perform(here: Here) -> str:
        # fork(2) would answer from two processes at once, and nothing tells them apart; vfork(2) from one after the
        # other, but on one stack, which this program does not use.
        if name == "fork":
            here.executor.fork()
        else:
            here.executor.call(name)
            here.executor.leave_child()
        return ""

    return perform


def socket_action(opened: SocketOpened) -> Action | NotProbed:
    """Return how a socket is made."""
    if opened.family not in FAMILIES or opened.type not in TYPES:
        return NotProbed(f"the probe knows no number for sockets of {opened.family} {opened.type}")

    def perform(here: Here) -> str:
        call = here.executor.call
        call("close", call("socket", FAMILIES[opened.family], TYPES[opened.type], opened.protocol))
        return _network(here) if opened.family in {"AF_NETLINK", "AF_PACKET"} else ""

    return Action(perform)


def _network(here: Here) -> str:
    # Calls succeed in a network of its own as well, so it counts which one it is.
    return str(here.ask("network").get("network", ""))


def address_action(met: SocketAddress) -> Action | NotProbed:
    """Return how a socket meets an address."""
    if met.operation in {"accept", "receive"}:
        return _visited_action(met)
    if met.operation == "send" and met.port == 0:
        met = dataclasses.replace(met, port=DISCARD)
    packed = _packed(met)
    if packed is None or met.type not in TYPES:
        return NotProbed(f"the probe cannot write addresses of {met.family} {met.type}")
    family, kind = FAMILIES[met.family], TYPES[met.type]
    verb = {"bind": "bind", "connect": "connect"}.get(met.operation, "sendto")

    def perform(here: Here) -> str:
        call = here.executor.call
        descriptor = call("socket", family, kind, 0)
        try:
            soon = struct.pack("<QQ", 0, 300_000)
            call("setsockopt", descriptor, socket.SOL_SOCKET, socket.SO_SNDTIMEO, soon, len(soon))
            if verb == "bind":
                reuse = struct.pack("<I", 1)
                call("setsockopt", descriptor, socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse, len(reuse))
            if verb == "sendto":
                call(verb, descriptor, b"x", 1, 0, packed, len(packed))
            else:
                call(verb, descriptor, packed, len(packed))
        except OSError as error:
            if error.errno in {EINPROGRESS, EAGAIN}:
                raise OSError(ETIMEDOUT, "no answer") from None
            raise
        finally:
            call("close", descriptor)
        return _network(here) if verb == "bind" and met.family != "AF_NETLINK" else ""

    listening = Need("listening", (family, kind, met.address, met.port))
    return Action(perform, () if verb == "bind" else (listening,))


def _visited_action(met: SocketAddress) -> Action | NotProbed:
    """Return how somebody outside of the sandbox reaches it: from one of the machine's own addresses."""
    place = {"AF_INET": "127.0.0.1", "AF_INET6": "::1"}.get(met.family)
    if met.address != place or met.type not in TYPES:
        return NotProbed(f"{met.operation}: the other end is not on this machine")
    family, kind = FAMILIES[met.family], TYPES[met.type]
    packed = _packed(SocketAddress("bind", met.family, met.type, met.address, 0)) or b""

    def perform(here: Here) -> str:
        call = here.executor.call
        descriptor = call("socket", family, kind, 0)
        try:
            soon = struct.pack("<QQ", 0, 500_000)
            call("setsockopt", descriptor, socket.SOL_SOCKET, socket.SO_RCVTIMEO, soon, len(soon))
            call("bind", descriptor, packed, len(packed))
            if kind != socket.SOCK_DGRAM:
                call("listen", descriptor, 1)
            port = _port(here, descriptor, len(packed))
            here.ask("visit", family, kind, met.address, port)
            if kind == socket.SOCK_DGRAM:
                call("recvfrom", descriptor, BUFFER, 16, 0, 0, 0)
            else:
                call("close", call("accept4", descriptor, 0, 0, 0))
        except OSError as error:
            raise OSError(ETIMEDOUT, "nobody came") if error.errno == EAGAIN else error from None
        finally:
            call("close", descriptor)
        return ""

    return Action(perform, calls_stagehand=True)


def _port(here: Here, descriptor: int, length: int) -> int:
    here.executor.call("getsockname", descriptor, BUFFER, struct.pack("<I", length))
    return int.from_bytes(here.executor.peek(BUFFER + 2, 2), "big")


def _packed(met: SocketAddress) -> bytes | None:
    try:
        match met.family:
            case "AF_INET":
                return struct.pack("<H", 2) + struct.pack(">H", met.port) + socket.inet_aton(met.address) + bytes(8)
            case "AF_INET6":
                address = socket.inet_pton(socket.AF_INET6, met.address)
                return struct.pack("<H", 10) + struct.pack(">HI", met.port, 0) + address + bytes(4)
            case "AF_UNIX":
                return struct.pack("<H", 1) + b"\0" + met.address[1:].encode("utf-8", "surrogateescape")
            case "AF_NETLINK":
                return struct.pack("<HHII", 16, 0, 0, 0)
    except (OSError, ValueError):
        return None
    return None


def memory_action(mapped: MemoryMapped) -> Action | NotProbed:
    """Return how memory becomes executable."""
    protections = {"mmap-write-execute": (7, 0), "mprotect-execute": (3, 5), "mprotect-keep-execute": (5, 5)}

    def perform(here: Here) -> str:
        call = here.executor.call
        first, second = protections[mapped.how]
        address = call("mmap", 0, PAGE, first, ANONYMOUS, BAD, 0)
        if second:
            call("mprotect", address, PAGE, second)
        call("munmap", address, PAGE)
        return ""

    if mapped.how == "shmat-execute":
        return Action(_attach)
    return Action(perform) if mapped.how in protections else NotProbed(f"the probe does not know {mapped.how}")


def _attach(here: Here) -> str:
    call = here.executor.call
    identifier = call("shmget", 0, PAGE, 0o1700)
    try:
        call("shmdt", call("shmat", identifier, 0, 0o100000))  # SHM_EXEC
    finally:
        call("shmctl", identifier, 0, 0)
    return ""


def namespace_action(used: NamespaceUsed) -> Action | NotProbed:
    """Return how namespaces are made or entered."""
    flags = sum(NAMESPACES.get(kind, 0) for kind in used.kinds)

    def unshare(here: Here) -> str:
        here.executor.call("unshare", flags)
        return ""

    def clone(here: Here) -> str:
        here.executor.call("clone", flags | VFORK | SIGCHLD, 0, 0, 0, 0)
        here.executor.leave_child()
        return ""

    def clone3(here: Here) -> str:
        arguments = struct.pack("<8Q", flags | VFORK, 0, 0, 0, SIGCHLD, 0, 0, 0)
        here.executor.call("clone3", arguments, len(arguments))
        here.executor.leave_child()
        return ""

    def setns(here: Here) -> str:
        here.executor.call("setns", BAD, flags)
        return ""

    verbs = {"unshare": unshare, "clone": clone, "clone3": clone3, "setns": setns}
    if used.call not in verbs:
        return NotProbed(f"the probe does not know {used.call}")
    return Action(verbs[used.call], apart=True, is_bare=used.call == "setns")


def personality_action(changed: PersonalityChanged) -> Action:
    """Return how the personality is changed."""

    def perform(here: Here) -> str:
        here.executor.call("personality", changed.value)
        return ""

    return Action(perform, apart=True)


def scheduling_action(asked: SchedulingSet) -> Action | NotProbed:
    """Return how a scheduling policy is asked for."""
    if asked.policy not in POLICIES:
        return NotProbed(f"the probe does not know {asked.policy}")
    number = POLICIES[asked.policy]
    priority = 1 if asked.policy in {"SCHED_FIFO", "SCHED_RR"} else 0

    def perform(here: Here) -> str:
        if asked.call == "sched_setscheduler":
            flags = RESET_ON_FORK if asked.reset_on_fork else 0
            here.executor.call(asked.call, 0, number | flags, struct.pack("<i", priority))
        else:
            runtime = (10_000_000, 100_000_000, 100_000_000) if number == 6 else (0, 0, 0)
            here.executor.call("sched_setattr", 0, struct.pack("<IIQiIQQQ", 48, number, 0, 0, priority, *runtime), 0)
        return ""

    return Action(perform, apart=True)


def mode_action(asked: SpecialModeSet) -> Action | NotProbed:
    """Return how a mode with a special bit is asked for: of a file that does not exist."""
    missing = "/proc/self/unit-tailor/missing"
    creating = 0o101  # O_CREAT and O_WRONLY
    before: dict[str, tuple[int | str, ...]] = {
        "chmod": (missing,),
        "fchmod": (BAD,),
        "fchmodat": (HERE, missing),
        "fchmodat2": (HERE, missing),
        "mkdir": (missing,),
        "mkdirat": (HERE, missing),
        "mknod": (missing,),
        "mknodat": (HERE, missing),
        "open": (missing, creating),
        "openat": (HERE, missing, creating),
        "creat": (missing,),
    }
    if asked.call not in before:
        return NotProbed(f"the probe does not know {asked.call}")

    def perform(here: Here) -> str:
        here.executor.call(asked.call, *before[asked.call], asked.mode)
        return ""

    return Action(perform, is_bare=True)


def mount_action(mounted: Mounted) -> Action:
    """Return how the mount table is changed: with arguments that change nothing."""
    return Action(_harmless(mounted.call), is_bare=True)


def clock_action(used: ClockUsed) -> Action | NotProbed:
    """Return how a clock is used, without being changed."""
    if used.call == "timerfd_create" and used.clock in CLOCKS:

        def perform(here: Here) -> str:
            here.executor.call("close", here.executor.call("timerfd_create", CLOCKS[used.clock], 0))
            return ""

        return Action(perform)
    if used.call not in numbers():
        return NotProbed(f"the probe does not know {used.call}")
    return Action(_harmless(used.call), is_bare=True)


def ipc_action(used: IpcUsed) -> Action | NotProbed:
    """Return how an object for communication is made; those of others are not there."""
    if used.shared:
        return NotProbed("an object of another service is not there")
    making: dict[str, tuple[str, tuple[int, ...], str]] = {
        "shm": ("shmget", (0, PAGE, 0o1600), "shmctl"),
        "sem": ("semget", (0, 1, 0o1600), "semctl"),
        "msg": ("msgget", (0, 0o1600), "msgctl"),
    }
    if used.kind not in making:
        return NotProbed(f"the probe does not make objects of the kind {used.kind}")
    make, arguments, control = making[used.kind]

    def perform(here: Here) -> str:
        identifier = here.executor.call(make, *arguments)
        here.executor.call(control, identifier, *((0, 0) if used.kind != "sem" else (0, 0, 0)))
        return ""

    return Action(perform)


def keyring_action(used: KeyringUsed) -> Action:
    """Return how the keyring is asked."""
    return Action(_harmless(used.call), is_bare=True)


def signal_action(sent: SignalSent) -> Action | NotProbed:
    """Return how a process is reached: with the signal 0, which does nothing."""

    def perform(here: Here) -> str:
        here.executor.call("kill", 0 if sent.target != "other" else here.stagehand, 0)
        return ""

    return Action(perform, variant=Variant.EXACT if sent.other_user else Variant.WIDENED)


def descriptor_action(used: FileDescriptorUsed) -> Action | NotProbed:
    """Return how an operation on a descriptor is done: on a socket, with a bad pointer."""
    _, _, name = used.operation.partition(":")
    if name not in numbers("ioctls"):
        return NotProbed(f"the probe knows no number for {used.operation}")

    def perform(here: Here) -> str:
        here.executor.call("ioctl", 0, numbers("ioctls")[name], 1)
        return ""

    return Action(perform, is_bare=True)
