"""The twin's network: a machine with one interface, whose router has no uplink.

With nothing but a loopback, getaddrinfo(3) with AI_ADDRCONFIG would find no names at all, and services that look for
their own address would behave otherwise than on the host. So there is a pair of veth interfaces: one end in the twin,
with addresses for documentation (RFC 5737, RFC 3849) and default routes; the other end in a second namespace with
nothing else in it, which answers "network unreachable" to whatever wants to leave. Nothing can reach the real network.
"""

from __future__ import annotations

import os
from pathlib import Path

from profiler import run
from profiler.errors import CommandFailed, ToolError
from profiler.twin import kernel_calls
from profiler.twin.kernel_calls import Namespace

PATIENCE = 20.0
"""Seconds that ip(8) may take."""

INTERFACE = "eth0"
ADDRESS_4, ROUTER_4 = "192.0.2.10", "192.0.2.1"
ADDRESS_6, ROUTER_6 = "2001:db8::10", "2001:db8::1"

TWIN_SIDE = f"""link set lo up
address add {ADDRESS_4}/24 dev {INTERFACE}
link set {INTERFACE} up
route add default via {ROUTER_4}
"""
TWIN_SIDE_6 = f"""address add {ADDRESS_6}/64 dev {INTERFACE} nodad
route add default via {ROUTER_6}
"""
ROUTER_SIDE = f"""link set lo up
address add {ROUTER_4}/24 dev uplink
link set uplink up
"""
ROUTER_SIDE_6 = f"""address add {ROUTER_6}/64 dev uplink nodad
"""

SETTINGS = Path("/proc/sys/net")
IPV6 = SETTINGS / "ipv6"

TAKEN_FROM_THE_HOST = (
    "core/somaxconn",
    "ipv4/ip_local_port_range",
    "ipv4/ip_nonlocal_bind",
    "ipv4/ip_unprivileged_port_start",
    "ipv4/ping_group_range",
    "ipv6/bindv6only",
    "ipv6/ip_nonlocal_bind",
)
"""A new network has the kernel's defaults; these decide which calls of a service succeed."""

SETTLED_AT_ONCE = {"ipv6/conf/default/accept_dad": "0"}
"""The addresses of a machine that has been up for a while are in use, not tentative."""

ROUTER = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    # Without limits, so that every packet is answered at once and no service waits for a timeout.
    "ipv4/icmp_ratelimit": "0",
    "ipv6/icmp/ratelimit": "0",
}


def make_dead_end() -> int:
    """Make both namespaces, leave this process in the router's, and return a descriptor of the twin's.

    Raises ToolError if this kernel or the rights of this process do not allow it.
    """
    host = {name: (SETTINGS / name).read_text("ascii") for name in TAKEN_FROM_THE_HOST if (SETTINGS / name).exists()}
    try:
        kernel_calls.unshare(Namespace.NETWORK)
        twin_side = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _set({**host, **SETTLED_AT_ONCE})
        kernel_calls.unshare(Namespace.NETWORK)
        _set(ROUTER)
    except OSError as error:
        raise ToolError(
            f"cannot make a network for the twin: {error.strerror}", hint="a twin needs root with CAP_SYS_ADMIN"
        ) from None
    _connect(twin_side)
    return twin_side


def _set(values: dict[str, str]) -> None:
    """Change settings of the network that this process is in; those that this kernel does not have are left out."""
    for name, value in values.items():
        if (SETTINGS / name).exists():
            (SETTINGS / name).write_text(value, encoding="ascii")


def path_of(descriptor: int) -> str:
    """Return a path by which other programs can open a descriptor of this process."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def _connect(twin_side: int) -> None:
    namespace = path_of(twin_side)
    pair = ["ip", "link", "add", "uplink", "type", "veth", "peer", "name", INTERFACE, "netns", namespace]
    try:
        run.run(pair, timeout=PATIENCE)
        run.run(
            ["nsenter", f"--net={namespace}", "ip", "-batch", "-"],
            stdin=TWIN_SIDE + (TWIN_SIDE_6 if IPV6.exists() else ""),
            timeout=PATIENCE,
        )
        run.run(["ip", "-batch", "-"], stdin=ROUTER_SIDE + (ROUTER_SIDE_6 if IPV6.exists() else ""), timeout=PATIENCE)
    except CommandFailed as error:
        raise ToolError(
            f"cannot give the twin a network: {error.message}", hint="the kernel needs veth; run: modprobe veth"
        ) from None
