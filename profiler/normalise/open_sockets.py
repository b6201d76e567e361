"""The sockets of a running process, as /proc/PID/net shows them (proc(5), net/ipv4/tcp_ipv4.c and its kin)."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from profiler.normalise.addresses import Address
from profiler.normalise.sockets import Socket

_INTERNET = {
    b"tcp": ("AF_INET", "SOCK_STREAM"),
    b"udp": ("AF_INET", "SOCK_DGRAM"),
    b"raw": ("AF_INET", "SOCK_RAW"),
    b"tcp6": ("AF_INET6", "SOCK_STREAM"),
    b"udp6": ("AF_INET6", "SOCK_DGRAM"),
    b"raw6": ("AF_INET6", "SOCK_RAW"),
}
_TYPES = {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 5: "SOCK_SEQPACKET"}
_UNIX = re.compile(rb"(?m)^\S+: \S+ \S+ (\S+) (\S+) \S+ +(\d+)(?: (.*))?$")
_LISTENING = 0x10000  # __SO_ACCEPTCON, include/uapi/linux/net.h
_MOST_BYTES = 1 << 24


@dataclass(frozen=True)
class OpenSocket:
    """A socket, and the address that it is bound to, if any."""

    socket: Socket
    address: Address | None = None


def open_sockets(place: bytes, names: set[bytes]) -> dict[bytes, OpenSocket]:
    """Return those of the sockets ``names`` (``socket:[12]``) that are listed in the /proc directory ``place``."""
    if not names:
        return {}
    found = {}
    for name, socket in _listed(place):
        if name in names:
            found[name] = socket
    return found


def _listed(place: bytes) -> Iterator[tuple[bytes, OpenSocket]]:
    for table, (family, kind) in _INTERNET.items():
        for line in _text(place, table).splitlines()[1:]:
            words = line.split()
            if len(words) >= 10:
                yield _name(words[9]), _internet(family, kind, words[1])
    for flags, kind, inode, path in _UNIX.findall(_text(place, b"unix")):
        bound = bool(int(flags, 16) & _LISTENING) or bool(path)
        address = _unix_address(path) if path else None
        yield _name(inode), OpenSocket(Socket("AF_UNIX", _TYPES.get(int(kind, 16), ""), 0, bound), address)
    for line in _text(place, b"netlink").splitlines()[1:]:
        words = line.split()
        if len(words) >= 10:
            yield _name(words[9]), OpenSocket(Socket("AF_NETLINK", "SOCK_RAW", int(words[1])))
    for line in _text(place, b"packet").splitlines()[1:]:
        words = line.split()
        if len(words) >= 9:
            yield _name(words[8]), OpenSocket(Socket("AF_PACKET", _TYPES.get(int(words[2]), ""), int(words[3], 16)))


def _internet(family: str, kind: str, local: bytes) -> OpenSocket:
    digits, _, port = local.partition(b":")
    words = bytes.fromhex(digits.decode())
    swapped = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))  # printed as the CPU's numbers
    number = int(port, 16)
    address = Address(family, str(ipaddress.ip_address(swapped)), number)
    return OpenSocket(Socket(family, kind, 0, bound=number != 0), address)


def _unix_address(path: bytes) -> Address:
    if path.startswith(b"@"):
        return Address("AF_UNIX", path.decode("utf-8", "surrogateescape"))
    return Address("AF_UNIX", path=path)


def _name(inode: bytes) -> bytes:
    return b"socket:[" + inode + b"]"


def _text(place: bytes, table: bytes) -> bytes:
    with contextlib.suppress(OSError), open(place + b"/net/" + table, "rb") as file:  # noqa: PTH123
        return file.read(_MOST_BYTES)
    return b""
