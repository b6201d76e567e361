"""The normaliser: a stream of raw events goes in, the facts of the service under study come out."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from policy.behaviour import OK, Fact, Phase, SystemCall
from profiler.machine import Machine
from profiler.normalise import executions, handlers, namespaces, presence, tracking
from profiler.normalise.attribution import CONTROL_GROUPS, EXECUTOR, ExecLines, Scope, control_group_of
from profiler.normalise.baseline import Baseline
from profiler.normalise.byte_paths import name_of, printable
from profiler.normalise.discovery import Discovery
from profiler.normalise.executable_ranges import ExecutableRanges
from profiler.normalise.objects import ObjectView, ProcessStatus
from profiler.normalise.owner import Owner
from profiler.normalise.ownership import Ownership
from profiler.normalise.paths import PathResolver
from profiler.normalise.processes import Directories, Process, ProcessTable, Standing
from profiler.normalise.sighting import Ledger, Sighting, outcome_of
from profiler.recorders.base import Losses, ProcessEnded, RawCall, RawEvent, ThreadSuperseded

_CLONES = frozenset({"fork", "vfork", "clone", "clone3"})
_EXECUTIONS = frozenset({"execve", "execveat"})
_OPENS = frozenset({"open", "openat", "openat2"})
_MANAGER = 1
_MOST_WAITING = 5_000  # events kept of a process whose parent's fork has not been seen to return
_MOST_WAITING_PROCESSES = 500
_THREAD = frozenset({"CLONE_THREAD", "CLONE_FS", "CLONE_FILES", "CLONE_VM"})

NEEDED_CALLS = frozenset(handlers.HANDLERS) | frozenset(tracking.TRACKERS) | _CLONES | _EXECUTIONS
"""The calls whose arguments the normaliser reads; of all others the name and the outcome suffice."""


@dataclass
class _Waiting:
    # A process whose parent's fork has not been seen to return: what it was at first sight, and its events since.
    status: ProcessStatus | None
    events: list[RawEvent] = field(default_factory=list)


class Normaliser:
    """Turns raw events into facts. Memory grows with distinct facts and living processes only."""

    needed_calls = NEEDED_CALLS

    def __init__(
        self,
        scope: Scope,
        objects: ObjectView,
        *,
        started: float,
        phase_at: Callable[[float], Phase] = lambda _: Phase.SERVING,
        baseline: Baseline | None = None,
    ) -> None:
        """Begin a recording of ``scope`` at ``started`` (seconds since the epoch).

        ``phase_at`` says in which part of the service's life a moment lies. ``baseline`` is what stood on the machine
        before; without it the machine is looked at now, which takes up to some seconds.
        """
        self._scope = scope
        self._objects = objects
        self._processes = ProcessTable()
        paths = PathResolver(objects, self._processes)
        stood = objects.baseline() if baseline is None else baseline
        self._ledger = Ledger(
            objects,
            self._processes,
            paths,
            Ownership(objects, paths, stood, started),
            started,
            phase_at,
            users_before=stood.users,
        )
        self._lines = ExecLines(scope.exec_lines)
        self._seen_calls: set[tuple[object, ...]] = set()
        self._waiting: dict[int, _Waiting] = {}
        self._unreturned: list[tuple[Process, frozenset[str]]] = []  # who was killed inside a fork, and its flags
        if not scope.is_command:
            manager = Process(_MANAGER, _MANAGER, 0, Standing.MANAGER)
            manager.directories.current = b"/"
            manager.limits = objects.hard_limits(_MANAGER)
            status = objects.process(_MANAGER)
            if status is not None:  # in a container PID 1 has not everything, and what it starts has no more
                manager.credentials = status.credentials
            self._processes.add(manager)
        if scope.group_of_root:
            group = CONTROL_GROUPS + os.fsencode(scope.group_of_root)
            self._ledger.ownership.shown(group, Owner(0, 0, stat.S_IFDIR | 0o755))

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

    def feed(self, event: RawEvent) -> None:
        """Take the next event. Never raises for what an event holds: what cannot be understood is counted."""
        try:
            self._feed(event)
        except Exception as error:  # hostile or unforeseen input must not end a recording of hours
            name = event.name if isinstance(event, RawCall) else type(event).__name__
            self._ledger.losses.add(f"event could not be understood ({type(error).__name__})", name)

    def take_over(self, machine: Machine, pids: Sequence[int]) -> None:
        """Begin with processes that run already: what /proc shows of them is their state, their past is inferred."""
        found = [one for one in (presence.look(machine, pid) for pid in pids) if one is not None]
        namespace = found[0].mount_namespace if found else ""
        for one in found:
            presence.take_over(
                self._ledger,
                one,
                lambda program: self._lines.line_of(program, program, Phase.START_UP),
                service_namespace=namespace,
            )

    def finish(self) -> None:
        """Take the end of the stream: what still waits for a fork to return is judged by what is known."""
        while self._waiting:  # one that is released may be the parent of another, which is then released with it
            self._release_orphan(next(iter(self._waiting)))

    def _feed(self, event: RawEvent) -> None:
        if isinstance(event, ThreadSuperseded):
            self._processes.supersede(event.pid, event.leader)
            return
        process = self._processes.get(event.pid)
        if process is None and not isinstance(event, ProcessEnded):
            process = self._first_sight(event)
        if process is None:
            self._wait(event)
        elif isinstance(event, ProcessEnded):
            self._processes.end(event.pid)
        else:
            self._call(process, event)

    def _first_sight(self, event: RawCall) -> Process | None:
        # The first traced process of a command; or a child in a PID namespace of the service's own, whose number its
        # parent's fork never returns.
        if self._scope.is_command and not len(self._processes) and not self._waiting:
            process = Process(event.pid, event.pid, 0, Standing.STUDIED, exec_line="command")
            process.limits = self._objects.hard_limits(event.pid)
            self._adopt(process)
            return self._processes.add(process)
        if event.pid in self._waiting:
            return None
        status = self._objects.process(event.pid)
        self._waiting[event.pid] = _Waiting(status)
        parent = self._processes.get(status.parent) if status is not None else None
        if parent is not None and (parent.pid_namespace or parent.children_in_pid_namespace):
            self._release_orphan(event.pid)
        elif len(self._waiting) > _MOST_WAITING_PROCESSES:
            self._release_orphan(next(iter(self._waiting)))
        return self._processes.get(event.pid)

    def _adopt(self, process: Process) -> None:
        # A process whose past was not seen: what it is now is what it was, as far as anybody knows.
        status = self._objects.process(process.pid)
        if status is not None:
            process.leader, process.parent = status.leader, status.parent
            process.credentials = status.credentials
            process.directories = Directories(status.current_directory, umask=status.umask)
        elif self._scope.is_command and os.geteuid() != 0:
            self._inherit(process)

    def _inherit(self, process: Process) -> None:
        # A command that is gone already was what we are. Without privileges only this machine's can be recorded; where
        # it may be a twin's, everything is root's, as a process is without this.
        status = self._objects.process(os.getpid())
        if status is not None:
            process.credentials = status.credentials
            process.directories = Directories(status.current_directory, umask=status.umask)

    def _wait(self, event: RawEvent) -> None:
        # A child runs before its parent's fork returns, with vfork always. Its events wait for its place in the tree.
        waiting = self._waiting.get(event.pid)
        if waiting is None:
            return
        waiting.events.append(event)
        if len(waiting.events) > _MOST_WAITING:
            self._release_orphan(event.pid)

    def _release_orphan(self, pid: int) -> None:
        waiting = self._waiting.pop(pid)
        status = waiting.status
        parent = self._processes.get(status.parent) if status is not None else None
        leader = self._processes.get(status.leader) if status is not None and status.leader != pid else None
        if leader is not None:
            self._processes.fork(leader, pid, _THREAD)
        elif parent is not None:
            self._processes.fork(parent, pid, frozenset())
        else:
            self._place(pid)
        for event in waiting.events:
            self.feed(event)

    def _place(self, pid: int) -> None:
        # One of whom nobody knows the parent: its control group tells; or, gone already, a fork that never returned.
        groups = self._objects.control_groups(pid)
        if not groups and self._unreturned:
            parent, shared = self._unreturned.pop(0)
            self._processes.fork(parent, pid, shared)
            return
        if not groups:
            self._ledger.losses.add("unattributed process", f"pid {pid}")
        own = self._scope.is_command or any(self._scope.includes(group) for group in groups)
        process = Process(pid, pid, 0, Standing.STUDIED if own else Standing.STRANGER)
        self._adopt(process)
        self._processes.add(process)

    def _call(self, process: Process, call: RawCall) -> None:
        self._ledger.paths.tick(call.time)
        if call.name in _CLONES:
            self._clone(process, call)
        elif call.name in _EXECUTIONS:
            self._execute(process, call)
        elif process.standing is Standing.MANAGER or process.standing is Standing.FORKED:
            self._prepare(process, call)
        elif process.studied:
            self._observe(process, call)

    def _observe(self, process: Process, call: RawCall) -> None:
        sighting = Sighting(self._ledger, process, call)
        self._count_call(sighting)
        if call.undecoded:
            if call.name in NEEDED_CALLS:
                sighting.lose("call not decoded")
            return
        handler = handlers.HANDLERS.get(call.name)
        if handler is not None:
            handler(sighting)
        self._track(sighting)

    def _count_call(self, sighting: Sighting) -> None:
        call, process = sighting.call, sighting.process
        key = (
            call.name,
            call.architecture,
            sighting.outcome,
            self._ledger.phase_at(call.time),
            process.exec_line,
            process.credentials.user.effective,
            process.program,
        )
        if key not in self._seen_calls:
            self._seen_calls.add(key)
            sighting.emit(SystemCall(call.name, call.architecture))

    def _track(self, sighting: Sighting) -> None:
        call = sighting.call
        if not sighting.succeeded:
            return
        if call.result_target is not None and call.result_target.target is not None and call.result is not None:
            sighting.process.descriptors[call.result] = call.result_target.target
        tracker = tracking.TRACKERS.get(call.name)
        if tracker is not None:
            tracker(sighting)

    def _prepare(self, process: Process, call: RawCall) -> None:
        # PID 1, or its child before the service's program: no facts, but the service starts with what it sets up.
        if call.undecoded:
            return
        sighting = Sighting(self._ledger, process, call)
        if call.name in _OPENS and sighting.succeeded and call.result_target is not None:
            group = control_group_of(call.result_target.target or b"")
            if group is not None and process.standing is Standing.FORKED:
                self._assign(process, group)
        if process.standing is Standing.FORKED or call.name in _OPENS | {"socket", "bind", "listen"}:
            self._track(sighting)

    def _assign(self, process: Process, group: bytes) -> None:
        # On hybrid machines a child enters one cgroup per hierarchy: the unit's, once seen, stays.
        if not self._scope.includes(process.control_group):
            process.control_group = group

    def _clone(self, parent: Process, call: RawCall) -> None:
        shared = tracking.shared_by_clone(call)
        if parent.studied:
            sighting = Sighting(self._ledger, parent, call)
            self._count_call(sighting)
            if not call.undecoded:
                namespaces.cloned(sighting, shared)
        if (
            call.result is None
            and not call.error
            and parent.studied
            and len(self._unreturned) < _MOST_WAITING_PROCESSES
        ):
            self._unreturned.append((parent, shared))
        if call.result is None or call.error or call.result <= 0 or parent.pid_namespace:
            return
        child = self._processes.fork(parent, call.result, shared)
        if parent.standing is Standing.MANAGER and "CLONE_INTO_CGROUP" in shared:
            target = Sighting(self._ledger, parent, call).descriptor_name(tracking.cgroup_of_clone(call))
            if target is not None:
                child.control_group = target
        waiting = self._waiting.pop(call.result, None)
        for event in waiting.events if waiting is not None else ():
            self.feed(event)

    def _execute(self, process: Process, call: RawCall) -> None:
        if process.standing is Standing.FORKED and outcome_of(call) == OK:
            self._begin(process, call)
        if process.standing is Standing.STUDIED:
            sighting = Sighting(self._ledger, process, call)
            if sighting.succeeded:
                self._name(sighting)
            self._count_call(sighting)
            privileges = executions.executed(sighting)
            if sighting.succeeded:
                process.credentials = process.credentials.executed(privileges)
        if outcome_of(call) == OK:
            process.memory = ExecutableRanges()
            process.descriptors = dict(process.descriptors)

    def _begin(self, process: Process, call: RawCall) -> None:
        # The first program of a child of PID 1: here the service begins, if the child is in the unit's cgroup.
        sighting = Sighting(self._ledger, process, call)
        place = executions.program_place(sighting)
        spelled = next((value for value in call.arguments if isinstance(value, bytes)), b"")
        if name_of(self._opened_by_manager(spelled) or spelled) == EXECUTOR:
            return
        groups = (process.control_group,) if process.control_group else self._objects.control_groups(process.pid)
        if not groups:
            self._ledger.losses.add("unattributed process", f"pid {process.pid}")
        if not any(self._scope.includes(group) for group in groups):
            process.standing = Standing.STRANGER
            return
        process.standing = Standing.STUDIED
        resolved = place.real if place is not None else spelled
        process.exec_line = self._lines.line_of(spelled, resolved, self._ledger.phase_at(call.time))
        process.mount_namespace = 0
        if process.directories.root != b"/":
            self._ledger.paths.service_root = process.directories.root

    def _opened_by_manager(self, spelled: bytes) -> bytes | None:
        # PID 1 holds its executor open and executes it as /proc/self/fd/9 (exec_spawn in systemd's src/core/execute.c).
        # The child may be gone by now, PID 1 has it still.
        number = spelled.removeprefix(b"/proc/self/fd/")
        is_open = number != spelled and number.isdigit()
        return self._objects.link_target(b"/proc/%d/fd/%s" % (_MANAGER, number), (_MANAGER,)) if is_open else None

    def _name(self, sighting: Sighting) -> None:
        place = executions.program_place(sighting)
        if place is not None:
            spelled = next(
                (value for value in sighting.call.arguments if isinstance(value, bytes) and value), place.real
            )
            sighting.process.program = printable(name_of(spelled))
            sighting.process.executable = place.real
