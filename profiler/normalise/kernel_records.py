"""From the records of the eBPF recorder to facts, through the same handlers as the calls of every other recorder.

A record is complete in itself: it brings the directories that its paths start from, the root, the user, the Exec line
and the phase. So each one is put in front of the handlers as one call of a process that is made for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from policy.behaviour import OK, Access, CapabilityUsed, Fact, Known, Phase, SignalSent, SystemCall
from profiler.machine import Machine
from profiler.normalise import executions, kernel_capabilities, kernel_words, namespaces, presence
from profiler.normalise.attribution import ExecLines, Scope
from profiler.normalise.credentials import ALL, NONE, Credentials, Ids, capabilities_in
from profiler.normalise.discovery import Discovery
from profiler.normalise.kernel_ledger import CompleteSighting, FollowedProcesses, KernelOwnership
from profiler.normalise.objects import ObjectView
from profiler.normalise.path_uses import use
from profiler.normalise.paths import PathResolver
from profiler.normalise.processes import Directories, Process, Standing
from profiler.normalise.recording import NEEDED_CALLS
from profiler.normalise.sighting import HANDLERS, Ledger
from profiler.normalise.sockets import Socket
from profiler.recorders.base import Descriptor, Losses, RawCall, Struct, Symbol, Value
from profiler.recorders.ebpf.descriptors import DESCRIPTORS, UNDECODED, Kind
from profiler.recorders.ebpf.records import KernelRecord, Mark, Place, RecordKind
from profiler.recorders.ebpf.symbols import Symbols

PHASES = tuple(Phase)
"""The phase of each epoch number."""

NO_CHECKS = "this kernel does not show its capability checks: all that were held count as needed"
NO_SYMBOLS = "where the kernel asked for capabilities is not visible: all that were granted count as needed"

_SOMEWHERE = 3  # any descriptor number that is not AT_FDCWD: what counts is its target
_SOCKET = b"socket:[0]"  # the socket of the record at hand: each record brings all that is known of its own
_MOVING = frozenset({"chdir", "chroot"})
_CLONES = frozenset({"clone", "clone3"})
_BY_DESCRIPTOR = b"/dev/fd/"  # how the kernel spells the program of execveat(fd, "") (fs/exec.c)


class KernelNormaliser:
    """Turns the records of one recording into facts. Grows with what is new only."""

    def __init__(
        self,
        scope: Scope,
        objects: ObjectView,
        *,
        started: float,
        symbols: Symbols | None = None,
        was_member: Callable[[int], bool] = lambda _pid: False,
    ) -> None:
        """Begin a recording of ``scope`` at ``started`` (seconds since the epoch).

        ``was_member`` says of a process that may have ended whether it was recorded.
        """
        self._scope = scope
        self._objects = objects
        self._processes = FollowedProcesses(objects, scope, was_member)
        paths = PathResolver(objects, self._processes)
        self._ownership = KernelOwnership(objects, paths, objects.baseline(), started)
        self._phase = Phase.START_UP
        self._ledger = Ledger(objects, self._processes, paths, self._ownership, started, lambda _: self._phase)
        self._exec_lines = ExecLines(scope.exec_lines)
        self._lines: dict[int, str] = {0: "command" if scope.is_command else "ExecStart"}
        self._symbols = symbols
        self._rings: set[int] = set()
        self._all_held = False

    @property
    def losses(self) -> Losses:
        """What could not be turned into facts, so that the profile is partial."""
        return self._ledger.losses

    @property
    def notes(self) -> Losses:
        """Where the evidence left a choice and the looser answer was taken."""
        return self._ledger.notes

    @property
    def discovery(self) -> Discovery:
        """How the number of facts grew."""
        return self._ledger.discovery

    def facts(self) -> tuple[Fact, ...]:
        """Return all facts so far, in no particular order."""
        return tuple(self._ledger.facts)

    def finish(self) -> None:
        """Take the end of the records."""

    def without_capabilities(self) -> None:
        """Take all capabilities that a program was started with as needed: the recorder cannot see which were."""
        self._all_held = True
        self._ledger.notes.add(NO_CHECKS)

    def take_over(self, machine: Machine) -> None:
        """Begin with the processes that run already: their sockets become facts that are marked as inferred."""
        found = [presence.look(machine, pid) for pid in presence.running(machine, self._processes.is_member)]
        there = [one for one in found if one is not None]
        for one in there:
            presence.take_over(
                self._ledger, one, lambda _program: "ExecStart", service_namespace=there[0].mount_namespace
            )

    def feed(self, record: KernelRecord) -> None:
        """Take the next record. Never raises for what a record holds: what cannot be understood is counted."""
        try:
            self._feed(record)
        except Exception as error:  # hostile or unforeseen input must not end a recording of hours
            self._ledger.losses.add(f"record could not be understood ({type(error).__name__})", record.call)

    def _feed(self, record: KernelRecord) -> None:
        self._phase = PHASES[min(record.epoch, len(PHASES) - 1)]
        self._ledger.paths.tick(record.time)
        process = self._process(record)
        match record.kind:
            case RecordKind.CALL:
                self._called(record, process)
            case RecordKind.ARGUMENTS | RecordKind.PATHS:
                self._handled(record, process, self._arguments(record))
            case RecordKind.ADDRESS:
                self._met(record, process)
            case RecordKind.EXECUTED:
                self._executed(record, process)
            case RecordKind.CAPABILITY:
                self._capability(record, process)
            case RecordKind.SIGNAL:
                self._signalled(record, process)
            case RecordKind.RING:
                self._rings.add(record.arguments[0])
                self._ledger.notes.add("operations inside an io_uring, known by their numbers only")
            case RecordKind.JOINED:
                self._lines[record.line] = "ExecStart"

    def _process(self, record: KernelRecord) -> Process:
        places = (*record.bases, record.found)
        root = next((place.root for place in places if place is not None), b"/")
        current = record.bases[0]
        if record.call in _MOVING and not record.error and current is not None:
            root, current = b"/", Place(b"/") if Mark.ABSOLUTE_0 in record.marks else current  # see _string
        elif current is not None and Mark.ABSOLUTE_0 in record.marks:
            root, current = current.path, None  # absolute paths start from the root itself
        own = Process(
            record.pid,
            record.leader,
            record.line_leader,
            Standing.STUDIED,
            credentials=Credentials(user=Ids.same(record.user), permitted=NONE, effective=NONE, bounding=ALL),
            directories=Directories(current.path if current is not None else None, root),
            exec_line=self._lines.get(record.line, "ExecStart"),
            program="".join(c if c.isprintable() else repr(c)[1:-1] for c in record.program),
            mount_namespace=record.pid if Mark.OWN_MOUNTS in record.marks else 0,
        )
        if record.line not in self._lines and Mark.FIRST not in record.marks and record.kind is not RecordKind.JOINED:
            self._ledger.losses.add("the beginning of an Exec line was not seen", record.program)
            self._lines[record.line] = "ExecStart"
        self._processes.followed(own)
        return own

    def _call(self, record: KernelRecord, arguments: Sequence[Value]) -> RawCall:
        target = record.found
        interrupted = record.error == "ERESTART"
        return RawCall(
            record.pid,
            record.time,
            record.call,
            tuple(arguments),
            result=None if interrupted else record.result,
            error="" if interrupted else record.error,
            result_target=Descriptor(_SOMEWHERE, target.path) if target is not None else None,
            architecture=record.architecture,
        )

    def _called(self, record: KernelRecord, process: Process) -> None:
        sighting = CompleteSighting(self._ledger, process, self._call(record, ()))
        sighting.emit(SystemCall(record.call, record.architecture))
        if (record.architecture, record.call) in UNDECODED and record.call in NEEDED_CALLS:
            sighting.lose("call not decoded")

    def _handled(self, record: KernelRecord, process: Process, arguments: Sequence[Value]) -> None:
        sighting = CompleteSighting(self._ledger, process, self._call(record, arguments))
        self._ownership.shows(record)
        if Mark.UNREADABLE in record.marks:
            return  # counted by the kernel's side
        if record.call == "capset":
            process.credentials = replace(process.credentials, permitted=capabilities_in(record.arguments[4]))
        if record.call in _CLONES:
            namespaces.cloned(sighting, _clone_flags(arguments))
            return
        if record.call in {"execve", "execveat"}:
            executions.executed(sighting)
            return
        handler = HANDLERS.get(record.call)
        if handler is not None:
            handler(sighting)

    def _arguments(self, record: KernelRecord) -> list[Value]:
        values = kernel_words.in_words(record.call, record.arguments)
        descriptor = DESCRIPTORS[record.call]
        for which in (0, 1):
            if descriptor.string[which] >= 0 and descriptor.kind is Kind.PATHS:
                values[descriptor.string[which]] = _string(record, which)
            if descriptor.directory[which] >= 0:
                values[descriptor.directory[which]] = _directory(record, which)
        return values

    def _met(self, record: KernelRecord, process: Process) -> None:
        family, kind, protocol, bound = record.extra
        known = Socket(kernel_words.family(family), kernel_words.socket_type(kind), protocol, bool(bound))
        self._ledger.sockets.put(_SOCKET, known if family else Socket())
        where = kernel_words.socket_address(record.strings[0] or b"")
        descriptor = Descriptor(_SOMEWHERE, _SOCKET)
        values: list[Value] = [descriptor, None, None, None, None, None]
        if "msg" in record.call:
            values[1] = Struct({"msg_name": where})
        else:
            values[4 if record.call in {"sendto", "recvfrom"} else 1] = where
        base = record.bases[0]
        if base is not None:
            absolute = (record.strings[0] or b"")[2:3] == b"/"
            process.directories = Directories(None, base.path) if absolute else Directories(base.path, base.root)
        self._handled(record, process, values)

    def _executed(self, record: KernelRecord, process: Process) -> None:
        spelled = record.strings[0] or b""
        arguments: tuple[Value, ...] = (spelled,)
        name = "execve"
        if spelled.startswith(_BY_DESCRIPTOR) and record.found is not None:
            name = "execveat"
            arguments = (Descriptor(_SOMEWHERE, record.found.path), b"", None, None, Symbol("AT_EMPTY_PATH"))
        before, effective = record.arguments[1], record.arguments[1] & 0xFFFFFFFF
        process.credentials = Credentials(
            user=Ids(effective, effective, effective, effective),
            group=Ids.same(before >> 32),
            permitted=ALL if record.arguments[2] == 2**64 - 1 else capabilities_in(record.arguments[2]),
            effective=NONE,
            no_new_privileges=bool(record.arguments[3]),
        )
        call = RawCall(record.pid, record.time, name, arguments, result=0, architecture=record.architecture)
        sighting = CompleteSighting(self._ledger, process, call)
        self._ownership.shows(None)
        if Mark.FIRST in record.marks:
            self._begin_line(record, process, sighting)
        executions.executed(sighting)
        if self._all_held:
            for capability in process.credentials.permitted:
                sighting.emit(CapabilityUsed(capability, NO_CHECKS), OK, Known.INFERRED)
        if record.found is not None and self._is_gone(sighting):
            # A script that names what runs in the end cannot be read any more, but the kernel has said what it is.
            use(sighting, self._ledger.paths.at(process, record.found.path), Access.EXECUTE)

    def _is_gone(self, sighting: CompleteSighting) -> bool:
        place = executions.program_place(sighting)
        viewers = self._ledger.paths.viewers(sighting.process)
        return place is not None and not self._objects.header(place.real, viewers)

    def _begin_line(self, record: KernelRecord, process: Process, sighting: CompleteSighting) -> None:
        spelled = record.strings[0] or b""
        place = executions.program_place(sighting)
        resolved = place.real if place is not None else spelled
        if not self._scope.is_command:
            self._lines[record.line] = self._exec_lines.line_of(spelled, resolved, self._phase)
        process.exec_line = self._lines[record.line]
        if process.directories.root != b"/":
            self._ledger.paths.service_root = process.directories.root
        self._processes.add(process)

    def _capability(self, record: KernelRecord, process: Process) -> None:
        symbols = self._symbols = self._symbols or Symbols()
        if not symbols.visible:
            self._ledger.notes.add(NO_SYMBOLS)
        name = kernel_capabilities.name_of(record.extra[0])
        function = kernel_capabilities.asker([symbols.name(address) for address in record.addresses])
        if not kernel_capabilities.decides(
            name, function, record.call, record.arguments, record.user, present=symbols.present
        ):
            return
        name = kernel_capabilities.cheapest(name, function, capabilities_in(record.extra[2]))
        sighting = CompleteSighting(self._ledger, process, self._call(record, ()))
        sighting.emit(CapabilityUsed(name, kernel_capabilities.in_words(record.call, function)), OK, Known.OBSERVED)

    def _signalled(self, record: KernelRecord, process: Process) -> None:
        own = Mark.OWN_TARGET in record.marks
        target = "process-group" if record.arguments[0] else "own" if own else "other"
        sighting = CompleteSighting(self._ledger, process, self._call(record, ()))
        sighting.emit(SignalSent(target, Mark.FOREIGN in record.marks), OK)


def _string(record: KernelRecord, which: int) -> bytes | None:
    # When chdir() and chroot() have returned, the directory or the root that their path started from is another one:
    # the one that they led to.
    base = record.bases[which]
    if record.call not in _MOVING or record.error or base is None:
        return record.strings[which]
    absolute = Mark.ABSOLUTE_0 in record.marks
    if record.call == "chroot":
        return base.path if absolute else record.strings[which]
    return base.path.rstrip(b"/") + (record.strings[which] or b"") if absolute else base.path


def _clone_flags(arguments: Sequence[Value]) -> frozenset[str]:
    first = arguments[0]
    if isinstance(first, Struct):
        first = first.fields["flags"]
    return first.flags if isinstance(first, Symbol) else frozenset()


def _directory(record: KernelRecord, which: int) -> Descriptor:
    descriptor = DESCRIPTORS[record.call]
    of_a_file = descriptor.kind in {Kind.FILE, Kind.MAP, Kind.IOCTL} or not record.strings[which]
    place: Place | None = record.found if of_a_file and record.found is not None else record.bases[which]
    return Descriptor(_SOMEWHERE, place.path if place is not None else None, Mark.DELETED in record.marks)
