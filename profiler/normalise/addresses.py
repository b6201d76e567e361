"""Socket addresses as facts carry them."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass

from profiler.normalise import arguments
from profiler.recorders.base import Struct, Symbol, Value

_QUOTED = re.compile(r'"([0-9A-Fa-f:.%]*|((?:\\x[0-9a-f]{2})*))"')
_ANYBODY = {"AF_INET": "0.0.0.0", "AF_INET6": "::"}


@dataclass(frozen=True)
class Address:
    """An address: ``host`` as text, or ``path`` of a Unix socket, or an abstract name as ``host`` with ``@``."""

    family: str
    host: str = ""
    port: int = 0
    path: bytes | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is a loopback address (127/8, ::1, and the former mapped into IPv6)."""
        try:
            address = ipaddress.ip_address(self.host.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback

    def generalised(self) -> Address:
        """Return what a fact may keep of a peer that came by itself: whether it is local, nothing else."""
        if self.is_local or self.family not in _ANYBODY:
            return Address(self.family, self.host)
        return Address(self.family, _ANYBODY[self.family])


def address(value: Value) -> Address | None:
    """Return the address in a ``struct sockaddr``, ``None`` if there is none."""
    if not isinstance(value, Struct):
        return None
    family = arguments.word(value.fields.get("sa_family"))
    if not family:
        return None
    if family == "AF_UNIX":
        return _unix(value.fields.get("sun_path"))
    if family == "AF_INET":
        host, port = value.fields.get("sin_addr"), value.fields.get("sin_port")
    elif family == "AF_INET6":
        host, port = value.fields.get("sin6_addr", value.fields.get("0")), value.fields.get("sin6_port")
    else:
        return Address(family)
    return Address(family, _host(host), arguments.number(port))


def _host(value: Value) -> str:
    # As bytes, or as strace wrote it: inet_addr("127.0.0.1"), with -xx the characters inside in hexadecimal.
    if isinstance(value, bytes):
        return os.fsdecode(value)
    match = _QUOTED.search(value.text) if isinstance(value, Symbol) else None
    if match is None:
        return ""
    digits = (match.group(2) or "").replace("\\x", "")
    return bytes.fromhex(digits).decode("ascii", "replace") if digits else match.group(1)


def _unix(name: Value) -> Address:
    if not isinstance(name, bytes) or not name:
        return Address("AF_UNIX")
    if name.startswith(b"\0"):
        return Address("AF_UNIX", "@" + os.fsdecode(name[1:]))
    return Address("AF_UNIX", path=name)
