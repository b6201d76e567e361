"""Facts and denials in words, one line each. Names in them come from the service, so they are escaped."""

from __future__ import annotations

from policy.advice import Advice
from policy.behaviour import (
    OK,
    UNKNOWN,
    Access,
    Behaviour,
    CapabilityUsed,
    ClockUsed,
    DeviceNodeMade,
    Fact,
    FileDescriptorUsed,
    IpcUsed,
    KeyringUsed,
    Known,
    MemoryMapped,
    Mounted,
    NamespaceUsed,
    PathPair,
    PathUse,
    PersonalityChanged,
    PrivilegeGained,
    SchedulingSet,
    SignalSent,
    SocketAddress,
    SocketOpened,
    SpecialModeSet,
    SystemCall,
)
from policy.hindrance import Cause, Hindrance
from policy.sandbox.denial import KILLED, Denial
from policy.unit_file import printable

VALUES_SHOWN = 4
"""How many values are named of a list that would be proposed."""

_ACCESS = {
    Access.LOOKUP: "look up {}",
    Access.READ: "read {}",
    Access.WRITE: "open {} for writing",
    Access.READ_WRITE: "open {} for reading and writing",
    Access.CREATE: "create {}",
    Access.DELETE: "delete {}",
    Access.METADATA: "change mode, owner or times of {}",
    Access.TRUNCATE: "truncate {}",
    Access.WRITE_PROBE: "ask whether {} is writable",
    Access.EXECUTE: "execute {}",
    Access.MAP_EXECUTE: "map {} as code",
    Access.CONNECT: "connect to the socket {}",
    Access.BIND: "bind the socket {}",
}

_ADDRESS = {
    "bind": "bind to {}",
    "connect": "connect to {}",
    "send": "send to {}",
    "accept": "accept from {}",
    "receive": "receive from {}",
}

_MEMORY = {
    "mmap-write-execute": "map memory that is writable and executable",
    "mprotect-execute": "make memory executable that was not",
    "mprotect-keep-execute": "change the protection of executable memory",
    "shmat-execute": "attach shared memory as executable",
}

_SILENT = {
    "unseen": "left without effect on others",
    "empty": "left empty",
    "fewer": "left with fewer names",
    "lost": "written where it will be lost",
}


def behaviour_in_words(behaviour: Behaviour) -> str:
    """Return what was done, in one printable line."""
    return printable(_words(behaviour))


def _words(behaviour: Behaviour) -> str:  # noqa: PLR0911  # one for each type
    match behaviour:
        case PathUse(path=path, access=access, through=through):
            return _ACCESS[access].format(path) + (f" (spelled {through})" if through else "")
        case PathPair(operation=operation, source=source, target=target):
            return f"{operation} {source} {'with' if operation == 'exchange' else 'to'} {target}"
        case SocketOpened(family=family, type=kind):
            return f"make a socket {family}, {kind}"
        case SocketAddress():
            return f"{address_in_words(behaviour)} ({behaviour.family}, {behaviour.type})"
        case SystemCall(name=name, architecture=architecture):
            return f"call {name} ({architecture})"
        case CapabilityUsed(capability=name, reason=reason):
            return f"use {name}: {reason}"
        case MemoryMapped(how=how):
            return _MEMORY.get(how, how)
        case NamespaceUsed(call=call, kinds=kinds):
            return f"{call} of namespaces: {' '.join(kinds) or 'any'}"
    return _rare_words(behaviour)


def _rare_words(behaviour: Behaviour) -> str:  # noqa: PLR0911  # one for each type
    match behaviour:
        case PersonalityChanged(value=value):
            return f"personality 0x{value:x}"
        case SchedulingSet(call=call, policy=policy, reset_on_fork=reset):
            return f"{call} to {policy}" + (" with reset on fork" if reset else "")
        case SpecialModeSet(call=call, mode=mode):
            return f"{call} with mode {mode:04o}"
        case DeviceNodeMade(path=path, kind=kind, device=device):
            return f"make the {kind} device {device} at {path}"
        case PrivilegeGained(path=path, how=how, capabilities=names):
            return f"gain privileges by executing {path} ({' '.join((how, *names))})"
        case Mounted(call=call, target=target):
            return f"{call} on {target}"
        case ClockUsed(call=call, clock=clock):
            return f"{call} {clock}".rstrip()
        case IpcUsed(kind=kind, name=name, shared=shared):
            return f"use the {'shared ' if shared else ''}{kind} object {name}"
        case KeyringUsed(call=call, operation=operation):
            return f"{call} {operation}".rstrip()
        case SignalSent(target=target, other_user=other_user):
            return f"send a signal to {target} processes" + (" of another user" if other_user else "")
        case FileDescriptorUsed(operation=operation):
            return operation
    return repr(behaviour)


def address_in_words(address: SocketAddress) -> str:
    """Return what a socket had to do with an address: "connect to 127.0.0.1:80"."""
    inside = f"[{address.address}]" if ":" in address.address else address.address
    place = f"{inside}:{address.port}" if address.family in {"AF_INET", "AF_INET6"} else address.address
    known = _ADDRESS.get(address.operation)
    return known.format(place) if known else f"{address.operation} {place}"


def need_in_words(element: str, fact: Fact) -> str:
    """Return what a fact needs an element of a list for: its words, without those that name the element again."""
    return fact_in_words(fact).removeprefix(f"use {element}: ")


def fact_in_words(fact: Fact) -> str:
    """Return a fact in one printable line: what was done, how it came out, where it was seen, and how it is known."""
    outcome = {OK: "", UNKNOWN: ", with an unknown result"}.get(fact.outcome, f", which failed with {fact.outcome}")
    return behaviour_in_words(fact.behaviour) + printable(f"{outcome} ({place_in_words(fact)})")


def place_in_words(fact: Fact) -> str:
    """Return where a fact was seen: the Exec line, the phase, the process and its call."""
    where = [fact.exec_line, fact.phase, *(["inferred"] if fact.known is Known.INFERRED else [])]
    return printable(", ".join(where) + (f"; {fact.evidence}" if fact.evidence else ""))


def advice_in_words(advice: Advice) -> str:
    """Return advice in one printable line."""
    return printable(f"{advice.setting}: {advice.reason} (but: {advice.caution})")


def denial_in_words(denial: Denial) -> str:
    """Return a denial in one printable line: the fact, what the service would see instead, and the setting to blame."""
    note = f" ({denial.note})" if denial.note else ""
    return f"{fact_in_words(denial.fact)}: {outcome_in_words(denial)} by {printable(denial.setting + note)}"


def hindrance_in_words(hindrance: Hindrance) -> str:
    """Return in one printable line what keeps a directive from being proposed."""
    names = ", ".join(f"{name}=" for name in hindrance.details)
    match hindrance.cause:
        case Cause.LEVEL:
            now, other = hindrance.details
            words = (
                f"the level is {now}; at {other} it would be {_few([value for value in hindrance.instead if value])}"
            )
        case Cause.RECORDED:
            facts = " and ".join(map(fact_in_words, hindrance.facts))
            words = f"it was recorded: {facts}"
        case _:
            words = _PLAIN_CAUSES[hindrance.cause].format(names=names, details=", ".join(hindrance.details))
    return printable(words)


def _few(values: list[str]) -> str:
    rest = len(values) - VALUES_SHOWN
    return " ".join(values[:VALUES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


_PLAIN_CAUSES = {
    Cause.NEVER: "no recording is enough: {details}",
    Cause.DEFAULT: "by default it is as strict as it can be",
    Cause.NOTHING_TO_EXCEPT: "it makes exceptions from {names} and that is not set",
    Cause.NO_EXCEPTION: "nothing that was recorded needs an exception from {names}",
    Cause.START_UP: "the start of the service was not recorded",
    Cause.UNIT: "the unit: {details}",
    Cause.TARGET: "the target: {details}",
    Cause.COVERED: "what it denies is denied already, by {details}",
    Cause.NOTHING: "nothing was recorded that would give it a value",
}


def outcome_in_words(denial: Denial) -> str:
    """Return what a service sees of a denial."""
    if denial.outcome == KILLED:
        return "killed with SIGSYS"
    if denial.outcome in _SILENT:
        return _SILENT[denial.outcome]
    if denial.outcome == OK:
        return "allowed although it had failed,"
    return f"refused with {printable(denial.outcome)}"
