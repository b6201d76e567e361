"""The arguments of calls as the kernel's records hold them, in the words in which other recorders deliver them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

from profiler.normalise.credentials import capabilities_in
from profiler.normalise.namespaces import KINDS
from profiler.recorders.base import Struct, Symbol, Value
from profiler.recorders.ebpf.descriptors import numbers

_OPEN = {
    0o100: "O_CREAT",
    0o200: "O_EXCL",
    0o1000: "O_TRUNC",
    0o200000: "O_DIRECTORY",
    0o400000: "O_NOFOLLOW",
    0o1000000: "O_NOATIME",
    0o10000000: "O_PATH",
    0o20000000: "O_TMPFILE",
}  # asm-generic/fcntl.h; the bits that descriptors.py keeps
_OPEN_ACCESS = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")
_AT = {0x100: "AT_SYMLINK_NOFOLLOW", 0x400: "AT_SYMLINK_FOLLOW", 0x1000: "AT_EMPTY_PATH"}
_ACCESS = {1: "X_OK", 2: "W_OK", 4: "R_OK"}
_PROTECTION = {1: "PROT_READ", 2: "PROT_WRITE", 4: "PROT_EXEC"}
_NAMESPACES = {
    0x00000080: "CLONE_NEWTIME",
    0x00020000: "CLONE_NEWNS",
    0x02000000: "CLONE_NEWCGROUP",
    0x04000000: "CLONE_NEWUTS",
    0x08000000: "CLONE_NEWIPC",
    0x10000000: "CLONE_NEWUSER",
    0x20000000: "CLONE_NEWPID",
    0x40000000: "CLONE_NEWNET",
}  # linux/sched.h
assert set(_NAMESPACES.values()) == set(KINDS)
_RENAME = {1: "RENAME_NOREPLACE", 2: "RENAME_EXCHANGE", 4: "RENAME_WHITEOUT"}
_SCHEDULERS = ("SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE")
_RESET_ON_FORK = 0x40000000
_CLOCKS = {
    **dict(enumerate(("CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID"))),
    **dict(enumerate(("CLOCK_MONOTONIC_RAW", "CLOCK_REALTIME_COARSE", "CLOCK_MONOTONIC_COARSE"), 4)),
    **dict(enumerate(("CLOCK_BOOTTIME", "CLOCK_REALTIME_ALARM", "CLOCK_BOOTTIME_ALARM", "CLOCK_SGI_CYCLE"), 7)),
    11: "CLOCK_TAI",
}  # linux/time.h
_KEYCTL = dict(
    enumerate(
        (
            *("GET_KEYRING_ID", "JOIN_SESSION_KEYRING", "UPDATE", "REVOKE", "CHOWN", "SETPERM", "DESCRIBE", "CLEAR"),
            *("LINK", "UNLINK", "SEARCH", "READ", "INSTANTIATE", "NEGATE", "SET_REQKEY_KEYRING", "SET_TIMEOUT"),
            *("ASSUME_AUTHORITY", "GET_SECURITY", "SESSION_TO_PARENT", "REJECT", "INSTANTIATE_IOV", "INVALIDATE"),
            *("GET_PERSISTENT", "DH_COMPUTE", "PKEY_QUERY", "PKEY_ENCRYPT", "PKEY_DECRYPT", "PKEY_SIGN"),
            *("PKEY_VERIFY", "RESTRICT_KEYRING", "MOVE", "CAPABILITIES", "WATCH_KEY"),
        )
    )
)  # linux/keyctl.h
_IPC = {0o1000: "IPC_CREAT", 0o2000: "IPC_EXCL", 0o4000: "SHM_HUGETLB"}
_TYPES = {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 4: "SOCK_RDM", 5: "SOCK_SEQPACKET", 6: "SOCK_DCCP"}
_TYPES[10] = "SOCK_PACKET"
_FAMILIES = {
    number: f"AF_{name}"
    for number, name in enumerate(
        """
        UNSPEC UNIX INET AX25 IPX APPLETALK NETROM BRIDGE ATMPVC X25 INET6 ROSE DECnet NETBEUI SECURITY KEY NETLINK
        PACKET ASH ECONET ATMSVC RDS SNA IRDA PPPOX WANPIPE LLC IB MPLS CAN TIPC BLUETOOTH IUCV RXRPC ISDN PHONET
        IEEE802154 CAIF ALG NFC VSOCK KCM QIPCRTR SMC XDP MCTP
        """.split()  # noqa: SIM905
    )
}  # linux/socket.h


def _flags(value: int, names: Mapping[int, str]) -> Symbol:
    return Symbol("|".join(name for bit, name in names.items() if value & bit == bit) or "0")


def open_flags(value: int) -> Symbol:
    """Return the flags of open() by name."""
    rest = _flags(value, _OPEN).text
    return Symbol("|".join(part for part in (_OPEN_ACCESS[value & 3], rest if rest != "0" else "") if part))


def family(value: int) -> str:
    """Return the name of an address family, the number as text if it has none."""
    return _FAMILIES.get(value, str(value))


def socket_type(value: int) -> str:
    """Return the name of a socket type, the number as text if it has none."""
    return _TYPES.get(value & 0xF, str(value & 0xF))


def _one_of(value: int, names: Mapping[int, str], prefix: str = "") -> Value:
    return Symbol(prefix + names[value]) if value in names else value


def _scheduler(value: int) -> Symbol:
    policy = value & ~_RESET_ON_FORK
    name = _SCHEDULERS[policy] if policy < len(_SCHEDULERS) else str(policy)
    return Symbol(f"{name}|SCHED_RESET_ON_FORK" if value & _RESET_ON_FORK else name)


_FLAG_WORDS: dict[str, dict[int, Mapping[int, str]]] = {
    **{name: {3: _AT} for name in ("newfstatat", "fstatat64", "faccessat2", "fchmodat2", "utimensat")},
    **{name: {2: _AT} for name in ("statx", "open_tree")},
    **{name: {4: _AT} for name in ("name_to_handle_at", "fchownat", "linkat", "execveat")},
    "inotify_add_watch": {2: {0x02000000: "IN_DONT_FOLLOW"}},
    "fanotify_mark": {1: {4: "FAN_MARK_DONT_FOLLOW"}},
    "renameat2": {4: _RENAME},
    **{name: {0: _NAMESPACES} for name in ("clone", "unshare", "clone3")},
    "setns": {1: _NAMESPACES},
    **{name: {2: _PROTECTION} for name in ("mprotect", "pkey_mprotect")},
    **{name: {2: _PROTECTION, 3: {0x20: "MAP_ANONYMOUS"}} for name in ("mmap", "mmap2")},
    "shmat": {2: {0o100000: "SHM_EXEC"}},
    **{name: {2: _IPC} for name in ("shmget", "semget")},
    "msgget": {1: _IPC},
    "mq_open": {1: {0o100: "O_CREAT", 0o200: "O_EXCL"}},
}
_ACCESS_AT = {"access": 1, "faccessat": 2, "faccessat2": 2}
_OPEN_AT = {"open": 1, "openat": 2, "open_by_handle_at": 2}
_CLOCK_CALLS = frozenset(
    {"clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "timer_create", "timerfd_create"}
)


def in_words(name: str, given: tuple[int, ...]) -> list[Value]:
    """Return a call's arguments with their flags and constants by name; ``given`` are the masked numbers."""
    values: list[Value] = list(given)
    for position, names in _FLAG_WORDS.get(name, {}).items():
        values[position] = _flags(given[position], names)
    if name in _ACCESS_AT:
        values[_ACCESS_AT[name]] = _flags(given[_ACCESS_AT[name]], _ACCESS)
    elif name in _OPEN_AT:
        values[_OPEN_AT[name]] = open_flags(given[_OPEN_AT[name]])
    elif name in _CLOCK_CALLS:
        values[0] = _one_of(given[0], _CLOCKS)
    else:
        _special(name, given, values)
    return values


def _special(name: str, given: tuple[int, ...], values: list[Value]) -> None:
    if name == "openat2":
        values[2] = Struct({"flags": open_flags(given[2]), "mode": given[3]})
    elif name == "clone3":
        values[0] = Struct({"flags": values[0]})
    elif name == "sched_setscheduler":
        values[1] = _scheduler(given[1])
    elif name == "sched_setattr":
        reset = Symbol("SCHED_FLAG_RESET_ON_FORK" if given[2] & 1 else "0")
        values[1] = Struct({"sched_policy": _scheduler(given[1]), "sched_flags": reset})
    elif name == "capset":
        sets = zip(("effective", "permitted", "inheritable"), given[1:4], strict=True)
        values[1] = Struct({which: Symbol("|".join(sorted(capabilities_in(bits)))) for which, bits in sets})
    elif name == "keyctl":
        values[0] = _one_of(given[0], _KEYCTL, "KEYCTL_")
    elif name == "socket":
        values[0], values[1] = Symbol(family(given[0])), Symbol(socket_type(given[1]))
    elif name == "ioctl":
        known = numbers()["ioctls"]
        values[1] = Symbol(known[given[1]]) if given[1] in known else given[1]
    elif name in {"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"}:
        values[0] = given[0] - (1 << 32) if given[0] >> 31 & 1 else given[0]


def socket_address(data: bytes) -> Struct | None:
    """Return the ``struct sockaddr`` in these bytes, ``None`` if there is none."""
    if len(data) < 2:
        return None
    (number,) = struct.unpack_from("=H", data)
    fields: dict[str, Value] = {"sa_family": Symbol(family(number))}
    rest = data[2:]
    if number == socket.AF_UNIX:
        fields["sun_path"] = rest
    elif number == socket.AF_INET and len(data) >= 8:
        fields["sin_port"] = int.from_bytes(data[2:4], "big")
        fields["sin_addr"] = socket.inet_ntop(socket.AF_INET, data[4:8]).encode()
    elif number == socket.AF_INET6 and len(data) >= 24:
        fields["sin6_port"] = int.from_bytes(data[2:4], "big")
        fields["sin6_addr"] = socket.inet_ntop(socket.AF_INET6, data[8:24]).encode()
    return Struct(fields)
