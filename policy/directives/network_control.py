"""What the cgroup of a service lets through: systemd.resource-control(5), "Network Accounting and Control"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses
from typing import ClassVar, Self

from policy.behaviour import Fact, SocketAddress
from policy.directives.base import Directive, Evidence
from policy.directives.network import INTERNET, met_addresses, used_families
from policy.host_facts import CONTROL_GROUP_PROGRAMS, HostFacts
from policy.level import Level
from policy.sandbox.addresses import Network, is_loopback, parse_address, parse_networks
from policy.sandbox.network import BindRule
from policy.sandbox.sandbox import Sandbox


@dataclass(frozen=True)
class _AddressList(Directive, abstract=True):
    # What IPAddressAllow= and IPAddressDeny= have in common: words that stand for networks.

    since: ClassVar = {"": 235}
    mechanism: ClassVar = CONTROL_GROUP_PROGRAMS
    manual: ClassVar = "systemd.resource-control(5), Network Accounting and Control"

    words: tuple[str, ...] = ()

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:  # noqa: ARG003  # the same in all versions
        """Add up the words since the last empty line; unknown ones are skipped."""
        words: tuple[str, ...] = ()
        for assignment in assignments:
            added = tuple(word for word in assignment.split() if parse_networks(word))
            words = (*words, *added) if assignment.strip() else ()
        return cls(tuple(dict.fromkeys(words)))

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks that the words stand for."""
        return tuple(network for word in self.words for network in parse_networks(word))

    def values(self) -> tuple[str, ...]:
        """Return a reset and the words."""
        return ("", " ".join(self.words)) if self.words else ()

    def intersected(self, own: Self) -> Self:
        """Leave a unit's own list alone."""
        return own if own.words else self

    def at_least_as_strict_as(self, other: Self) -> bool:
        """Compare the networks: what denies is stricter if it covers the other's, what allows if it is covered."""
        less, more = (self, other) if self.exception_of else (other, self)
        return all(any(_covers(outer, network) for outer in more.networks) for network in less.networks)

    def extent(self) -> frozenset[str]:
        """Return the words of a list that allows."""
        return frozenset(self.words) if self.exception_of else frozenset()

    @classmethod
    def has_own_lists(cls, evidence: Evidence) -> bool:
        """Whether the unit says anything about addresses itself."""
        return bool(evidence.unit.values("IPAddressAllow") or evidence.unit.values("IPAddressDeny"))


@dataclass(frozen=True)
class IPAddressDeny(_AddressList):
    """Drops packets to and from addresses. Only ``any`` is proposed; who else a service may meet does not show in its
    recording, so beyond the loopback addresses peers are listed at the level strict only (IPAddressAllow=).

    Facts are the addresses that sockets met. What parent slices deny, and whether systemd may use bpf(2) on the
    target, is not known to the model.
    """

    levels: ClassVar = (
        "compatible proposes it to services without the Internet families only; strict to all whose peers can be listed"
    )
    summary: ClassVar = "no packets to or from these addresses"
    denied_examples: ClassVar = {"any": Fact(SocketAddress("send", "AF_INET", "SOCK_DGRAM", "192.0.2.1", 53))}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose ``any`` for a service without the Internet families, and for one that met loopback addresses only."""
        reaches = {"none"} if evidence.level is Level.COMPATIBLE else {"none", "loopback"}
        reached = reached_addresses(evidence)
        is_free = (reached in reaches or bool(peers(evidence))) and not cls.has_own_lists(evidence)
        return [cls(("any",))] if is_free else ()

    def contribute(self, sandbox: Sandbox) -> None:
        """Deny the networks."""
        if self.words:
            name = type(self).__name__
            sandbox.network.denied = self.networks
            sandbox.network.denied_by = (name, f"{name}={' '.join(self.words)}")
            sandbox.network.keeps_passed_sockets = sandbox.unit.socket_activated


@dataclass(frozen=True)
class IPAddressAllow(_AddressList):
    """Lets packets through that IPAddressDeny= would drop. Facts as there."""

    levels: ClassVar = "as IPAddressDeny="
    exception_of: ClassVar = ("IPAddressDeny",)
    summary: ClassVar = "exceptions from IPAddressDeny="
    denied_examples: ClassVar = {}
    boost_only: ClassVar = True

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose ``localhost`` beside IPAddressDeny=any for a service that met loopback addresses only; at the level
        strict the recorded peers."""
        if cls.has_own_lists(evidence):
            return ()
        if reached_addresses(evidence) == "loopback":
            return [cls(("localhost",))]
        return [cls(peers(evidence))] if peers(evidence) else ()

    def contribute(self, sandbox: Sandbox) -> None:
        """Allow the networks."""
        sandbox.network.allowed = self.networks


def reached_addresses(evidence: Evidence) -> str:
    """Return how far the service reached: ``none``, ``loopback``, ``further``, or ``unknown``."""
    if not evidence.start_up_observed or evidence.uses_rings or evidence.unit.socket_activated:
        return "unknown"
    addresses = [address.address for address in met_addresses(evidence) if address.family in INTERNET]
    if not used_families(evidence) & (INTERNET | {"AF_PACKET"}) and not addresses:
        return "none"
    if "AF_PACKET" in used_families(evidence):
        return "unknown"
    # A socket that met no address reached nobody; more facts must never make it stricter, so it counts as loopback.
    return "loopback" if all(map(is_loopback, addresses)) else "further"


MOST_PEERS = 50
"""With more networks than this, peers are not listed: each packet is held against the list."""


def peers(evidence: Evidence) -> tuple[str, ...]:
    """Return the networks that a service met at the level strict, the loopback ones as ``localhost``; none if they
    cannot be listed."""
    if evidence.level is not Level.STRICT or reached_addresses(evidence) != "further":
        return ()
    met = {one.address for one in met_addresses(evidence) if one.family in INTERNET and one.operation != "bind"}
    addresses = {parse_address(text) for text in met if not is_loopback(text)}
    if not addresses or None in addresses:
        return ()
    fourth = [IPv4Network(address) for address in addresses if isinstance(address, IPv4Address)]
    sixth = [IPv6Network(address) for address in addresses if isinstance(address, IPv6Address)]
    networks: list[Network] = [*collapse_addresses(fourth), *collapse_addresses(sixth)]
    return ("localhost", *map(_word, networks)) if len(networks) <= MOST_PEERS else ()


def _word(network: Network) -> str:
    return str(network.network_address if network.num_addresses == 1 else network)


@dataclass(frozen=True)
class _BindList(Directive, abstract=True):
    # What SocketBindAllow= and SocketBindDeny= have in common: rules about bind(2).

    needs: ClassVar = ("BPF_FRAMEWORK",)
    loads: ClassVar = ("libbpf",)
    mechanism: ClassVar = CONTROL_GROUP_PROGRAMS

    since: ClassVar = {"": 249}
    manual: ClassVar = "systemd.resource-control(5), Network Accounting and Control"

    rules: tuple[str, ...] = ()

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Collect the rules since the last empty line; one that systemd cannot read is skipped."""
        rules: tuple[str, ...] = ()
        for assignment in (text.strip() for text in assignments):
            readable = host.systemd_version >= 249 and parse_bind_rule(assignment, lowest_port(host)) is not None
            rules = (*rules, *((assignment,) if readable else ())) if assignment else ()
        return cls(rules)

    @classmethod
    def is_free(cls, evidence: Evidence) -> bool:
        """Whether rules can be proposed: at the level strict, where the target enforces them and the unit has none."""
        own = evidence.unit.values("SocketBindAllow") or evidence.unit.values("SocketBindDeny")
        seen = evidence.start_up_observed and not evidence.uses_rings
        return evidence.level is Level.STRICT and seen and enforces_bpf(evidence.host) and not own

    def intersected(self, own: Self) -> Self:
        """Leave a unit's own rules alone."""
        return own if own.rules else self

    def at_least_as_strict_as(self, other: Self) -> bool:
        """Compare the rules: what denies is stricter if it has all of them, what allows if it has no more."""
        rules, others = frozenset(self.rules), frozenset(other.rules)
        return rules <= others if self.exception_of else others <= rules

    def extent(self) -> frozenset[str]:
        """Return the rules of a list that allows."""
        return frozenset(self.rules) if self.exception_of else frozenset()

    @property
    def parsed(self) -> tuple[BindRule, ...]:
        """The rules as the cgroup's program applies them."""
        return tuple(rule for text in self.rules if (rule := parse_bind_rule(text, 0)) is not None)

    def values(self) -> tuple[str, ...]:
        """Return a reset and one rule a line."""
        return ("", *self.rules) if self.rules else ()


@dataclass(frozen=True)
class SocketBindAllow(_BindList):
    """Exceptions from SocketBindDeny=. Facts are the addresses of bind(2); a socket bound to ``[::]`` is judged as
    AF_INET6 only."""

    levels: ClassVar = "strict only: the ports that were bound"
    exception_of: ClassVar = ("SocketBindDeny",)
    summary: ClassVar = "exceptions from SocketBindDeny="
    denied_examples: ClassVar = {}
    boost_only: ClassVar = True

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose the ports that were bound."""
        rules = bound_ports(evidence)
        return [cls(rules)] if cls.is_free(evidence) and 0 < len(rules) <= MOST_RULES else ()

    def contribute(self, sandbox: Sandbox) -> None:
        """Allow what the rules match."""
        sandbox.network.bind_allowed = self.parsed


@dataclass(frozen=True)
class SocketBindDeny(_BindList):
    """Refuses bind(2). Listening without it, and the port that connect(2) picks, are not filtered."""

    levels: ClassVar = "strict only"
    summary: ClassVar = "no bind to these ports"
    denied_examples: ClassVar = {"any": Fact(SocketAddress("bind", "AF_INET", "SOCK_STREAM", "0.0.0.0", 8080))}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose ``any`` beside the list of what was bound."""
        return [cls(("any",))] if cls.is_free(evidence) and len(bound_ports(evidence)) <= MOST_RULES else ()

    def contribute(self, sandbox: Sandbox) -> None:
        """Deny what the rules match."""
        if self.rules:
            sandbox.network.bind_denied = self.parsed
            sandbox.network.bind_denied_by = ("SocketBindDeny", f"SocketBindDeny={self.rules[0]}")


MOST_RULES = 128
"""As many rules as a list may have (systemd.resource-control(5))."""

PORT_ZERO_SINCE = 257
"""The first version measured to take port 0 in a rule: a bind that leaves the choice to the kernel. 252 does not."""


def enforces_bpf(host: HostFacts) -> bool:
    """Whether the target is known to have what systemd's own BPF programs need."""
    return "+BPF_FRAMEWORK" in host.features and CONTROL_GROUP_PROGRAMS not in host.refused


def bound_ports(evidence: Evidence) -> tuple[str, ...]:
    """Return the rules for what bind(2) was called with. Port 0 takes a rule without ports where ranges start at 1."""
    rules = set()
    for address in met_addresses(evidence):
        protocol = _PROTOCOLS.get(address.type)
        if address.operation != "bind" or address.family not in INTERNET or protocol is None:
            continue
        # A socket bound to [::] serves both families.
        family = "" if address.address == "::" else {"AF_INET": "ipv4:", "AF_INET6": "ipv6:"}[address.family]
        is_named = address.port >= lowest_port(evidence.host)
        rules.add(f"{family}{protocol}" + (f":{address.port}" if is_named else ""))
    return tuple(sorted(rules))


_PROTOCOLS = {"SOCK_STREAM": "tcp", "SOCK_DGRAM": "udp"}
_BIND_FAMILIES = {"ipv4": "AF_INET", "ipv6": "AF_INET6"}


def lowest_port(host: HostFacts) -> int:
    """Return the lowest port that a rule of the target can name."""
    return 0 if host.systemd_version >= PORT_ZERO_SINCE else 1


def parse_bind_rule(text: str, lowest: int) -> BindRule | None:
    """Return the rule for ``[ipv4:|ipv6:][tcp:|udp:][any|PORT|FIRST-LAST]``, ``None`` for what systemd cannot read.

    ``lowest`` is the lowest port that it takes. Source: ``parse_socket_bind_item`` in systemd's
    ``src/shared/parse-socket-bind-item.c`` or ``parse-util.c``.
    """
    words = text.split(":")
    family = _BIND_FAMILIES.get(words[0], "")
    words = words[1:] if family else words
    protocol = words[0] if words and words[0] in {"tcp", "udp"} else ""
    words = words[1:] if protocol else words
    if not words:
        return BindRule(family, protocol)
    if len(words) > 1:
        return None
    if words[0] == "any":
        return BindRule(family, protocol)
    ends = words[0].split("-")
    if len(ends) > 2 or not all(end.isascii() and end.isdecimal() and lowest <= int(end) < 65536 for end in ends):
        return None
    first, last = int(ends[0]), int(ends[-1])
    return BindRule(family, protocol, first, last - first + 1) if first <= last else None


@dataclass(frozen=True)
class RestrictNetworkInterfaces(Directive):
    """Drops packets on interfaces. Only ``lo`` is proposed: names of others belong to machines, not to services.

    Facts do not know interfaces: loopback addresses are taken to be on ``lo``, all others on another one.
    """

    since: ClassVar = {"": 250}
    needs: ClassVar = ("BPF_FRAMEWORK",)
    loads: ClassVar = ("libbpf",)
    mechanism: ClassVar = CONTROL_GROUP_PROGRAMS
    manual: ClassVar = "systemd.resource-control(5), Network Accounting and Control"
    levels: ClassVar = "strict only: lo"
    summary: ClassVar = "packets on these network interfaces only"
    denied_examples: ClassVar = {"lo": Fact(SocketAddress("connect", "AF_INET", "SOCK_STREAM", "192.0.2.1", 80))}

    allow_list: bool = False
    interfaces: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Merge as ``config_parse_restrict_network_interfaces``: the first line decides between the two kinds."""
        allow_list = False
        interfaces: frozenset[str] = frozenset()
        for assignment in (text.strip() for text in assignments if host.systemd_version >= 250):
            inverted = assignment.startswith("~")
            names = frozenset(assignment.removeprefix("~").split())
            if not interfaces:
                allow_list = not inverted
            merged = interfaces | names if inverted != allow_list else interfaces - names
            interfaces = merged if assignment else frozenset()
        return cls(allow_list and bool(interfaces), interfaces)

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose ``lo`` at the level strict to a service that met loopback addresses only."""
        is_free = evidence.level is Level.STRICT and enforces_bpf(evidence.host)
        return [cls(True, frozenset({"lo"}))] if is_free and reached_addresses(evidence) == "loopback" else ()

    def intersected(self, own: Self) -> Self:
        """Leave a unit's own list alone."""
        return own if own.interfaces else self

    def contribute(self, sandbox: Sandbox) -> None:
        """Restrict the interfaces."""
        if self.interfaces:
            sandbox.network.interfaces = self.interfaces
            sandbox.network.interfaces_allow_list = self.allow_list
            sandbox.network.interfaces_by = (type(self).__name__, f"RestrictNetworkInterfaces={self.values()[1]}")

    def values(self) -> tuple[str, ...]:
        """Return a reset and the names."""
        return ("", ("" if self.allow_list else "~") + " ".join(sorted(self.interfaces))) if self.interfaces else ()


def _covers(outer: Network, inner: Network) -> bool:
    return (
        inner.subnet_of(outer)
        if isinstance(outer, IPv4Network) and isinstance(inner, IPv4Network)
        else isinstance(outer, IPv6Network) and isinstance(inner, IPv6Network) and inner.subnet_of(outer)
    )
