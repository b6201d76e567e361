"""Probes of capabilities, of new privileges, of other processes, and of the network."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping

from policy.behaviour import (
    Access,
    CapabilityUsed,
    DeviceNodeMade,
    FileKind,
    IpcUsed,
    PathUse,
    PrivilegeGained,
    SignalSent,
    SocketAddress,
    SocketOpened,
    SpecialModeSet,
    SystemCall,
)
from tests.conformance.probe_kind import TESTER_NAME, Probe

BASE = "/var/lib/probe"

NOT_SHOWN: Mapping[str, str] = {
    "CAP_NET_BROADCAST": "the kernel never asks for it",
    "CAP_MAC_OVERRIDE": "only Smack asks for it",
    "CAP_MAC_ADMIN": "only Smack and AppArmor ask for it",
    "CAP_AUDIT_CONTROL": "refused outside of the first PID namespace (kernel/audit.c), in which no twin is",
    "CAP_BLOCK_SUSPEND": "without it epoll_ctl(2) drops EPOLLWAKEUP without a word",
}
"""Capabilities that no action in a twin can show, and why."""

PORT, ABSTRACT, SEGMENT = 4711, "@probe-peer", 0x70726F62
"""What the peers offer: a port of loopback, an abstract socket, and a segment of shared memory."""

LOOPBACK_4, LOOPBACK_6, OWN_4, ROUTER_4, ROUTER_6 = (
    "127.0.0.1",
    "::1",
    "192.0.2.10",
    "192.0.2.1",
    "2001:db8::1",
)


def capability_probes() -> Iterator[Probe]:
    """Yield at least one action for each capability that an action can show."""
    for capability, name, facts, action in (
        ("CAP_CHOWN", "chown", (_metadata("chowned"),), ("chown", f"{BASE}/chowned", 4343)),
        ("CAP_DAC_OVERRIDE", "write a foreign file", (_use("foreign", Access.WRITE),), ("write", f"{BASE}/foreign")),
        ("CAP_DAC_READ_SEARCH", "read a foreign file", (_use("foreign", Access.READ),), ("read", f"{BASE}/foreign")),
        ("CAP_FOWNER", "chmod a foreign file", (_metadata("foreign-mode"),), ("chmod", f"{BASE}/foreign-mode")),
        ("CAP_SETGID", "setgid", (SystemCall("setgid"),), ("setgid", 1)),
        ("CAP_SETGID", "setgroups", (SystemCall("setgroups"),), ("setgroups", [1])),
        ("CAP_SETUID", "setuid", (SystemCall("setuid"),), ("setuid", 1)),
        ("CAP_SETPCAP", "drop from the bounding set", (SystemCall("prctl"),), ("bounding-drop", 10)),
        ("CAP_LINUX_IMMUTABLE", "append-only", (_metadata("file"),), ("flag", f"{BASE}/file")),
        ("CAP_NET_BIND_SERVICE", "bind to port 80", (_end("AF_INET"), _bind(80)), _internet("bind", "0.0.0.0", 80)),
        ("CAP_NET_ADMIN", "SO_RCVBUFFORCE", (_end("AF_INET", "SOCK_DGRAM"),), ("socket-option", 1, 33, 4096)),
        ("CAP_NET_ADMIN", "SO_DEBUG", (_end("AF_INET", "SOCK_DGRAM"),), ("socket-option", 1, 1, 1)),
        ("CAP_IPC_LOCK", "mlock beyond the limit", (SystemCall("mlock"),), ("lock",)),
        ("CAP_IPC_OWNER", "shmat without permission", (SystemCall("shmat"),), ("attach-unreadable",)),
        ("CAP_SYS_MODULE", "delete_module", (SystemCall("delete_module"),), ("memory", 176, "707200", "*", 0)),
        ("CAP_SYS_RAWIO", "iopl 3", (SystemCall("iopl"),), ("call", 172, 3)),
        ("CAP_SYS_RAWIO", "ioperm", (SystemCall("ioperm"),), ("call", 173, 0x80, 1, 1)),
        ("CAP_SYS_CHROOT", "chroot", (SystemCall("chroot"),), ("chroot", "/")),
        ("CAP_SYS_PACCT", "acct", (SystemCall("acct"),), ("call", 163, 1)),
        ("CAP_SYS_ADMIN", "setdomainname", (SystemCall("setdomainname"),), ("call", 171, 1, 1)),
        ("CAP_SYS_ADMIN", "pivot_root", (SystemCall("pivot_root"),), ("memory", 155, "2f00", "*", "*")),
        ("CAP_SYS_BOOT", "reboot", (SystemCall("reboot"),), ("call", 169, 1, 2, 3, 0)),
        ("CAP_SYS_NICE", "setpriority to -5", (SystemCall("setpriority"),), ("nice", -5)),
        ("CAP_SYS_RESOURCE", "setrlimit", (SystemCall("prlimit64"),), ("limit", 7)),
        ("CAP_SYS_TTY_CONFIG", "vhangup", (SystemCall("vhangup"),), ("call", 153)),
        ("CAP_LEASE", "lease on a foreign file", (SystemCall("fcntl"),), ("lease", "/run/probe/own/file")),
        ("CAP_AUDIT_WRITE", "audit message", (_end("AF_NETLINK", "SOCK_RAW"),), ("audit", "write")),
        ("CAP_AUDIT_READ", "audit listening", (_end("AF_NETLINK", "SOCK_RAW"),), ("audit", "read")),
        ("CAP_SETFCAP", "file capabilities", (_metadata("group"),), ("set-capability", f"{BASE}/group")),
        ("CAP_SYSLOG", "syslog console level", (SystemCall("syslog"),), ("call", 103, 8, 0, 0)),
        ("CAP_PERFMON", "perf_event_open", (SystemCall("perf_event_open"),), _PERF),
        ("CAP_BPF", "bpf map", (SystemCall("bpf"),), ("memory", 321, "010000000400000004000000010000", 0, "*", 20)),
        ("CAP_CHECKPOINT_RESTORE", "map_files", (), ("map-files",)),
    ):
        yield Probe(
            f"{capability}: {name}", (*facts, CapabilityUsed(capability, name)), action, apart=True, user="root"
        )
    set_gid = (_metadata("group"), SpecialModeSet("chmod", 0o2755), CapabilityUsed("CAP_FSETID", "chmod"))
    yield Probe("CAP_FSETID: set-gid", set_gid, ("group-mode", f"{BASE}/group"), apart=True, user="root", silent=True)
    for kind, number, device in ((FileKind.CHARACTER, 0o020000, (1, 3)), (FileKind.BLOCK, 0o060000, (7, 0))):
        path = f"{BASE}/node-{kind.value}"
        text = f"{device[0]}:{device[1]}"
        made = (SystemCall("mknodat"), PathUse(path, Access.CREATE, kind, device=text))
        needed = (CapabilityUsed("CAP_MKNOD", "mknod"), DeviceNodeMade(path, kind, text))
        yield Probe(f"CAP_MKNOD: {text}", (*made, *needed), ("node", path, number, *device), apart=True, user="root")


# type HARDWARE, size 128, cycles, no exclude_kernel: the event sees the kernel, which needs CAP_PERFMON.
_PERF = ("memory", 298, "0100000080000000" + "00" * 120, "*", 0, -1, -1, 8)


def _use(name: str, access: Access) -> PathUse:
    return PathUse(f"{BASE}/{name}", access, FileKind.REGULAR)


def _end(family: str, kind: str = "SOCK_STREAM") -> SocketOpened:
    return SocketOpened(family, kind)


def _metadata(name: str) -> PathUse:
    return _use(name, Access.METADATA)


def _bind(port: int, address: str = "0.0.0.0", family: str = "AF_INET", kind: str = "SOCK_STREAM") -> SocketAddress:
    return SocketAddress("bind", family, kind, address, port)


def _internet(verb: str, address: str, port: int, kind: int = socket.SOCK_STREAM) -> tuple[object, ...]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ("internet", verb, int(family), int(kind), address, port)


def process_probes(peers: Mapping[str, int]) -> Iterator[Probe]:
    """Yield probes of other processes, of what they share, and of programs that give privileges."""
    for owner, process in peers.items():
        for user in ("root", TESTER_NAME):
            foreign = owner != user
            facts = (SystemCall("kill"), SignalSent("other", other_user=foreign))
            needed = (CapabilityUsed("CAP_KILL", "kill"),) if foreign else ()
            yield Probe(f"kill 0 of {owner}'s process, by {user}", (*facts, *needed), ("kill", process, 0), user=user)
    traced = (SystemCall("ptrace"), CapabilityUsed("CAP_SYS_PTRACE", "ptrace"))
    seize = ("call", 101, 0x4206, peers[TESTER_NAME], 0, 0)
    yield Probe("CAP_SYS_PTRACE: seize a foreign process", traced, seize, apart=True, user="root")
    yield Probe(
        "shmget of a foreign segment", (SystemCall("shmget"), IpcUsed("shm", hex(SEGMENT), True)), ("segment", SEGMENT)
    )
    set_uid = (_use("set-uid", Access.EXECUTE), PrivilegeGained(f"{BASE}/set-uid", "set-uid"))
    yield Probe("set-uid program", set_uid, ("gain", f"{BASE}/set-uid", "-u"), apart=True, user=TESTER_NAME)
    gained = PrivilegeGained(f"{BASE}/capable", "file-capabilities", ("CAP_NET_RAW",))
    capable = (_use("capable", Access.EXECUTE), gained)
    yield Probe(
        "program with capabilities", capable, ("gain-capability", f"{BASE}/capable"), apart=True, user=TESTER_NAME
    )


def network_probes() -> Iterator[Probe]:
    """Yield what sockets can meet."""
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    for address, port in (
        (LOOPBACK_4, PORT),
        (LOOPBACK_4, PORT + 1),
        (LOOPBACK_6, PORT),
        (OWN_4, PORT),
        (ROUTER_4, PORT),
    ):
        family = "AF_INET6" if ":" in address else "AF_INET"
        fact = SocketAddress("connect", family, "SOCK_STREAM", address, port)
        yield Probe(f"connect {address} {port}", (_end(family), fact), _internet("connect", address, port), apart=True)
    for address in (LOOPBACK_4, LOOPBACK_6, OWN_4, ROUTER_4, ROUTER_6):
        family = "AF_INET6" if ":" in address else "AF_INET"
        fact = SocketAddress("send", family, "SOCK_DGRAM", address, PORT)
        yield Probe(
            f"send {address}",
            (_end(family, "SOCK_DGRAM"), fact),
            _internet("send", address, PORT, datagram),
            apart=True,
        )
    for address, family in (
        ("0.0.0.0", "AF_INET"),
        (LOOPBACK_4, "AF_INET"),
        ("::", "AF_INET6"),
        (LOOPBACK_6, "AF_INET6"),
    ):
        for kind, number in (("SOCK_STREAM", stream), ("SOCK_DGRAM", datagram)):
            for port in (0, 1500, 8080, 8081, 9000):
                facts = (_end(family, kind), _bind(port, address, family, kind))
                yield Probe(
                    f"bind {address} {port} {kind}", facts, _internet("bind", address, port, number), apart=True
                )
    abstract = SocketAddress("connect", "AF_UNIX", "SOCK_STREAM", ABSTRACT)
    yield Probe("connect abstract", (_end("AF_UNIX"), abstract), ("connect", ABSTRACT))
    own = SocketAddress("bind", "AF_UNIX", "SOCK_STREAM", "@probe-own")
    yield Probe("bind abstract", (_end("AF_UNIX"), own), ("bind-abstract", "@probe-own"))
    named = (SystemCall("sethostname"), CapabilityUsed("CAP_SYS_ADMIN", "sethostname"))
    yield Probe("sethostname", named, ("host-name",), user="root", silent=True)
