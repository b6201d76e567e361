"""Network control through the service's cgroup: packets by address and interface, bind() by port.

BPF programs of the cgroup do it (systemd ``bpf-firewall.c``, ``socket-bind.c``, ``restrict-ifaces.c``), so it holds
for sockets made by the service only, and not at all where systemd may not use bpf(2).
"""

from __future__ import annotations

from dataclasses import dataclass

from policy.behaviour import Fact, SocketAddress
from policy.sandbox.addresses import Network, is_loopback, is_within, parse_address
from policy.sandbox.denial import Denial


@dataclass(frozen=True)
class BindRule:
    """One rule of SocketBindAllow= or SocketBindDeny=; an empty family or protocol, or 0 ports, means any."""

    family: str = ""
    protocol: str = ""
    first_port: int = 0
    ports: int = 0

    def matches(self, address: SocketAddress) -> bool:
        """Whether the rule is about this bind(). Port 0 is met by rules for any port, and for port 0 where
        systemd reads such (``socket-bind.bpf.c``)."""
        protocol = {"SOCK_STREAM": "tcp", "SOCK_DGRAM": "udp"}.get(address.type, "")
        return (
            self.family in {"", address.family}
            and self.protocol in {"", protocol}
            and (self.ports == 0 or self.first_port <= address.port < self.first_port + self.ports)
        )


@dataclass
class NetworkControl:
    """What the cgroup's programs let through. ``interfaces`` and its kind are those of RestrictNetworkInterfaces=."""

    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()
    denied_by: tuple[str, str] | None = None
    keeps_passed_sockets: bool = False  # socket-activated: sockets made outside belong to another cgroup
    bind_allowed: tuple[BindRule, ...] = ()
    bind_denied: tuple[BindRule, ...] = ()
    bind_denied_by: tuple[str, str] | None = None
    interfaces: frozenset[str] | None = None
    interfaces_allow_list: bool = False
    interfaces_by: tuple[str, str] | None = None

    def judge(self, fact: Fact) -> Denial | None:
        """Deny what bind() refuses, then packets that do not pass. A packet that is dropped shows as no answer."""
        address = fact.behaviour
        if not isinstance(address, SocketAddress) or address.family not in {"AF_INET", "AF_INET6"}:
            return None
        if address.operation == "bind":
            return self._judge_bind(fact, address)
        if self.keeps_passed_sockets and address.operation in {"accept", "receive"}:
            return None
        blamed = self._packet_denied_by(address)
        if blamed is None:
            return None
        outcome, note = _packet_outcome(address)
        return Denial(fact, *blamed, outcome, note) if outcome != fact.outcome else None

    def _judge_bind(self, fact: Fact, address: SocketAddress) -> Denial | None:
        refused = any(rule.matches(address) for rule in self.bind_denied)
        allowed = any(rule.matches(address) for rule in self.bind_allowed)
        if not refused or allowed or self.bind_denied_by is None or fact.outcome == "EPERM":
            return None
        return Denial(fact, *self.bind_denied_by, "EPERM")

    def _packet_denied_by(self, address: SocketAddress) -> tuple[str, str] | None:
        number = parse_address(address.address)
        if number is not None and is_within(number, self.denied) and not is_within(number, self.allowed):
            return self.denied_by
        if self.interfaces_by and self.interfaces is not None and not self._may_use_interface(address):
            return self.interfaces_by
        return None

    def _may_use_interface(self, address: SocketAddress) -> bool:
        # Facts do not know interfaces: the loopback addresses are on lo, the others on something else.
        interfaces = self.interfaces or frozenset()
        if is_loopback(address.address):
            return ("lo" in interfaces) == self.interfaces_allow_list
        return not self.interfaces_allow_list or bool(interfaces - {"lo"})


def _packet_outcome(address: SocketAddress) -> tuple[str, str]:
    if address.operation in {"accept", "receive"}:
        return "ETIMEDOUT", "the packets never arrive"
    if address.type == "SOCK_STREAM":
        return "ETIMEDOUT", "the packets are dropped, so the call hangs"
    return "EPERM", "sending fails"


def reached(facts: tuple[Fact, ...]) -> tuple[SocketAddress, ...]:
    """Return the Internet addresses that were used with or without success, in order."""
    return tuple(
        fact.behaviour
        for fact in facts
        if isinstance(fact.behaviour, SocketAddress) and fact.behaviour.family in {"AF_INET", "AF_INET6"}
    )
