"""Advice: what would make a service safer, but cannot be set from a recording. Offered with its evidence only.

Each rule looks at the evidence and at what was decided, and says what could be done, why, and what to watch out for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from policy.behaviour import (
    Access,
    CapabilityUsed,
    Fact,
    IpcUsed,
    PathPair,
    PathUse,
    PrivilegeGained,
    SignalSent,
    SocketAddress,
    SystemCall,
)
from policy.decide import Decision
from policy.directives.base import Evidence
from policy.directives.capabilities import used
from policy.directives.identity import makes_files
from policy.sandbox.mount_entry import is_below, parent_of
from policy.sandbox.read_only import HAPPENED
from policy.sandbox.sandbox import FILTERS_KEEP_PRIVILEGES
from policy.system_call_list import DEFAULT_IS_ENOSYS

SHOWN = 3
"""How many facts stand as evidence behind one piece of advice."""


@dataclass(frozen=True)
class Advice:
    """What could be set, why, and what to check before; the facts that speak for it (some of them)."""

    setting: str
    reason: str
    caution: str
    evidence: tuple[Fact, ...] = ()


Rule = Callable[[Evidence], Iterator[Advice]]


def advise(decision: Decision) -> tuple[Advice, ...]:
    """Return all advice for a decision, in a fixed order."""
    return tuple(advice for rule in _RULES for advice in rule(decision.evidence)) + _about_refusals(decision)


FEW = 4
"""With more capabilities than this a service is root by another name."""

_UP_TO_THE_USER = frozenset(
    {"CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_KILL"}
)
# What root needs only because it becomes another user, or meets files of one.


def _other_user(evidence: Evidence) -> Iterator[Advice]:
    if not evidence.unit.runs_as_root or not evidence.facts:
        return
    capabilities = used(evidence)
    kept = sorted(capabilities - _UP_TO_THE_USER)
    users = sorted({fact.user for fact in evidence.facts} - {0})
    facts = _some(fact for fact in evidence.of(CapabilityUsed) if _capability(fact) in kept)
    if not capabilities:
        yield Advice(
            "User=",
            "it runs as root and used no capability at all",
            "its files must belong to the new user; DynamicUser=yes does without a fixed one",
        )
    elif "CAP_SYS_ADMIN" not in kept and len(kept) <= FEW:
        ambient = f"with AmbientCapabilities={' '.join(kept)}" if kept else "without any capability"
        became = f"; it becomes user {_few(users)} itself" if users else ""
        yield Advice(
            f"User= {ambient}",
            f"it starts as root, and all that it needs of that is {' '.join(kept) or 'to change its user'}{became}",
            "the program must support being started as another user, and its files must belong to that one",
            facts,
        )


def _few(users: list[int]) -> str:
    more = f" and {len(users) - SHOWN} more" if len(users) > SHOWN else ""
    return ", ".join(map(str, users[:SHOWN])) + more


_STATE_DIRECTORIES = {
    "/var/lib": "StateDirectory",
    "/var/cache": "CacheDirectory",
    "/var/log": "LogsDirectory",
    "/run": "RuntimeDirectory",
    "/etc": "ConfigurationDirectory",
}


def _directories(evidence: Evidence) -> Iterator[Advice]:
    written: dict[tuple[str, str], list[Fact]] = {}
    known_places: dict[str, tuple[str, str]] = {}
    for fact in (*evidence.confined(PathUse), *evidence.confined(PathPair)):
        for path in _written(fact):
            above = parent_of(path)
            place = known_places.get(above)
            if place is None:
                place = known_places[above] = _state_directory(above)
            if place[1]:
                written.setdefault(place, []).append(fact)
    known = evidence.unit.writable_directories
    for (directive, name), facts in sorted(written.items(), key=lambda item: item[0]):
        base = next(base for base, value in _STATE_DIRECTORIES.items() if value == directive)
        if any(path == f"{base}/{name}" or is_below(path, f"{base}/{name}") for path in known):
            continue
        yield Advice(
            f"{directive}={name}",
            f"it writes in {base}/{name}, which systemd could make, own and keep writable by itself",
            "systemd changes owner and mode of everything in it if the top directory belongs to somebody else",
            _some(facts),
        )


def _state_directory(place: str) -> tuple[str, str]:
    """Return the directive for a directory at or below a service's own, and that one's name; empty for none."""
    for base, directive in _STATE_DIRECTORIES.items():
        if is_below(place, base) and directive != "ConfigurationDirectory":
            return directive, place[len(base) + 1 :].partition("/")[0]
    return "", ""


def _dynamic_user(evidence: Evidence) -> Iterator[Advice]:
    unit = evidence.unit
    if unit.dynamic_user or unit.runs_as_root or used(evidence):
        return
    places = {parent_of(path) for fact in evidence.of(PathUse) for path in _written(fact)}
    roots = tuple(base for base, name in _STATE_DIRECTORIES.items() if name != "ConfigurationDirectory")
    if all(any(is_below(place, base) for base in (*roots, "/tmp", "/var/tmp", "/proc", "/dev")) for place in places):
        yield Advice(
            "DynamicUser=yes",
            f"it writes in state directories only, and no capability is used by {unit.user}",
            "nobody else may look for its user by name; its files are taken over by StateDirectory= and its siblings",
        )


def _split_preparation(evidence: Evidence) -> Iterator[Advice]:
    by_line: dict[str, dict[str, list[Fact]]] = {}
    for fact in evidence.confined(CapabilityUsed):
        if fact.outcome in HAPPENED:
            by_line.setdefault(fact.exec_line.lstrip("-@:!|"), {}).setdefault(_capability(fact), []).append(fact)
    main = by_line.get("ExecStart", {})
    for line in ("ExecStartPre", "ExecStartPost", "ExecStop", "ExecStopPost"):
        only_here = sorted(set(by_line.get(line, {})) - set(main))
        if only_here:
            yield Advice(
                f"{line}=+... or a unit of its own",
                f"only {line}= uses {' '.join(only_here)}; with a + in front, or in a unit of its own that runs before,"
                " the main process loses it",
                "a line with + runs outside of the sandbox: it should be short and trusted",
                _some(fact for name in only_here for fact in by_line[line][name]),
            )


def _privileged_programs(evidence: Evidence) -> Iterator[Advice]:
    gained = [fact for fact in evidence.confined(PrivilegeGained) if fact.outcome in HAPPENED]
    if gained and not evidence.unit.runs_as_root and evidence.host.systemd_version < FILTERS_KEEP_PRIVILEGES:
        names = sorted({one.path for fact in gained if isinstance(one := fact.behaviour, PrivilegeGained)})
        yield Advice(
            "a unit of its own for what needs privileges",
            f"up to systemd {FILTERS_KEEP_PRIVILEGES - 1} a service with User= has filters of system calls or what"
            f" {', '.join(map(repr, names[:SHOWN]))} gains; without that it could have the filters",
            "the service has to ask for it in another way: a socket, a path unit, or systemctl with a rule of polkit",
            _some(gained),
        )


def _root_directory(evidence: Evidence) -> Iterator[Advice]:
    uses_others = any(fact.outcome in HAPPENED and not _is_own(fact) for fact in evidence.of(PathUse))
    if evidence.of(PathUse) and not uses_others:
        yield Advice(
            "RootDirectory= or RootImage=",
            "it uses nothing of this system but its own directories and its libraries",
            "an image has to be built and kept up to date",
        )


def _mask(evidence: Evidence) -> Iterator[Advice]:
    if evidence.unit.values("UMask") or not makes_files(evidence):
        return
    making = {Access.CREATE, Access.BIND}
    facts = (fact for fact in evidence.of(PathUse) if _access(fact) in making and fact.outcome in HAPPENED)
    yield Advice(
        "UMask=0077",
        "it makes files that other users can read by default",
        "who else reads them, for instance logs and sockets, does not show in its own recording",
        _some(facts),
    )


def _caches(evidence: Evidence) -> Iterator[Advice]:
    facts = [
        fact
        for fact in (*evidence.confined(PathUse), *evidence.confined(PathPair))
        if any(is_below(path, "/usr") and not is_below(path, "/usr/local") for path in _written(fact))
    ]
    if facts:
        yield Advice(
            "no writing below /usr",
            "it writes into the operating system's own files, as programs do that keep caches beside their code",
            "for Python: Environment=PYTHONDONTWRITEBYTECODE=1; for others, make the cache at installation",
            _some(facts),
        )


def _socket_activation(evidence: Evidence) -> Iterator[Advice]:
    facts = [fact for fact in evidence.of(CapabilityUsed) if _capability(fact) == "CAP_NET_BIND_SERVICE"]
    binds = [fact for fact in evidence.of(SocketAddress) if isinstance(fact.behaviour, SocketAddress)]
    if facts and binds and not evidence.unit.socket_activated:
        yield Advice(
            "a .socket unit",
            "it needs CAP_NET_BIND_SERVICE only to bind low ports; passed in by systemd, they cost no capability",
            "the program must support socket activation",
            _some(facts),
        )


def _foreign_objects(evidence: Evidence) -> Iterator[Advice]:
    facts = [fact for fact in evidence.of(IpcUsed) if isinstance(fact.behaviour, IpcUsed) and not fact.behaviour.shared]
    if facts and not evidence.unit.values("PrivateIPC"):
        yield Advice(
            "PrivateIPC=yes",
            "all IPC objects that it used were its own",
            "another service may look for them, which its recording cannot show",
            _some(facts),
        )


PRIVATE_PIDS_SINCE = 257


def _private_processes(evidence: Evidence) -> Iterator[Advice]:
    unit = evidence.unit
    sees_others = any(_path(fact).startswith(("/proc/other", "/proc/1/")) for fact in evidence.of(PathUse))
    signals_others = any(
        isinstance(fact.behaviour, SignalSent) and fact.behaviour.target == "other" for fact in evidence.of(SignalSent)
    )
    is_known = evidence.host.systemd_version >= PRIVATE_PIDS_SINCE and evidence.facts
    if is_known and unit.type != "forking" and not unit.values("PIDFile") and not (sees_others or signals_others):
        yield Advice(
            "PrivatePIDs=yes",
            "it met no process but its own ones",
            "it would be process 1 of its own: signals that it does not handle do nothing, orphans are its to reap, and"
            " ExecStartPre=, ExecReload= and ExecStop= do not see it",
        )


def _rings(evidence: Evidence) -> Iterator[Advice]:
    if evidence.uses_rings:
        answer = ":ENOSYS" if evidence.host.systemd_version < DEFAULT_IS_ENOSYS else ""
        yield Advice(
            f"SystemCallFilter=~io_uring_setup{answer}",
            "what it does inside of an io_uring cannot be seen, so paths and sockets were not tightened",
            "only if the program falls back to ordinary calls: check its configuration",
            _some(fact for fact in evidence.of(SystemCall) if "io_uring" in str(fact.behaviour)),
        )


_RULES: tuple[Rule, ...] = (
    _other_user,
    _dynamic_user,
    _directories,
    _split_preparation,
    _privileged_programs,
    _socket_activation,
    _root_directory,
    _mask,
    _foreign_objects,
    _private_processes,
    _caches,
    _rings,
)


def _about_refusals(decision: Decision) -> tuple[Advice, ...]:
    if not decision.still_refused:
        return ()
    facts = tuple(denial.fact for denial in decision.still_refused)
    return (
        Advice(
            "nothing: for your information",
            f"{len(facts)} writes that were refused when recorded are refused now with another errno",
            "a program that looks for EACCES by name may say something else about EROFS",
            _some(facts),
        ),
    )


def _some(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    return tuple(fact for fact, _ in zip(facts, range(SHOWN), strict=False))


def _capability(fact: Fact) -> str:
    return fact.behaviour.capability if isinstance(fact.behaviour, CapabilityUsed) else ""


def _path(fact: Fact) -> str:
    return fact.behaviour.path if isinstance(fact.behaviour, PathUse) else ""


def _access(fact: Fact) -> Access | None:
    return fact.behaviour.access if isinstance(fact.behaviour, PathUse) else None


def _written(fact: Fact) -> tuple[str, ...]:
    if fact.outcome not in HAPPENED:
        return ()
    match fact.behaviour:
        case PathUse(path=path, access=Access.CREATE | Access.BIND | Access.WRITE | Access.READ_WRITE | Access.DELETE):
            return (path,)
        case PathPair(source=source, target=target):
            return source, target
    return ()


_SHARED = ("/usr", "/etc/ld.so.cache", "/proc/self", "/dev")


def _is_own(fact: Fact) -> bool:
    use = fact.behaviour
    path = use.path if isinstance(use, PathUse) else "/"
    bases = (*_STATE_DIRECTORIES, "/opt", "/srv")
    own = any(path.count("/") > base.count("/") + 1 and is_below(path, base) for base in bases if base != "/etc")
    return own or any(path == shared or is_below(path, shared) for shared in _SHARED)
