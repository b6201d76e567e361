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

INTERFACE = "eth0"
ADDRESS_4, ROUTER_4 = "192.0.2.10", "192.0.2.1"
ADDRESS_6, ROUTER_6 = "2001:db8::10", "2001:db8::1"

TWIN_SIDE = f"""link set lo up
address add {ADDRESS_4}/24 dev {INTERFACE}
address add {ADDRESS_6}/64 dev {INTERFACE} nodad
link set {INTERFACE} up
route add default via {ROUTER_4}
route add default via {ROUTER_6}
"""

ROUTER_SIDE = f"""link set lo up
address add {ROUTER_4}/24 dev uplink
address add {ROUTER_6}/64 dev uplink nodad
link set uplink up
"""

FORWARDING = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")


def make_dead_end() -> int:
    """Make both namespaces, leave this process in the router's, and return a descriptor of the twin's.

    Raises ToolError if this kernel or the rights of this process do not allow it.
    """
    try:
        kernel_calls.unshare(Namespace.NETWORK)
        twin_side = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        kernel_calls.unshare(Namespace.NETWORK)
    except OSError as error:
        raise ToolError(
            f"cannot make a network namespace: {error.strerror}", hint="a twin needs root with CAP_SYS_ADMIN"
        ) from None
    _connect(twin_side)
    return twin_side


def path_of(descriptor: int) -> str:
    """Return a path by which other programs can open a descriptor of this process."""
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def _connect(twin_side: int) -> None:
    namespace = path_of(twin_side)
    try:
        run.run(
            ["ip", "link", "add", "uplink", "type", "veth", "peer", "name", INTERFACE, "netns", namespace], timeout=20
        )
        run.run(["nsenter", f"--net={namespace}", "ip", "-batch", "-"], stdin=TWIN_SIDE, timeout=20)
        run.run(["ip", "-batch", "-"], stdin=ROUTER_SIDE, timeout=20)
    except CommandFailed as error:
        raise ToolError(
            f"cannot give the twin a network: {error.message}", hint="the kernel needs veth; run: modprobe veth"
        ) from None
    for setting in FORWARDING:
        if Path(setting).exists():
            Path(setting).write_text("1\n", encoding="ascii")
