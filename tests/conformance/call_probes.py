"""Probes of the seccomp filters: every system call by name with harmless arguments, and the arguments that are judged.

A bad descriptor, pointer or flag shows that a call is reachable (EBADF, EFAULT, EINVAL); a filter answers before the
kernel looks at any of them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping

from policy.behaviour import (
    Access,
    CapabilityUsed,
    ClockUsed,
    FileKind,
    KeyringUsed,
    MemoryMapped,
    NamespaceUsed,
    PathUse,
    PersonalityChanged,
    SchedulingSet,
    SocketOpened,
    SpecialModeSet,
    SystemCall,
)
from profiler.probe import harmless
from profiler.probe.harmless import BAD
from tests.conformance.probe_kind import Probe
from tests.conformance.tree import roots

NOT_CALLED: Mapping[str, str] = {
    "pause": "waits for ever",
    "rt_sigsuspend": "waits for ever",
    "vfork": "returns twice on one stack",
    "sync": "would write out the disks of the machine that runs the tests, hundreds of times",
    "exit": "ends the thread that has to tell",
    "exit_group": "ends the process that has to tell",
    "rt_sigreturn": "ends the process",
    "execve": "every unit begins with it",
    "uretprobe": "ends the process unless the kernel put it there",
    "uprobe": "ends the process unless the kernel put it there",
}
"""Calls that are not made, and why."""

# The actor may call fork(), as a thread of its own does it.
ARGUMENTS: Mapping[str, tuple[int, ...]] = {**harmless.ARGUMENTS, "fork": ()}

NEEDS: Mapping[str, str] = {
    "acct": "CAP_SYS_PACCT",
    "delete_module": "CAP_SYS_MODULE",
    "fanotify_init": "CAP_SYS_ADMIN",
    "finit_module": "CAP_SYS_MODULE",
    "fsmount": "CAP_SYS_ADMIN",
    "fsopen": "CAP_SYS_ADMIN",
    "fspick": "CAP_SYS_ADMIN",
    "init_module": "CAP_SYS_MODULE",
    "move_mount": "CAP_SYS_ADMIN",
    "pivot_root": "CAP_SYS_ADMIN",
    "setdomainname": "CAP_SYS_ADMIN",
    "setgroups": "CAP_SETGID",
    "sethostname": "CAP_SYS_ADMIN",
    "swapoff": "CAP_SYS_ADMIN",
    "swapon": "CAP_SYS_ADMIN",
    "syslog": "CAP_SYSLOG",
    "kexec_file_load": "CAP_SYS_BOOT",
    "kexec_load": "CAP_SYS_BOOT",
    "landlock_restrict_self": "CAP_SYS_ADMIN",
    "reboot": "CAP_SYS_BOOT",
    "vhangup": "CAP_SYS_TTY_CONFIG",
}
"""Calls that ask for a capability before they look at their arguments, so that root's use of it is a fact."""

APART = frozenset({"fork", "setsid", "setpgid", "vhangup", "set_tid_address", "close_range", "umask", "brk", "alarm"})

MODE_CALLS = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "mkdir", "mkdirat", "mknod", "mknodat", "open", "openat", "creat"),
)
"""Calls that take a mode."""

SOCKET_TYPES = {"SOCK_STREAM": socket.SOCK_STREAM, "SOCK_DGRAM": socket.SOCK_DGRAM, "SOCK_RAW": socket.SOCK_RAW}

FAMILIES = {
    "AF_UNIX": 1,
    "AF_INET": 2,
    "AF_AX25": 3,
    "AF_APPLETALK": 5,
    "AF_BRIDGE": 7,
    "AF_INET6": 10,
    "AF_KEY": 15,
    "AF_NETLINK": 16,
    "AF_PACKET": 17,
    "AF_RDS": 21,
    "AF_CAN": 29,
    "AF_TIPC": 30,
    "AF_BLUETOOTH": 31,
    "AF_RXRPC": 33,
    "AF_ALG": 38,
    "AF_VSOCK": 40,
    "AF_QIPCRTR": 42,
    "AF_SMC": 43,
    "AF_XDP": 44,
}
"""Families by number (linux/socket.h), also some of which this kernel has no module: the filter comes first."""

NAMESPACES = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "mnt": 0x00020000,
    "net": 0x40000000,
    "pid": 0x20000000,
    "user": 0x10000000,
    "uts": 0x04000000,
}
TIME = 0x80
"""CLONE_NEWTIME, which only unshare(2), setns(2) and clone3(2) take."""


def system_call_probes(numbers: Mapping[str, int]) -> Iterator[Probe]:
    """Yield one probe for each system call of this architecture."""
    for name, number in sorted(numbers.items()):
        if name not in NOT_CALLED:
            action = ("call", number, *ARGUMENTS.get(name, (BAD,) * 6))
            needed = (CapabilityUsed(NEEDS[name], name),) if name in NEEDS else ()
            yield Probe(f"system call {name}", (SystemCall(name), *needed), action, apart=name in APART, raw=True)
    foreign = (MemoryMapped("mmap-write-execute"), SystemCall("getpid", "x86"))
    yield Probe("32-bit getpid", foreign, ("foreign",), apart=True, raw=True)


def argument_probes(user: int) -> Iterator[Probe]:
    """Yield the probes of filters that look at arguments."""
    yield from _sockets()
    yield from _memory()
    yield from _namespaces()
    yield from _modes(user)
    yield from _scheduling(user)
    for value in (0, 0x0040000, 0x0000008, 0xFFFFFFFF):
        asked = (SystemCall("personality"), PersonalityChanged(value))
        yield Probe(f"personality {value:#x}", asked, ("personality", value), apart=True, raw=True)
    for operation, name in ((6, "describe"), (11, "read"), (1, "join")):
        facts = (SystemCall("keyctl"), KeyringUsed("keyctl", name))
        yield Probe(f"keyctl {name}", facts, ("keyctl", operation), apart=True, raw=True)


def _sockets() -> Iterator[Probe]:
    for family, number in FAMILIES.items():
        for kind, value in SOCKET_TYPES.items():
            is_raw = kind == "SOCK_RAW" and family in {"AF_INET", "AF_INET6"}
            action: tuple[object, ...] = ("socket", number, int(value), int(is_raw))
            needs_raw = is_raw or family in {"AF_PACKET", "AF_XDP"}
            needed = (CapabilityUsed("CAP_NET_RAW", f"socket {family}"),) if needs_raw else ()
            facts = (SystemCall("socket"), SocketOpened(family, kind, int(is_raw)), *needed)
            if family == "AF_NETLINK" and kind == "SOCK_RAW":
                action = ("interfaces",)
            yield Probe(f"socket {family} {kind}", facts, action, raw=family != "AF_NETLINK")


def _memory() -> Iterator[Probe]:
    for how, action in (
        ("mmap-write-execute", ("protect", 7, -1)),
        ("mprotect-execute", ("protect", 3, 5)),
        ("mprotect-keep-execute", ("protect", 5, 5)),
        ("shmat-execute", ("attach", 0o100000)),
    ):
        call = how.partition("-")[0]
        yield Probe(how, (SystemCall(call), MemoryMapped(how)), action, apart=True, raw=True)


def _namespaces() -> Iterator[Probe]:
    for kind, flag in NAMESPACES.items():
        needed = () if kind == "user" else (CapabilityUsed("CAP_SYS_ADMIN", f"namespace {kind}"),)
        facts = (SystemCall("unshare"), NamespaceUsed("unshare", (kind,)), *needed)
        yield Probe(f"unshare {kind}", facts, ("unshare", flag), apart=True, raw=True)
        facts = (SystemCall("clone"), NamespaceUsed("clone", (kind,)), *needed)
        yield Probe(f"clone {kind}", facts, ("clone", flag), apart=True, raw=True)
        facts = (SystemCall("clone3"), NamespaceUsed("clone3", (kind,)), *needed)
        yield Probe(f"clone3 {kind}", facts, ("clone3", flag), apart=True, raw=True)
        if kind != "user":
            facts = (SystemCall("setns"), NamespaceUsed("setns", (kind,)), *needed)
            also = (CapabilityUsed("CAP_SYS_CHROOT", "setns"),) if kind == "mnt" else ()
            yield Probe(f"setns {kind}", (*facts, *also), ("setns", kind, flag), apart=True)
    needed = (CapabilityUsed("CAP_SYS_ADMIN", "namespace time"),)
    facts = (SystemCall("unshare"), NamespaceUsed("unshare", ("time",)), *needed)
    yield Probe("unshare time", facts, ("unshare", TIME), apart=True, raw=True)
    facts = (SystemCall("setns"), NamespaceUsed("setns", ()), CapabilityUsed("CAP_SYS_ADMIN", "setns"))
    yield Probe("setns without kind", facts, ("setns", "ipc", 0), apart=True)
    both = (SystemCall("unshare"), NamespaceUsed("unshare", ("mnt", "net")), CapabilityUsed("CAP_SYS_ADMIN", "both"))
    yield Probe("unshare mnt and net", both, ("unshare", 0x40020000), apart=True, raw=True)


def _modes(user: int) -> Iterator[Probe]:
    root = roots("/var/lib/probe", user)
    for call in MODE_CALLS:
        for mode in (0o755, 0o4755, 0o2755, 0o1755):
            path = f"{root}/mode-{call}"
            use = PathUse(path, Access.METADATA if "chmod" in call else Access.CREATE, FileKind.REGULAR)
            special = (SpecialModeSet(call, mode),) if mode & 0o6000 else ()
            facts = (SystemCall(call), *special, use)
            yield Probe(f"{call} {mode:o}", facts, ("mode", call, path, mode), apart=True)


def _scheduling(user: int) -> Iterator[Probe]:
    policies = {
        "SCHED_OTHER": 0,
        "SCHED_FIFO": 1,
        "SCHED_RR": 2,
        "SCHED_BATCH": 3,
        "SCHED_IDLE": 5,
        "SCHED_DEADLINE": 6,
    }
    for name, number in policies.items():
        real_time = name in {"SCHED_FIFO", "SCHED_RR", "SCHED_DEADLINE"}
        needed = (CapabilityUsed("CAP_SYS_NICE", name),) if real_time else ()
        priority = 1 if name in {"SCHED_FIFO", "SCHED_RR"} else 0
        for reset in (False, True):
            flags = 0x40000000 if reset else 0
            if name != "SCHED_DEADLINE":
                facts = (SystemCall("sched_setscheduler"), SchedulingSet("sched_setscheduler", name, reset), *needed)
                action = ("schedule", number | flags, priority)
                yield Probe(f"sched_setscheduler {name}{' reset' * reset}", facts, action, apart=True, raw=True)
        facts = (SystemCall("sched_setattr"), SchedulingSet("sched_setattr", name), *needed)
        action = ("schedule-attributes", number, priority)
        yield Probe(f"sched_setattr {name}", facts, action, apart=True, raw=True)


def clock_probes() -> Iterator[Probe]:
    """Yield the probes of clocks; the numbers are of x86-64, the clocks of linux/time.h."""
    zero = "00" * 208
    yield Probe(
        "adjtimex reading", (SystemCall("adjtimex"), ClockUsed("adjtimex")), ("memory", 159, zero, "*"), raw=True
    )
    facts = (SystemCall("clock_adjtime"), ClockUsed("clock_adjtime", "CLOCK_REALTIME"))
    yield Probe("clock_adjtime reading", facts, ("memory", 305, zero, 0, "*"), raw=True)
    setting = "0040" + "00" * 206  # ADJ_TICK to 0: the capability is asked for before the value is looked at
    facts_set = (
        SystemCall("adjtimex"),
        ClockUsed("adjtimex"),
        CapabilityUsed("CAP_SYS_TIME", "adjtimex with an impossible tick"),
    )
    yield Probe("adjtimex setting", facts_set, ("memory", 159, setting, "*"), raw=True)
    for name, number in (("CLOCK_REALTIME_ALARM", 8), ("CLOCK_BOOTTIME_ALARM", 9), ("CLOCK_MONOTONIC", 1)):
        needed = (CapabilityUsed("CAP_WAKE_ALARM", name),) if name.endswith("_ALARM") else ()
        timers = (SystemCall("timerfd_create"), ClockUsed("timerfd_create", name), *needed)
        yield Probe(f"timerfd_create {name}", timers, ("call", 283, number, 0), apart=True, raw=True)
