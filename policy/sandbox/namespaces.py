"""Private namespaces: a network, IPC objects, user ids and process ids of the service's own (namespaces(7))."""

from __future__ import annotations

from dataclasses import dataclass

from policy.behaviour import (
    OK,
    UNKNOWN,
    Access,
    CapabilityUsed,
    Fact,
    IpcUsed,
    PathUse,
    PrivilegeGained,
    SignalSent,
    SocketAddress,
    SocketOpened,
    SystemCall,
)
from policy.sandbox.addresses import is_loopback
from policy.sandbox.capabilities import REFUSALS, refusal
from policy.sandbox.denial import Denial
from policy.sandbox.hidden import FEWER

Blamed = tuple[str, str]
"""A directive and its setting."""

UNMAPPED = frozenset({"CAP_SETUID", "CAP_SETGID", "CAP_CHOWN"})
"""Capabilities that are there inside of a user namespace, but only for ids that it maps: EINVAL for all others."""

WITHIN_MAPPED_IDS = UNMAPPED | {"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID"}
"""Capabilities that a user namespace with the map ``identity`` gives over everything that belongs to its ids."""

SETGROUPS = frozenset({"setgroups", "setgroups32"})

_SHOWING_NAMESPACES = ("/sys/class/net", "/dev/mqueue/", "/proc/other")
# The paths whose content depends on a namespace, for the answers below.


@dataclass
class PrivateNamespaces:
    """The settings that gave the service namespaces of its own. A denial here is often not an error of the call but
    another answer: the note of the denial says which."""

    network: Blamed | None = None
    keeps_passed_sockets: bool = False  # socket-activated: sockets made outside keep working in a private network
    ipc: Blamed | None = None
    removed_ipc: Blamed | None = None  # RemoveIPC=: what existed before is gone after the next stop
    users: Blamed | None = None
    all_users_mapped: bool = False  # PrivateUsers=identity and full
    groups_can_change: bool = False  # PrivateUsers=full
    process_ids: Blamed | None = None

    def judge(self, fact: Fact) -> Denial | None:
        """Return the denial by the first namespace in which the fact comes out differently."""
        behaviour = fact.behaviour
        if isinstance(behaviour, PathUse) and not behaviour.path.startswith(_SHOWING_NAMESPACES):
            return None
        for blamed, answer in (
            (self.network, self._network_answer),
            (self.ipc, _ipc_answer),
            (self.removed_ipc, _removed_ipc_answer),
            (self.users, self._users_answer),
            (self.process_ids, _process_ids_answer),
        ):
            outcome, note = answer(fact) if blamed else ("", "")
            if blamed and outcome and outcome != fact.outcome:
                return Denial(fact, *blamed, outcome, note)
        return None

    def _network_answer(self, fact: Fact) -> tuple[str, str]:
        match fact.behaviour:
            case SocketOpened(family="AF_NETLINK" | "AF_PACKET") if fact.outcome in {OK, UNKNOWN}:
                return "ENODEV", "it sees only the loopback interface of a network of its own"
            case SocketAddress() as address:
                return self._address_answer(address, fact)
            case PathUse(path="/sys/class/net", access=Access.READ) if fact.outcome == OK:
                return FEWER, "a network of its own has other interfaces"
            case PathUse(path=path) if path.startswith("/sys/class/net/") and fact.outcome == OK:
                return "ENOENT", "a network of its own has other interfaces"
        return "", ""

    def _address_answer(self, address: SocketAddress, fact: Fact) -> tuple[str, str]:
        # A failed connection by UDP or TCP to this machine itself fails in an own network as well, with ECONNREFUSED.
        meets_others = address.operation in {"bind", "accept", "receive"}
        if self.keeps_passed_sockets and address.operation in {"accept", "receive"}:
            return "", ""
        if meets_others and fact.outcome not in {OK, UNKNOWN}:
            return "", ""
        if address.family == "AF_UNIX":
            abstract = address.address.startswith("@")
            return ("ECONNREFUSED", "abstract names belong to a network namespace") if abstract else ("", "")
        if address.family not in {"AF_INET", "AF_INET6"}:
            return "", ""
        if meets_others:
            outcome = "ENETUNREACH" if address.operation == "bind" else "ETIMEDOUT"
            return outcome, "nobody outside of its own network can reach it"
        return ("ECONNREFUSED" if is_loopback(address.address) else "ENETUNREACH"), ""

    def _users_answer(self, fact: Fact) -> tuple[str, str]:
        match fact.behaviour:
            case CapabilityUsed(capability=name, reason=reason) if fact.outcome not in REFUSALS:
                if self.all_users_mapped and name in WITHIN_MAPPED_IDS:
                    return "", ""
                outcome = "EINVAL" if name in UNMAPPED else refusal(name, reason)
                return outcome, "capabilities end at its own user namespace"
            case SystemCall(name=name) if name in SETGROUPS and not self.groups_can_change:
                return "EPERM", ""
            case SignalSent(other_user=True) if fact.outcome == OK:
                return "EPERM", ""
            case PrivilegeGained() if fact.outcome in {OK, UNKNOWN}:
                return "EPERM", "the program gains privileges only in its own user namespace"
        return "", ""


def _ipc_answer(fact: Fact) -> tuple[str, str]:
    match fact.behaviour:
        case IpcUsed(shared=True) if fact.outcome in {OK, UNKNOWN}:
            return "ENOENT", "the object is in another IPC namespace"
        case PathUse(path=path, created_by_service=False) if path.startswith("/dev/mqueue/") and fact.outcome == OK:
            return "ENOENT", "message queues of its own"
    return "", ""


def _removed_ipc_answer(fact: Fact) -> tuple[str, str]:
    if isinstance(fact.behaviour, IpcUsed) and fact.behaviour.shared and fact.outcome in {OK, UNKNOWN}:
        return "ENOENT", "removed when the service stops"
    return "", ""


def _process_ids_answer(fact: Fact) -> tuple[str, str]:
    match fact.behaviour:
        case SignalSent(target="other") if fact.outcome != "ESRCH":
            return "ESRCH", "other processes are not visible"
        case PathUse(path=path) if path.startswith("/proc/other") and fact.outcome == OK:
            return "ENOENT", "other processes are not visible"
    return "", ""
