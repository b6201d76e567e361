"""System calls by group, capabilities and sockets: what was used, what the sandbox would allow, what it takes away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from policy.behaviour import Access, CapabilityUsed, Fact, PathUse, SocketAddress, SocketOpened, SystemCall
from policy.capability_names import CAPABILITIES
from policy.host_facts import HostFacts
from policy.report.model import CallGroup, Calls, Capabilities, Capability, Socket
from policy.sandbox.read_only import HAPPENED
from policy.sandbox.sandbox import Sandbox
from policy.wording import address_in_words, need_in_words

SHOWN = 12
"""How many facts, or addresses, are shown before the rest is only counted."""

MIXTURES = frozenset({"@known", "@system-service"})
"""Sets of systemd that are made of the others (``src/shared/seccomp-util.c``)."""

NO_GROUP = "in no group"


def calls(facts: Iterable[Fact], host: HostFacts, sandbox: Sandbox) -> Calls:
    """Return every call that the target knows, by systemd's groups."""
    used = {fact.behaviour.name for fact in facts if isinstance(fact.behaviour, SystemCall)}
    known = host.syscall_sets.get("@known", frozenset()) | used
    allowed = {name for name in known if sandbox.judge(Fact(SystemCall(name, host.architecture))) is None}
    sets = {name: members for name, members in sorted(host.syscall_sets.items()) if name not in MIXTURES}
    others = known.difference(*sets.values())
    groups = [_group(name, members & known, used, allowed) for name, members in (*sets.items(), (NO_GROUP, others))]
    return Calls(tuple(group for group in groups if group is not None), len(used), len(allowed), len(known))


def _group(name: str, members: frozenset[str], used: set[str], allowed: set[str]) -> CallGroup | None:
    if not members:
        return None
    return CallGroup(
        name,
        tuple(sorted(members & used)),
        tuple(sorted((members & allowed) - used)),
        tuple(sorted(members - allowed - used)),
    )


def capabilities(facts: Sequence[Fact], sandbox: Sandbox) -> Capabilities:
    """Return the capabilities that were used or are left, with what they were used for."""
    used: dict[str, list[Fact]] = {}
    for fact in facts:
        if isinstance(fact.behaviour, CapabilityUsed) and fact.outcome in HAPPENED:
            used.setdefault(fact.behaviour.capability, []).append(fact)
    evidence = {name: counted(seen, partial(need_in_words, name)) for name, seen in used.items()}
    dropped = sandbox.capabilities.dropped.keys()
    kept = tuple(
        Capability(name, name not in dropped, tuple(uses[:SHOWN]), max(0, len(uses) - SHOWN))
        for name in CAPABILITIES
        if (uses := evidence.get(name, [])) or name not in dropped
    )
    return Capabilities(kept, tuple(name for name in CAPABILITIES if name in dropped and name not in evidence))


def sockets(facts: Sequence[Fact], sandbox: Sandbox) -> tuple[Socket, ...]:
    """Return the kinds of sockets with the addresses that they met; those of Unix sockets by path are among them."""
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    allowed: dict[tuple[str, str], bool] = {}
    for fact in facts:
        key, address = _socket(fact)
        if key is None:
            continue
        entry = found.setdefault(key, {"addresses": set(), "lines": set()})
        entry["lines"].add(fact.exec_line)
        if address:
            entry["addresses"].add(address if fact.outcome in HAPPENED else f"{address} ({fact.outcome})")
        else:
            allowed[key] = allowed.get(key, True) and sandbox.judge(fact) is None
    return tuple(
        Socket(
            *key,
            allowed.get(key, True),
            tuple(sorted(entry["addresses"])[:SHOWN]),
            max(0, len(entry["addresses"]) - SHOWN),
            tuple(sorted(entry["lines"])),
        )
        for key, entry in sorted(found.items())
    )


def _socket(fact: Fact) -> tuple[tuple[str, str] | None, str]:
    match fact.behaviour:
        case SocketOpened(family=family, type=kind):
            return (family, kind), ""
        case SocketAddress(family=family, type=kind):
            return (family, kind), address_in_words(fact.behaviour)
        case PathUse(path=path, access=Access.CONNECT | Access.BIND as access):
            return ("AF_UNIX", "by path"), f"{access} {path}"
    return None, ""


def counted(facts: Iterable[Fact], words: Callable[[Fact], str]) -> list[str]:
    """Return one line for each distinct behaviour, from its first fact, with how many facts there are besides."""
    by_behaviour: dict[object, list[Fact]] = {}
    for fact in facts:
        by_behaviour.setdefault((fact.behaviour, fact.outcome), []).append(fact)
    return [
        words(seen[0]) + (f", and {len(seen) - 1} more times" if len(seen) > 1 else "")
        for seen in by_behaviour.values()
    ]


def some(words: Sequence[str], shown: int = SHOWN) -> tuple[tuple[str, ...], int]:
    """Return the first of some words, and how many there are besides."""
    return tuple(words[:shown]), max(0, len(words) - shown)
