"""Socket addresses and messages in memory, read into the structures that strace prints."""

from __future__ import annotations

import ipaddress
import struct

from profiler.recorders.base import Struct, Symbol, Value
from profiler.recorders.ptrace_names import constants

_CONTROL = struct.Struct("=Qii")  # struct cmsghdr of 64 bit


def socket_address(data: bytes) -> Struct:
    """Return a ``struct sockaddr`` with the fields that strace prints."""
    if len(data) < 2:
        return Struct({})
    (number,) = struct.unpack_from("=H", data)
    family = constants()["family"].get(number, str(number))
    fields: dict[str, Value] = {"sa_family": Symbol(family)}
    if family == "AF_UNIX":
        name = data[2:]
        fields["sun_path"] = name if name.startswith(b"\0") else name.partition(b"\0")[0]
    elif family == "AF_INET" and len(data) >= 8:
        fields["sin_port"] = struct.unpack_from("!H", data, 2)[0]
        fields["sin_addr"] = str(ipaddress.IPv4Address(data[4:8])).encode()
    elif family == "AF_INET6" and len(data) >= 24:
        fields["sin6_port"] = struct.unpack_from("!H", data, 2)[0]
        fields["sin6_addr"] = _ipv6(data[8:24])
    elif family == "AF_NETLINK" and len(data) >= 12:
        fields["nl_groups"] = struct.unpack_from("=I", data, 8)[0]
    return Struct(fields)


def _ipv6(data: bytes) -> bytes:
    # As inet_ntop(3) writes it: mapped addresses with dots.
    address = ipaddress.IPv6Address(data)
    return f"::ffff:{address.ipv4_mapped}".encode() if address.ipv4_mapped else str(address).encode()


def netlink_header(data: bytes) -> Value:
    """Return the type of a netlink message; its contents are not looked at."""
    if len(data) < 6:
        return 0
    number = struct.unpack_from("=H", data, 4)[0]
    return Struct({"nlmsg_type": Symbol(constants()["route"].get(number, hex(number)))})


def message(parts: list[str | None] | None) -> Struct | None:
    """Return a ``struct msghdr`` from what the child read of it: address, control data, head of a netlink message."""
    if not parts or any(part is None for part in parts[:1]):
        return None
    name, control, head = (bytes.fromhex(part or "") for part in parts)
    fields: dict[str, Value] = {"msg_name": socket_address(name) if name else None}
    if head:
        fields["msg_iov"] = (netlink_header(head),)
    if control:
        fields["msg_control"] = tuple(_controls(control))
    return Struct(fields)


def _controls(data: bytes) -> list[Struct]:
    found = []
    while len(data) >= _CONTROL.size:
        length, level, kind = _CONTROL.unpack_from(data)
        if length < _CONTROL.size:
            break
        content = data[_CONTROL.size : length]
        if (level, kind) == (1, 2) and len(content) >= 12:
            pid, user, group = struct.unpack_from("=iII", content)
            who = Struct({"pid": pid, "uid": user, "gid": group})
            found.append(Struct({"cmsg_type": Symbol("SCM_CREDENTIALS"), "cmsg_data": who}))
        elif (level, kind) == (1, 1):
            found.append(Struct({"cmsg_type": Symbol("SCM_RIGHTS")}))
        data = data[(length + 7) & ~7 :]
    return found
