"""Which sockets a service can make, and in which network: systemd.exec(5), "Sandboxing"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.address_families import ADDRESS_FAMILIES, family_name
from policy.behaviour import Fact, PathUse, SocketAddress, SocketOpened
from policy.directives.base import Directive, Evidence
from policy.directives.choice import Choice
from policy.host_facts import HostFacts
from policy.level import Level
from policy.sandbox.sandbox import Sandbox

INTERNET = frozenset({"AF_INET", "AF_INET6"})
SEES_THE_NETWORK = INTERNET | {"AF_NETLINK", "AF_PACKET", "AF_VSOCK"}


@dataclass(frozen=True)
class RestrictAddressFamilies(Directive):
    """Lets socket(2) make sockets of the listed families only.

    Facts are the sockets that were made. AF_UNIX is always kept: syslog, sd_notify, D-Bus and name services use it on
    paths that recordings rarely see. socketpair(2), inherited descriptors and sockets made inside of an io_uring are
    not filtered. On 32-bit x86 the filter has no effect.
    """

    since: ClassVar = {"": 211}
    needs: ClassVar = ("SECCOMP",)
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    about: ClassVar = (SocketOpened,)
    levels: ClassVar = "compatible keeps both Internet families and AF_NETLINK together"
    summary: ClassVar = "no sockets of other address families"
    denied_examples: ClassVar = {
        "AF_UNIX": Fact(SocketOpened("AF_INET", "SOCK_STREAM")),
        "~AF_PACKET": Fact(SocketOpened("AF_PACKET", "SOCK_RAW")),
        "none": Fact(SocketOpened("AF_UNIX", "SOCK_DGRAM")),
    }

    allow_list: bool = False
    families: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:
        """Merge as ``config_parse_address_families``; from 253 an unknown name ends the line
        (``parse_address_families`` in ``parse-helpers.c``; seen in 262, but not in 252)."""
        allow_list = False
        families: frozenset[str] | None = None
        for assignment in (text.strip() for text in assignments):
            if not assignment or (assignment == "none" and host.systemd_version >= 249):
                allow_list, families = assignment == "none", None
                continue
            inverted = assignment.startswith("~")
            if families is None:
                allow_list, families = not inverted, frozenset()
            for word in assignment.removeprefix("~").split():
                family = family_name(word, host.systemd_version)
                if not family and host.systemd_version >= 253:
                    break
                changed = frozenset({family} if family else ())
                families = families | changed if inverted != allow_list else families - changed
        return cls(allow_list, families or frozenset())

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose the families that were used and AF_UNIX; a list of unused ones if systemd cannot name a used one."""
        if not evidence.start_up_observed:
            return ()
        version = evidence.host.systemd_version
        used = used_families(evidence)
        if evidence.level is Level.COMPATIBLE and used & INTERNET:
            used |= INTERNET | {"AF_NETLINK"}  # name services ask for the addresses and interfaces of this machine
        unused = frozenset(name for name in ADDRESS_FAMILIES if family_name(name, version)) - used - {"AF_UNIX"}
        nameable = frozenset(name for name in used if family_name(name, version) == name)
        return [cls(True, nameable | {"AF_UNIX"}), cls(False, unused)]

    def contribute(self, sandbox: Sandbox) -> None:
        """Load the filter on the first argument of socket(2)."""
        if not self.values():
            return

        def rule(fact: Fact) -> str:
            opened = fact.behaviour
            return "EAFNOSUPPORT" if isinstance(opened, SocketOpened) and not self.allows(opened.family) else ""

        name = type(self).__name__
        sandbox.filters.add(name, f"{name}={self.values()[-1]}", rule)

    def allows(self, family: str) -> bool:
        """Whether sockets of a family can be made."""
        return (family in self.families) == self.allow_list

    def values(self) -> tuple[str, ...]:
        """Return a reset and the list; ``none`` for a list that allows nothing."""
        if not self.families:
            return ("", "none") if self.allow_list else ()
        return ("", ("" if self.allow_list else "~") + " ".join(_in_order(self.families)))

    def intersected(self, own: Self) -> Self:
        """Allow only what both allow."""
        if self.allow_list and own.allow_list:
            return type(self)(True, self.families & own.families)
        if self.allow_list or own.allow_list:
            allowing, denying = (self, own) if self.allow_list else (own, self)
            return type(self)(True, allowing.families - denying.families)
        return type(self)(False, self.families | own.families)

    def strictness(self) -> int:
        """Return how many families are out."""
        return sum(not self.allows(name) for name in ADDRESS_FAMILIES)

    def elements(self) -> tuple[str, ...]:
        """Return the families of an allow-list."""
        return _in_order(self.families) if self.allow_list else ()

    @classmethod
    def possible_elements(cls, host: HostFacts) -> tuple[str, ...]:
        """Return all families, the Internet's first."""
        version = host.systemd_version
        return _in_order(frozenset(name for name in ADDRESS_FAMILIES if family_name(name, version) == name))

    def without(self, element: str) -> Self:
        """Return the list without one family."""
        return type(self)(self.allow_list, self.families - {element})

    def kept_because(self, element: str, evidence: Evidence) -> str:
        """Say why AF_UNIX is always there, and what else the level adds."""
        if element == "AF_UNIX":
            return "syslog, readiness messages, D-Bus and name services use it"
        return "goes with the families that were used" if evidence.level is Level.COMPATIBLE else ""


def _in_order(families: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(families, key=lambda name: (name not in INTERNET | {"AF_UNIX"}, name)))


def used_families(evidence: Evidence) -> frozenset[str]:
    """Return the families of which sockets were made, or would have been if something else had not failed."""
    return frozenset(
        fact.behaviour.family
        for fact in evidence.confined(SocketOpened)
        if isinstance(fact.behaviour, SocketOpened) and fact.outcome != "EAFNOSUPPORT"
    )


def met_addresses(evidence: Evidence) -> tuple[SocketAddress, ...]:
    """Return all addresses that sockets met, with or without success."""
    return tuple(
        fact.behaviour for fact in evidence.confined(SocketAddress) if isinstance(fact.behaviour, SocketAddress)
    )


class PrivateNetwork(Choice):
    """Gives the service a network of its own, with nothing but a loopback interface.

    Facts are the sockets and their addresses. Sockets that socket activation passes in are made outside and go on
    working, but it is not known which they are, so nothing is proposed for socket-activated units.
    """

    since: ClassVar = {"yes": 1}
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    summary: ClassVar = "a network of its own, with a loopback interface only"
    denied_examples: ClassVar = {"yes": Fact(SocketAddress("connect", "AF_INET", "SOCK_STREAM", "192.0.2.1", 80))}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose it for a service that made no socket that could see a network, and met no abstract address."""
        sees = used_families(evidence) & SEES_THE_NETWORK or any(
            address.family in INTERNET or address.address.startswith("@") for address in met_addresses(evidence)
        )
        looks = any(
            isinstance(fact.behaviour, PathUse) and fact.behaviour.path.startswith(("/sys/class/net", "/proc/self/net"))
            for fact in evidence.confined(PathUse)
        )
        hidden = evidence.uses_rings or evidence.unit.socket_activated
        return () if sees or looks or hidden else super().candidates(evidence)

    def enforce(self, sandbox: Sandbox) -> None:
        """Give it a network namespace; from 254 a mount namespace comes with it (NEWS of 254)."""
        sandbox.namespaces.network = (type(self).__name__, self.setting)
        sandbox.namespaces.keeps_passed_sockets = sandbox.unit.socket_activated
        if sandbox.host.systemd_version >= 254:
            sandbox.mounts.separate(type(self).__name__, self.setting)
