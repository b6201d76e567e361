"""When two recorders agree: what of a fact must be equal, and which differences are declared, with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable

from policy.behaviour import CapabilityUsed, Fact, FileKind, Known, PathPair, PathUse, SignalSent, SystemCall

TIMING = frozenset(
    """
    futex nanosleep clock_nanosleep restart_syscall sched_yield poll ppoll select pselect6 epoll_wait epoll_pwait wait4
    waitid rt_sigreturn rt_sigtimedwait rt_sigsuspend madvise brk munmap mremap getpid gettid mprotect mmap
    clock_gettime gettimeofday time sendfile
    """.split()  # noqa: SIM905
)
"""Calls that a program makes or not, or that end one way or the other, as the scheduler and the allocator please."""

DECLARED = {
    "reason of a capability": "strace and ptrace infer it from the call, eBPF sees which function of the kernel asked",
    "type of an object": "looked up after the fact by those who see calls only: gone, it is unknown",
    "spelling through links": "eBPF sees where a path ended, and the way there only while the link stands",
    "whose process a signal is for": "a process may be gone when those look who see calls only (daemons only)",
    "who made an object": "what the instance before removed unseen may have been there or not (daemons only)",
    "random names": "a name that the C library or Python made up is another one each time",
    "timing": "whether a call is interrupted, restarted or made at all differs from run to run",
}
"""Every difference that ``said`` leaves out, with its reason."""

_RANDOM = re.compile(r"(?<=/tmp)[a-z0-9_]{8}(?=$|/)")  # tempfile of Python
_VARYING = re.compile(r"[0-9a-f]*[0-9][0-9a-f]*|(?<=[-_.])[A-Za-z0-9_]{6,8}(?=$|/)")


def said(facts: Iterable[Fact], *, generalise: bool = False) -> dict[tuple[object, ...], FileKind]:
    """Return what these facts say, without the declared differences.

    ``generalise`` replaces numbers and random parts of names: a daemon's temporary files differ from run to run.
    """
    found: dict[tuple[object, ...], FileKind] = {}
    for fact in facts:
        words = _words(fact, generalise)
        if words is not None:
            known = fact.behaviour.kind if isinstance(fact.behaviour, PathUse) else FileKind.UNKNOWN
            if found.get(words, FileKind.UNKNOWN) is FileKind.UNKNOWN:
                found[words] = known
    return found


def _words(fact: Fact, generalise: bool) -> tuple[object, ...] | None:
    behaviour = fact.behaviour
    where = (fact.outcome, fact.exec_line, fact.user)
    match behaviour:
        case SystemCall() if behaviour.name in TIMING or fact.outcome in {"EINTR", "EAGAIN", "unknown"}:
            return None
        case CapabilityUsed():
            return ("capability", behaviour.capability, *where[1:])
        case PathUse():
            path = (_VARYING if generalise else _RANDOM).sub("*", behaviour.path)
            return ("path", path, behaviour.access, behaviour.created_by_service and not generalise, *where)
        case SignalSent() if generalise:
            return ("signal", *where[1:])
        case PathPair() if generalise:
            source, target = (_VARYING.sub("*", path) for path in (behaviour.source, behaviour.target))
            return (behaviour.operation, source, target, behaviour.replaced, *where)
    return (behaviour, *where)


def differences(one: Iterable[Fact], other: Iterable[Fact], *, generalise: bool = False) -> list[str]:
    """Return what one recorder says and the other does not, and objects of which they say different things."""
    first, second = said(one, generalise=generalise), said(other, generalise=generalise)
    lines = [f"only the first: {words}" for words in first.keys() - second.keys()]
    lines += [f"only the second: {words}" for words in second.keys() - first.keys()]
    for words in first.keys() & second.keys():
        if FileKind.UNKNOWN not in {first[words], second[words]} and first[words] is not second[words]:
            lines.append(f"{words}: {first[words]} or {second[words]}")
    return sorted(lines)


def inferred_capabilities_are_marked(facts: Iterable[Fact]) -> bool:
    """Whether each capability of a recorder that cannot see the kernel's checks says so and gives its reasoning."""
    used = [fact for fact in facts if isinstance(fact.behaviour, CapabilityUsed)]
    return all(fact.known is Known.INFERRED and "asked by" not in repr(fact.behaviour) for fact in used)
