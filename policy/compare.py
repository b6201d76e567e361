"""What a drop-in really denied: two recordings of the same use, without and with it, compared by the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from policy.behaviour import (
    OK,
    UNKNOWN,
    Access,
    Behaviour,
    CapabilityUsed,
    Fact,
    NamespaceUsed,
    PathPair,
    PathUse,
    SocketAddress,
    SystemCall,
)
from policy.equivalence import ENOSYS_NEWCOMERS
from policy.fact_order import ordered
from policy.host_facts import HostFacts
from policy.sandbox.denial import KILLED, SILENT, Denial
from policy.sandbox.mount_entry import parent_of
from policy.sandbox.sandbox import Sandbox
from policy.service_profile import Profile
from policy.settings import Assignment, build_sandbox, parse_settings

REFUSALS = frozenset(
    {"EPERM", "EACCES", "EROFS", "EAFNOSUPPORT", "ENOSYS", "EXDEV", "EBUSY", "ENXIO", "ENETUNREACH", "ETIMEDOUT"}
)
"""The errnos with which sandboxes refuse; ENOENT and EINVAL only count where the model names the setting."""

_OF_THE_NETWORK = frozenset({"ENETUNREACH", "ETIMEDOUT"})
_REACHING_OUT = frozenset({"connect", "send", "sendmmsg", "sendmsg", "sendto"})
# Waiting for anything else times out now and then: futex() is not refused so by any setting.

_OF_OBJECTS = frozenset({"EROFS", "EXDEV", "EBUSY", "ENXIO"})
# What was met by a path is told by the fact about the path; the fact about the call adds nothing.


def denied_under(
    drop_in: Sequence[Assignment],
    under: Profile,
    host: HostFacts,
    before: Profile | None = None,
    *,
    is_absent: Callable[[str], bool] = lambda _path: False,
) -> tuple[Denial, ...]:
    """Return what failed in the recording ``under`` a drop-in and is the drop-in's doing.

    A failure counts if the model says that the drop-in refuses just this with just this errno, or, where a recording
    from ``before`` is at hand, if the same thing succeeded there. A failure that was there before does not count. What
    succeeds counts if the model says that it now does something else, such as reading an empty file. ``is_absent`` says
    whether there is nothing at a path outside of the sandbox: what is not found there was not hidden.
    """
    unit = under.header.unit
    own = build_sandbox(parse_settings(unit.assignments, host), host, unit)
    merged = build_sandbox(parse_settings((*unit.assignments, *drop_in), host), host, unit)
    known = _outcomes(before.facts if before else ())
    found: dict[tuple[str, ...], Denial] = {}
    for fact in ordered(under.facts):
        outcomes = known.get(_key(fact.behaviour), frozenset())
        if fact.outcome == OK:
            denial = _silently(fact, own, merged) if before is None or OK in outcomes else None
        elif fact.outcome == UNKNOWN:
            denial = _killed(fact, own, merged)
        elif (
            fact.outcome in outcomes
            or has_fallback(fact)
            or _failed_already(fact, outcomes)
            or (OK not in outcomes and _is_nowhere(fact, is_absent))
        ):
            denial = None
        else:
            denial = _blamed(fact, own, merged)
            if denial is None and OK in outcomes and _looks_refused(fact):
                denial = Denial(fact, "", "a setting of the drop-in", fact.outcome, "it worked when it was recorded")
        if denial is not None:
            found.setdefault((denial.setting, *_key(fact.behaviour)), denial)
    return tuple(found.values())


def vanished(under: Profile, before: Profile) -> tuple[Fact, ...]:
    """Return what succeeded in the recording ``before`` and was not even tried in the one ``under`` a drop-in.

    Much of that is chance (names with numbers, what depends on timing); the rest comes after a denial.
    """
    tried = {_key(fact.behaviour) for fact in under.facts}
    gone: dict[tuple[str, ...], Fact] = {}
    for fact in ordered(before.facts):
        if fact.outcome == OK and (key := _key(fact.behaviour)) not in tried:
            gone.setdefault(key, fact)
    return tuple(gone.values())


def _silently(fact: Fact, own: Sandbox, merged: Sandbox) -> Denial | None:
    # A call that succeeds and does something else than it would without the drop-in.
    denial = merged.judge(fact)
    return denial if denial is not None and denial.outcome in SILENT and own.judge(fact) is None else None


def _failed_already(fact: Fact, outcomes: frozenset[str]) -> bool:
    """Whether this was refused before as well, with another errno: nothing is lost (``Denial.still_refused``)."""
    return fact.outcome in REFUSALS and bool(outcomes & REFUSALS) and not outcomes & {OK, UNKNOWN}


def _is_nowhere(fact: Fact, is_absent: Callable[[str], bool]) -> bool:
    """Whether ENOENT is the answer outside of the sandbox as well: a new name needs its directory, any other itself."""
    if fact.outcome != "ENOENT":
        return False
    match fact.behaviour:
        case PathUse(path=path, access=Access.CREATE | Access.BIND):
            return is_absent(parent_of(path))
        case PathUse(path=path):
            return is_absent(path)
        case PathPair(source=source, target=target):
            return is_absent(source) or is_absent(parent_of(target))
    return False


def _looks_refused(fact: Fact) -> bool:
    if fact.outcome not in REFUSALS:
        return False
    match fact.behaviour:
        case SystemCall(name=name):
            return fact.outcome not in _OF_OBJECTS | (frozenset() if name in _REACHING_OUT else _OF_THE_NETWORK)
    return fact.outcome not in _OF_THE_NETWORK or isinstance(fact.behaviour, SocketAddress)


def _killed(fact: Fact, own: Sandbox, merged: Sandbox) -> Denial | None:
    # A call that never returned, and for which a filter kills: recorders see no more of it than that it was made.
    denial = merged.judge(replace(fact, outcome=OK))
    if denial is None or denial.outcome != KILLED or own.judge(replace(fact, outcome=OK)) is not None:
        return None
    return replace(denial, fact=replace(fact, outcome=KILLED))


def has_fallback(fact: Fact) -> bool:
    """Whether this is a new call that was answered with ENOSYS, on which programs make the older call instead."""
    match fact.behaviour:
        case SystemCall(name=name) | NamespaceUsed(call=name):
            return fact.outcome == "ENOSYS" and name in ENOSYS_NEWCOMERS
    return False


def _blamed(fact: Fact, own: Sandbox, merged: Sandbox) -> Denial | None:
    succeeding = replace(fact, outcome=OK)
    denial = merged.judge(succeeding)
    if denial is None or denial.outcome != fact.outcome or own.judge(succeeding) is not None:
        return None
    return replace(denial, fact=fact)


def _outcomes(facts: Iterable[Fact]) -> dict[tuple[str, ...], frozenset[str]]:
    known: dict[tuple[str, ...], frozenset[str]] = {}
    for fact in facts:
        key = _key(fact.behaviour)
        known[key] = known.get(key, frozenset()) | {fact.outcome}
    return known


def _key(behaviour: Behaviour) -> tuple[str, ...]:
    # What two recordings of the same use have in common: not who made a file first, nor in which words it is told.
    match behaviour:
        case PathUse():
            return ("path", behaviour.path, behaviour.access)
        case CapabilityUsed():
            return ("capability", behaviour.capability)
    return (repr(behaviour),)
