"""Calls that change who a process is: its ids, capabilities and limits. They make facts and change what is tracked."""

from __future__ import annotations

from dataclasses import replace

from policy.behaviour import OK, CapabilityUsed, Known
from profiler.normalise import arguments
from profiler.normalise.credentials import Credentials, set_ids
from profiler.normalise.privileged import filtered
from profiler.normalise.sighting import Sighting, handles
from profiler.normalise.tracking import tracks
from profiler.recorders.base import Struct, Value

_USER_CALLS = {"setuid": "set", "setreuid": "setre", "setresuid": "setres", "setfsuid": "setfs"}
_GROUP_CALLS = {"setgid": "set", "setregid": "setre", "setresgid": "setres", "setfsgid": "setfs"}
_SET_CALLS = {**_USER_CALLS, **_GROUP_CALLS}
_NAMES = tuple(name + width for name in _SET_CALLS for width in ("", "32"))
_UNLIMITED = 2**64 - 1
_SURELY_NAMED = 10  # capabilities: so few are a program's own list


def _wanted(sighting: Sighting) -> tuple[int | None, ...]:
    return tuple(arguments.identifier(sighting.argument(position)) for position in range(3))


@handles(*_NAMES)
def _set_ids(sighting: Sighting) -> None:
    name = sighting.call.name.removesuffix("32")
    credentials = sighting.process.credentials
    is_user = name in _USER_CALLS
    ids = credentials.user if is_user else credentials.group
    with_it = set_ids(_SET_CALLS[name], ids, _wanted(sighting), True)
    without = set_ids(_SET_CALLS[name], ids, _wanted(sighting), False)
    if with_it != without:
        target = "/".join("-" if number is None else str(number) for number in _wanted(sighting)[: _count(name)])
        sighting.needs("CAP_SETUID" if is_user else "CAP_SETGID", f"{name} to {target}")


def _count(name: str) -> int:
    return {"set": 1, "setre": 2, "setres": 3, "setfs": 1}[_SET_CALLS[name]]


@tracks(*_NAMES)
def _ids_set(sighting: Sighting) -> None:
    name = sighting.call.name.removesuffix("32")
    credentials = sighting.process.credentials
    is_user = name in _USER_CALLS
    ids = credentials.user if is_user else credentials.group
    capable = credentials.in_user_namespace or ("CAP_SETUID" if is_user else "CAP_SETGID") in credentials.effective
    changed = set_ids(_SET_CALLS[name], ids, _wanted(sighting), capable)
    if changed is None and "fs" not in name:
        changed = set_ids(_SET_CALLS[name], ids, _wanted(sighting), True)  # it did succeed
    if changed is None:
        return
    process = sighting.process
    if not is_user:
        process.credentials = replace(credentials, group=changed)
    elif name == "setfsuid":
        process.credentials = credentials.with_file_system_user(changed)
    else:
        process.credentials = credentials.with_user(changed)


@handles("setgroups", "setgroups32")
def _set_groups(sighting: Sighting) -> None:
    sighting.needs("CAP_SETGID", "setgroups")


@tracks("setgroups", "setgroups32")
def _groups_set(sighting: Sighting) -> None:
    listed = sighting.argument(1)
    groups = frozenset(item for item in listed if isinstance(item, int)) if isinstance(listed, tuple) else frozenset()
    sighting.process.credentials = replace(sighting.process.credentials, groups=groups)


@handles("capset")
def _set_capabilities(sighting: Sighting) -> None:
    data = _capability_data(sighting.argument(1))
    held = sighting.process.credentials
    inheritable = arguments.capabilities(arguments.field(data, "inheritable"))
    if not inheritable <= held.inheritable | held.permitted:
        sighting.needs("CAP_SETPCAP", "capset that adds to the inheritable set")
    permitted, effective = (arguments.capabilities(arguments.field(data, name)) for name in ("permitted", "effective"))
    for name in sorted(_asked_for(held, permitted, effective) | _few(inheritable - held.inheritable, held)):
        _keeps(sighting, name, "capset that keeps it")


def _asked_for(held: Credentials, permitted: frozenset[str], effective: frozenset[str]) -> frozenset[str]:
    # capset(2) refuses what is not permitted already, so a capability that a program asks for by its name must be
    # there, used or not. One that keeps nearly all took them from capget(2), and would do with less.
    return _few(effective if permitted == held.permitted else permitted | effective, held)


def _few(names: frozenset[str], held: Credentials) -> frozenset[str]:
    return names if len(names) <= max(_SURELY_NAMED, len(held.permitted) // 2) else frozenset()


def _keeps(sighting: Sighting, capability: str, reason: str) -> None:
    # No check of the kernel's asks for it: it must be permitted, which only the bounding set can take away.
    if sighting.succeeded and not sighting.process.credentials.in_user_namespace:
        sighting.emit(CapabilityUsed(capability, reason), OK, Known.INFERRED)


@tracks("capset")
def _capabilities_set(sighting: Sighting) -> None:
    data = _capability_data(sighting.argument(1))
    if data is None:
        return
    permitted, effective, inheritable = (
        arguments.capabilities(data.fields.get(name)) for name in ("permitted", "effective", "inheritable")
    )
    held = sighting.process.credentials
    sighting.process.credentials = replace(
        held,
        permitted=permitted,
        effective=effective,
        inheritable=inheritable,
        ambient=held.ambient & permitted & inheritable,
    )


def _capability_data(value: Value) -> Struct | None:
    if isinstance(value, tuple) and value:
        value = value[0]
    return value if isinstance(value, Struct) else None


@handles("prctl")
def _control(sighting: Sighting) -> None:
    operation = arguments.word(sighting.argument(0))
    if operation in {"PR_CAPBSET_DROP", "PR_SET_SECUREBITS"}:
        sighting.needs("CAP_SETPCAP", f"prctl({operation})")
    elif operation == "PR_CAP_AMBIENT" and arguments.word(sighting.argument(1)) == "PR_CAP_AMBIENT_RAISE":
        for name in sorted(arguments.capabilities(sighting.argument(2))):
            _keeps(sighting, name, "prctl(PR_CAP_AMBIENT_RAISE)")
    elif operation == "PR_SET_MM":
        sighting.needs("CAP_SYS_RESOURCE", "prctl(PR_SET_MM)")
    elif operation == "PR_SET_SECCOMP" and arguments.word(sighting.argument(1)) == "SECCOMP_MODE_FILTER":
        filtered(sighting)


@tracks("prctl")
def _controlled(sighting: Sighting) -> None:
    operation, value = arguments.word(sighting.argument(0)), sighting.argument(1)
    held: Credentials = sighting.process.credentials
    named = arguments.capabilities(value)
    if operation == "PR_CAPBSET_DROP":
        held = replace(held, bounding=held.bounding - named)
    elif operation == "PR_SET_KEEPCAPS":
        held = replace(held, keep_capabilities=bool(arguments.number(value)))
    elif operation == "PR_SET_NO_NEW_PRIVS":
        held = replace(held, no_new_privileges=True)
    elif operation == "PR_SET_SECUREBITS":
        bits = arguments.word(value)
        held = replace(
            held,
            root_is_ordinary=_bit(value, bits, 0, "NOROOT"),
            no_fixup=_bit(value, bits, 2, "NO_SETUID_FIXUP"),
            keep_capabilities=_bit(value, bits, 4, "KEEP_CAPS"),
        )
    elif operation == "PR_CAP_AMBIENT":
        held = _ambient(held, arguments.word(value), arguments.capabilities(sighting.argument(2)))
    sighting.process.credentials = held


def _bit(value: Value, names: str, number: int, name: str) -> bool:
    if isinstance(value, int):
        return bool(value >> number & 1)
    return any(
        part.strip().removeprefix("1<<").endswith("SECBIT_" + name) or part.strip().endswith("SECURE_" + name)
        for part in names.split("|")
    )


def _ambient(held: Credentials, operation: str, named: frozenset[str]) -> Credentials:
    if operation == "PR_CAP_AMBIENT_RAISE":
        return replace(held, ambient=held.ambient | named)
    if operation == "PR_CAP_AMBIENT_LOWER":
        return replace(held, ambient=held.ambient - named)
    return replace(held, ambient=frozenset()) if operation == "PR_CAP_AMBIENT_CLEAR_ALL" else held


def _limit_arguments(sighting: Sighting) -> tuple[str, Value, Value, bool]:
    # The resource, the new limit, the old one as the kernel gave it back, and whether it is the caller's own.
    if sighting.call.name == "prlimit64":
        pid = arguments.number(sighting.argument(0))
        own = pid in {0, sighting.process.leader, sighting.process.pid}
        return arguments.word(sighting.argument(1)), sighting.argument(2), sighting.argument(3), own
    new = sighting.argument(1) if sighting.call.name == "setrlimit" else None
    old = None if sighting.call.name == "setrlimit" else sighting.argument(1)
    return arguments.word(sighting.argument(0)), new, old, True


def _hard(value: Value) -> int | None:
    limit = arguments.field(value, "rlim_max")
    if limit is None:
        return None
    return limit if isinstance(limit, int) else _UNLIMITED


@handles("prlimit64", "setrlimit", "getrlimit", "ugetrlimit")
def _limit(sighting: Sighting) -> None:
    resource, new, old, own = _limit_arguments(sighting)
    wanted = _hard(new)
    if not own:
        sighting.needs("CAP_SYS_RESOURCE", f"prlimit64({resource}) of another process (unknown owner)")
    if wanted is None:
        return
    before = _hard(old) if own else None
    if before is None:
        before = sighting.process.limits.get(resource)
    if before is None:
        sighting.needs("CAP_SYS_RESOURCE", f"{resource} set from an unknown hard limit")
        sighting.ledger.notes.add("unknown limit", sighting.evidence())
    elif wanted > before:
        sighting.needs("CAP_SYS_RESOURCE", f"{resource} raised above its hard limit")


@tracks("prlimit64", "setrlimit", "getrlimit", "ugetrlimit")
def _limited(sighting: Sighting) -> None:
    resource, new, old, own = _limit_arguments(sighting)
    limit = _hard(new) if new is not None else _hard(old)
    if own and limit is not None and resource:
        sighting.process.limits[resource] = limit


@handles("setpriority", "nice")
def _niceness(sighting: Sighting) -> None:
    target = _target_nice(sighting)
    if target is None:
        sighting.needs("CAP_SYS_NICE", f"{sighting.call.name} of other processes (unknown owner)")
    elif target < sighting.process.nice and 20 - target > sighting.process.limits.get("RLIMIT_NICE", 0):
        sighting.needs("CAP_SYS_NICE", f"{sighting.call.name} to {target} from {sighting.process.nice}")


@tracks("setpriority", "nice")
def _niced(sighting: Sighting) -> None:
    target = _target_nice(sighting)
    if target is not None:
        sighting.process.nice = target


def _target_nice(sighting: Sighting) -> int | None:
    # The niceness that the caller gives itself; None if it is another's.
    if sighting.call.name == "nice":
        return max(-20, min(19, sighting.process.nice + arguments.number(sighting.argument(0))))
    own = {0, sighting.process.pid, sighting.process.leader}
    if arguments.word(sighting.argument(0)) != "PRIO_PROCESS" or arguments.number(sighting.argument(1)) not in own:
        return None
    return max(-20, min(19, arguments.number(sighting.argument(2))))


@handles("ioprio_set")
def _io_priority(sighting: Sighting) -> None:
    if "IOPRIO_CLASS_RT" in arguments.word(sighting.argument(2)):
        sighting.needs_one(("CAP_SYS_NICE", "CAP_SYS_ADMIN"), "ioprio_set(IOPRIO_CLASS_RT)")
