"""One call of the service, with everything a handler needs to make facts of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from policy.behaviour import OK, UNKNOWN, Behaviour, CapabilityUsed, Fact, Known, Phase
from profiler.normalise.byte_paths import is_file
from profiler.normalise.credentials import Ids
from profiler.normalise.discovery import Discovery
from profiler.normalise.ipc_objects import IpcOwner
from profiler.normalise.objects import ObjectView
from profiler.normalise.ownership import Ownership
from profiler.normalise.paths import PathResolver, Resolved, UnknownDirectory
from profiler.normalise.processes import Process, ProcessTable
from profiler.normalise.sockets import SocketTable
from profiler.recorders.base import Descriptor, Losses, RawCall, Value

_REFUSED = frozenset({"EPERM", "EACCES"})
_NEVER_RETURNING = frozenset({"exit", "exit_group", "rt_sigreturn", "sigreturn"})


@dataclass
class Ledger:
    """All that one recording has gathered."""

    objects: ObjectView
    processes: ProcessTable
    paths: PathResolver
    ownership: Ownership
    started: float
    phase_at: Callable[[float], Phase]
    sockets: SocketTable = field(default_factory=SocketTable)
    facts: dict[Fact, Fact] = field(default_factory=dict)
    losses: Losses = field(default_factory=Losses)
    notes: Losses = field(default_factory=Losses)  # where an answer was chosen generously, and why
    discovery: Discovery = field(default_factory=Discovery)
    path_uses: set[object] = field(default_factory=set)
    searched: set[object] = field(default_factory=set)
    ipc_objects: dict[tuple[str, int], tuple[str, bool]] = field(default_factory=dict)
    created_ipc: set[tuple[str, str]] = field(default_factory=set)
    nameless: dict[bytes, Resolved] = field(default_factory=dict)  # directories in which O_TMPFILE made files
    users_before: Mapping[int, Ids] = field(default_factory=dict)  # of the processes that ran before the recording
    ipc_owners: dict[tuple[str, int], IpcOwner | None] = field(default_factory=dict)


class Sighting:
    """A call that a process of the service made.

    ``traced`` says that the recorder is the process's tracer, so that the service itself cannot trace (ptrace(2)).
    ``infers`` says that capabilities are worked out from the calls; else nothing need be looked up for that.
    """

    traced = True
    infers = True

    def __init__(self, ledger: Ledger, process: Process, call: RawCall) -> None:
        self.ledger = ledger
        self.process = process
        self.call = call
        self.outcome = outcome_of(call)

    @property
    def succeeded(self) -> bool:
        """Whether the call is known to have succeeded."""
        return self.outcome == OK

    @property
    def refused_root(self) -> bool:
        """Whether root was refused: then a capability that root usually has was missing, or something else said no."""
        return self.outcome in _REFUSED and self.process.credentials.user.effective == 0

    def argument(self, position: int) -> Value:
        """Return the argument at this position, ``None`` if the call has fewer."""
        return self.call.arguments[position] if position < len(self.call.arguments) else None

    def emit(self, behaviour: Behaviour, outcome: str | None = None, known: Known = Known.OBSERVED) -> bool:
        """Record a fact; of equal ones the evidence that sorts first stays. Says whether it is a new one."""
        fact = Fact(
            behaviour,
            self.outcome if outcome is None else outcome,
            self.ledger.phase_at(self.call.time),
            self.process.exec_line,
            self.process.credentials.user.effective,
            known,
            self.evidence(),
        )
        present = self.ledger.facts.setdefault(fact, fact)
        if present is fact:
            self.ledger.discovery.note(self.call.time)
        if fact.evidence < present.evidence:
            del self.ledger.facts[present]
            self.ledger.facts[fact] = fact
        return present is fact

    def needs(self, capability: str, reason: str) -> None:
        """Record that a capability decided how this call ended: the process held it, or it is root's and was refused.

        A refusal is a fact with its errno: it needs nothing, but under a drop-in it tells what was taken away.
        """
        if self.succeeded and self.process.credentials.holds(capability):
            self.emit(CapabilityUsed(capability, reason), OK, Known.INFERRED)
        elif self.refused_root and not self.process.credentials.holds(capability):
            self.emit(CapabilityUsed(capability, reason), known=Known.INFERRED)

    def needs_one(self, capabilities: tuple[str, ...], reason: str) -> None:
        """Record the first of some capabilities, any of which would do, that the process held."""
        held = [name for name in capabilities if self.process.credentials.holds(name)]
        if held or self.refused_root:
            self.needs((held or capabilities)[0], reason)

    def evidence(self) -> str:
        """Return one line: program, call and how it ended. Never arguments, never contents."""
        result = self.call.result
        if self.outcome == OK:
            ended = str(result) if result is not None and 0 <= result < 1024 else "ok"
        else:
            ended = "?" if self.outcome == UNKNOWN else self.outcome
        return f"{self.process.program}: {self.call.name} = {ended}"

    def lose(self, kind: str) -> None:
        """Count something of this call that could not be read."""
        self.ledger.losses.add(kind, self.evidence())

    def place(
        self, directory: int | None, path: int, follow: bool = True, found: bytes | None = None
    ) -> Resolved | None:
        """Return where the path argument at position ``path`` leads, relative to the descriptor at ``directory``.

        ``None`` if there is no path (NULL, empty) or it cannot be told, which is counted.
        """
        spelled = self.argument(path)
        if not isinstance(spelled, bytes):
            if spelled is not None and self.outcome != "EFAULT":
                self.lose("path argument could not be read")
            return None
        return (
            self.find(spelled, None if directory is None else self.argument(directory), follow, found)
            if spelled
            else None
        )

    def find(
        self, spelled: bytes, directory: Value = None, follow: bool = True, found: bytes | None = None
    ) -> Resolved | None:
        """Return where a path leads, ``None`` if it is relative to an unknown directory, which is counted."""
        base = Descriptor(directory) if isinstance(directory, int) else directory
        base = base if isinstance(base, Descriptor) else None
        try:
            return self.ledger.paths.resolve(self.process, base, spelled, follow, found)
        except UnknownDirectory:
            if self.outcome != "EBADF":
                self.lose("relative path with unknown directory")
            return None

    def target(self, position: int) -> bytes | None:
        """Return what the descriptor argument at this position refers to, if it has a path."""
        value = self.argument(position)
        return self.target_of(value)

    def target_of(self, value: Value) -> bytes | None:
        """Return the path of the file that a descriptor refers to, ``None`` if it is not a file with a name."""
        name = self.descriptor_name(value)
        return name if name is not None and is_file(name) else None

    def descriptor_name(self, value: Value) -> bytes | None:
        """Return what a descriptor refers to: a path, or ``socket:[12]`` and its like."""
        if isinstance(value, Descriptor) and value.target is not None:
            return value.target
        number = value.number if isinstance(value, Descriptor) else value
        return self.process.descriptors.get(number) if isinstance(number, int) else None


Handler = Callable[[Sighting], None]

HANDLERS: dict[str, Handler] = {}
"""The function that makes facts of a call, by the call's name."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a function as the one that makes facts of these calls."""

    def register(handler: Handler) -> Handler:
        for name in names:
            if name in HANDLERS:
                raise TypeError(f"two handlers for {name}")
            HANDLERS[name] = handler
        return handler

    return register


def outcome_of(call: RawCall) -> str:
    """Return how a call ended: ``ok``, the name of its errno, or unknown."""
    if call.error:
        return UNKNOWN if call.error.startswith("ERESTART") else call.error
    if call.result is None and call.name not in _NEVER_RETURNING:
        return UNKNOWN
    return OK
