"""Sockets: which kinds are opened, and which addresses they meet."""

from __future__ import annotations

import re
import socket as numbers
import stat
from collections.abc import Iterator

from policy.behaviour import Access, FileKind, SocketAddress, SocketOpened
from profiler.normalise import arguments
from profiler.normalise.addresses import Address, address
from profiler.normalise.credentials import Credentials
from profiler.normalise.path_uses import use
from profiler.normalise.sighting import Sighting, handles
from profiler.normalise.sockets import Socket
from profiler.recorders.base import Struct, Value

_NETLINK = {
    "ROUTE": 0,
    "USERSOCK": 2,
    "FIREWALL": 3,
    "SOCK_DIAG": 4,
    "INET_DIAG": 4,
    "NFLOG": 5,
    "XFRM": 6,
    "SELINUX": 7,
    "ISCSI": 8,
    "AUDIT": 9,
    "FIB_LOOKUP": 10,
    "CONNECTOR": 11,
    "NETFILTER": 12,
    "IP6_FW": 13,
    "DNRTMSG": 14,
    "KOBJECT_UEVENT": 15,
    "GENERIC": 16,
    "SCSITRANSPORT": 18,
    "ECRYPTFS": 19,
    "RDMA": 20,
    "CRYPTO": 21,
    "SMC": 22,
}  # linux/netlink.h
_AUDIT = 9
_ASKED_FOR_ALL = {6: "XFRM", 12: "NETFILTER"}
"""Protocols that want CAP_NET_ADMIN for every message, questions too (xfrm_user_rcv_msg(), nfnetlink_rcv())."""
_GENERIC = 16
_FREE_GROUPS = frozenset({0, 4, 7, 9, 15, 16})
"""Protocols whose groups everybody may join (NL_CFG_F_NONROOT_RECV of net/netlink/af_netlink.c and its users)."""
_ABOUT_FAMILIES = frozenset({"nlctrl", "RTM_NEWLINK", "0x10"})
"""How recorders show the type 16: with the generic protocol, questions about its families, free for everybody."""
_ETHERNET = {"ETH_P_ALL": 3, "ETH_P_IP": 0x0800, "ETH_P_ARP": 0x0806, "ETH_P_IPV6": 0x86DD, "ETH_P_LLDP": 0x88CC}
_PORTED = frozenset({"SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET", ""})
_CHANGING = re.compile(r"RTM_(NEW|DEL|SET)\w*")


@handles("socket")
def _socket(sighting: Sighting) -> None:
    kind = kind_of_socket(sighting)
    sighting.emit(SocketOpened(kind.family, kind.type, kind.protocol))
    if kind.family == "AF_PACKET" or (kind.type == "SOCK_RAW" and kind.family in {"AF_INET", "AF_INET6", "AF_XDP"}):
        sighting.needs("CAP_NET_RAW", f"socket({kind.family}, {kind.type})")
    elif kind.family == "AF_KEY":
        sighting.needs("CAP_NET_ADMIN", "socket(AF_KEY)")


def kind_of_socket(sighting: Sighting) -> Socket:
    """Return what a socket() or socketpair() call asks for."""
    family = arguments.word(sighting.argument(0))
    kinds = sorted(
        flag for flag in arguments.flags(sighting.argument(1)) if flag not in {"SOCK_CLOEXEC", "SOCK_NONBLOCK"}
    )
    kind = kinds[0] if kinds else arguments.word(sighting.argument(1))
    return Socket(family, kind, _protocol(family, sighting.argument(2)))


def _protocol(family: str, value: Value) -> int:
    name = arguments.word(value)
    if isinstance(value, int):
        # strace gives ETH_P_ALL through htons(); a bare number of AF_PACKET is in network order.
        return numbers.ntohs(value & 0xFFFF) if family == "AF_PACKET" and value > 0xFF else value
    if name.startswith("NETLINK_"):
        return _NETLINK.get(name.removeprefix("NETLINK_"), 0)
    ethernet = re.search(r"ETH_P_\w+", name)
    if ethernet is not None:
        return _ETHERNET.get(ethernet.group(), 0)
    return int(getattr(numbers, name, 0)) if name.startswith("IPPROTO_") else 0


@handles("bind")
def _bind(sighting: Sighting) -> None:
    where = address(sighting.argument(1))
    if where is None:
        return
    known = _known(sighting, where.family)
    if where.path is not None:
        _bind_path(sighting, where.path)
        return
    _meet(sighting, "bind", known, where)
    start = sighting.ledger.objects.setting("net/ipv4/ip_unprivileged_port_start", 1024)
    if where.family in {"AF_INET", "AF_INET6"} and known.type in _PORTED and 0 < where.port < start:
        sighting.needs("CAP_NET_BIND_SERVICE", f"bind to port {where.port}")
    if known.family == "AF_NETLINK" and arguments.field(sighting.argument(1), "nl_groups"):
        netlink_group(sighting, known)


def netlink_group(sighting: Sighting, known: Socket) -> None:
    """Record the capability that listening to a group of a netlink socket made necessary (netlink(7))."""
    if known.protocol == _AUDIT:
        sighting.needs("CAP_AUDIT_READ", "bind of an audit socket to a multicast group")
    elif known.protocol not in _FREE_GROUPS:
        sighting.needs("CAP_NET_ADMIN", f"group of netlink protocol {known.protocol}")


def _bind_path(sighting: Sighting, name: bytes) -> None:
    place = sighting.find(name, -100, follow=False)
    use(sighting, place, Access.BIND, kind=FileKind.SOCKET)
    if place is not None and sighting.succeeded:
        sighting.ledger.ownership.created(sighting.process, place.real, stat.S_IFSOCK | 0o777, sighting.call.time)


@handles("connect")
def _connect(sighting: Sighting) -> None:
    _outgoing(sighting, "connect", address(sighting.argument(1)))


@handles("sendto")
def _send_to(sighting: Sighting) -> None:
    _outgoing(sighting, "send", address(sighting.argument(4)))
    _netlink(sighting, sighting.argument(1))


@handles("sendmsg", "sendmmsg")
def _send_message(sighting: Sighting) -> None:
    for message in _messages(sighting.argument(1)):
        _outgoing(sighting, "send", address(message.fields.get("msg_name")))
        _netlink(sighting, message.fields.get("msg_iov"))
        _credentials_passed(sighting, message.fields.get("msg_control"))


@handles("accept", "accept4")
def _accept(sighting: Sighting) -> None:
    _incoming(sighting, "accept", address(sighting.argument(1)))


@handles("recvfrom")
def _receive(sighting: Sighting) -> None:
    _incoming(sighting, "receive", address(sighting.argument(4)))


@handles("recvmsg", "recvmmsg")
def _receive_message(sighting: Sighting) -> None:
    for message in _messages(sighting.argument(1)):
        _incoming(sighting, "receive", address(message.fields.get("msg_name")))


def _messages(value: Value) -> Iterator[Struct]:
    # One struct msghdr, or the array of struct mmsghdr that sendmmsg() and recvmmsg() take.
    if isinstance(value, tuple):
        for item in value:
            yield from _messages(item)
    elif isinstance(value, Struct):
        inner = value.fields.get("msg_hdr")
        yield inner if isinstance(inner, Struct) else value


def _outgoing(sighting: Sighting, operation: str, where: Address | None) -> None:
    if where is None:
        return
    if where.path is not None:
        use(sighting, sighting.find(where.path, -100), Access.CONNECT)
        return
    known = _known(sighting, where.family)
    # From a socket with a name of its own, datagrams are answers: to anybody.
    _meet(sighting, operation, known, where.generalised() if operation == "send" and known.bound else where)


def _incoming(sighting: Sighting, operation: str, where: Address | None) -> None:
    if where is not None and where.path is None and where.family != "AF_UNIX" and sighting.succeeded:
        _meet(sighting, operation, _known(sighting, where.family), where.generalised())


def _known(sighting: Sighting, family: str) -> Socket:
    return sighting.ledger.sockets.learn(sighting.descriptor_name(sighting.argument(0)), family=family)


def _meet(sighting: Sighting, operation: str, known: Socket, where: Address) -> None:
    # AF_UNSPEC dissolves an association; the socket's own family does not matter then.
    if where.family not in {"AF_UNSPEC", "AF_NETLINK"}:
        sighting.emit(SocketAddress(operation, where.family, known.type, where.host, where.port))


def _netlink(sighting: Sighting, value: Value) -> None:
    known = sighting.ledger.sockets.get(sighting.descriptor_name(sighting.argument(0)))
    if known.family != "AF_NETLINK":
        return
    if known.protocol == _AUDIT:
        sighting.needs("CAP_AUDIT_WRITE", "message to the audit system")
    elif known.protocol in _ASKED_FOR_ALL:
        sighting.needs("CAP_NET_ADMIN", f"netlink message to {_ASKED_FOR_ALL[known.protocol]}")
    elif known.protocol == _GENERIC:
        _generic_netlink(sighting, _message_types(value, 0))
    else:
        for name in sorted(_message_types(value, 0)):
            if _CHANGING.fullmatch(name):
                sighting.needs("CAP_NET_ADMIN", f"netlink message {name}")


def _generic_netlink(sighting: Sighting, types: set[str]) -> None:
    # Each family says which of its commands want CAP_NET_ADMIN (GENL_ADMIN_PERM); the command is not recorded.
    if any(name not in _ABOUT_FAMILIES and not name.startswith("NLMSG_") for name in types):
        sighting.needs("CAP_NET_ADMIN", "generic netlink message (what was asked for is not known)")


def _message_types(value: Value, depth: int) -> set[str]:
    found: set[str] = set()
    if isinstance(value, Struct):
        found.add(arguments.word(value.fields.get("nlmsg_type")))
    children = value.fields.values() if isinstance(value, Struct) else value if isinstance(value, tuple) else ()
    if depth < 6:
        for child in children:
            found |= _message_types(child, depth + 1)
    return found - {""}


def _credentials_passed(sighting: Sighting, value: Value) -> None:
    # SCM_CREDENTIALS with ids that are not the sender's own (unix(7)).
    for control in value if isinstance(value, tuple) else ():
        data = arguments.field(control, "cmsg_data")
        if arguments.word(arguments.field(control, "cmsg_type")) != "SCM_CREDENTIALS" or not isinstance(data, Struct):
            continue
        mine: Credentials = sighting.process.credentials
        user, group = arguments.identifier(data.fields.get("uid")), arguments.identifier(data.fields.get("gid"))
        if arguments.number(data.fields.get("pid")) not in {sighting.process.leader, sighting.process.pid}:
            sighting.needs("CAP_SYS_ADMIN", "SCM_CREDENTIALS with the pid of another process")
        if user is not None and user not in {mine.user.real, mine.user.effective, mine.user.saved}:
            sighting.needs("CAP_SETUID", "SCM_CREDENTIALS with another user")
        if group is not None and group not in {mine.group.real, mine.group.effective, mine.group.saved}:
            sighting.needs("CAP_SETGID", "SCM_CREDENTIALS with another group")
