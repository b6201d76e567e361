"""setsockopt(), and calls that tell more about a socket; which options need a capability.

socket(7), ip(7), ipv6(7), tcp(7), netlink(7); sk_setsockopt() and its kin of Linux 6.x.
"""

from __future__ import annotations

from profiler.normalise import arguments
from profiler.normalise.network import netlink_group
from profiler.normalise.sighting import Sighting, handles
from profiler.recorders.base import Value

_RAW_OR_ADMIN = ("CAP_NET_RAW", "CAP_NET_ADMIN")  # the kernel asks in this order
_ADMIN = ("CAP_NET_ADMIN",)
_RAW = ("CAP_NET_RAW",)

_PRIVILEGED = {
    "SO_DEBUG": _ADMIN,
    "SO_MARK": _RAW_OR_ADMIN,
    "SO_RCVBUFFORCE": _ADMIN,
    "SO_SNDBUFFORCE": _ADMIN,
    "SO_PREFER_BUSY_POLL": _ADMIN,
    "SO_BUSY_POLL_BUDGET": _ADMIN,
    "IP_TRANSPARENT": _RAW_OR_ADMIN,
    "IPV6_TRANSPARENT": _RAW_OR_ADMIN,
    "IP_IPSEC_POLICY": _ADMIN,
    "IP_XFRM_POLICY": _ADMIN,
    "IPV6_IPSEC_POLICY": _ADMIN,
    "IPV6_XFRM_POLICY": _ADMIN,
    "IPV6_HOPOPTS": _RAW,
    "IPV6_RTHDRDSTOPTS": _RAW,
    "IPV6_DSTOPTS": _RAW,
    "IPT_SO_SET_REPLACE": _ADMIN,
    "IPT_SO_SET_ADD_COUNTERS": _ADMIN,
    "IP6T_SO_SET_REPLACE": _ADMIN,
    "IP6T_SO_SET_ADD_COUNTERS": _ADMIN,
    "ARPT_SO_SET_REPLACE": _ADMIN,
    "EBT_SO_SET_ENTRIES": _ADMIN,
    "MRT_INIT": _ADMIN,
    "MRT6_INIT": _ADMIN,
    "TCP_REPAIR": _ADMIN,
    "SO_TXTIME": _ADMIN,  # with another clock than CLOCK_MONOTONIC
    "NETLINK_LISTEN_ALL_NSID": ("CAP_NET_BROADCAST",),
}

_HARMLESS_WHEN_OFF = frozenset({"SO_DEBUG", "IP_TRANSPARENT", "IPV6_TRANSPARENT", "SO_PREFER_BUSY_POLL"})


@handles("setsockopt")
def _set_option(sighting: Sighting) -> None:
    option, value = arguments.word(sighting.argument(2)), sighting.argument(3)
    name = sighting.descriptor_name(sighting.argument(0))
    known = sighting.ledger.sockets.get(name)
    if option == "SO_BINDTODEVICE":
        # Since Linux 5.7 free for a socket that is not bound to a device yet.
        if known.device:
            sighting.needs("CAP_NET_RAW", "SO_BINDTODEVICE on a socket that was bound to a device")
        if sighting.succeeded:
            sighting.ledger.sockets.learn(name, device=True)
    elif option == "NETLINK_ADD_MEMBERSHIP":
        netlink_group(sighting, known)
    elif option == "SO_PRIORITY":
        if not 0 <= arguments.number(value) <= 6:
            sighting.needs_one(_RAW_OR_ADMIN, f"SO_PRIORITY {arguments.number(value)}")
    elif option in _PRIVILEGED and not (option in _HARMLESS_WHEN_OFF and _is_zero(value)):
        sighting.needs_one(_PRIVILEGED[option], option)


def _is_zero(value: Value) -> bool:
    return arguments.number(value, otherwise=1) == 0


@handles("getsockopt")
def _get_option(sighting: Sighting) -> None:
    if sighting.succeeded and arguments.word(sighting.argument(2)) in {"SO_TYPE", "SO_DOMAIN"}:
        value = sighting.argument(3)
        told = arguments.word(value[0] if isinstance(value, tuple) and value else value)
        name = sighting.descriptor_name(sighting.argument(0))
        if told.startswith("SOCK_"):
            sighting.ledger.sockets.learn(name, type=told)
        elif told.startswith("AF_"):
            sighting.ledger.sockets.learn(name, family=told)
