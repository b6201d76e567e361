"""Does every behaviour of a profile in the service's sandbox without the drop-in, then in that with it."""

from __future__ import annotations

import contextlib
import errno
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from policy.behaviour import Behaviour, CapabilityUsed, Fact, SignalSent
from policy.capability_names import CAPABILITIES
from policy.settings import Assignment
from policy.unit_settings import UnitSettings
from profiler.errors import ToolError
from profiler.machine import Machine
from profiler.probe.action import Action, Here, NotProbed, Variant
from profiler.probe.actions import action_for
from profiler.probe.executor import ARCHITECTURE, Died, Executor, image
from profiler.probe.sandboxes import PLACE, PROGRAM, SOCKET, Kind, exec_prefix, file_name, fragment, unit_name
from profiler.probe.stage import Stage
from profiler.unit.exit_status import failure_in_words
from profiler.unit.systemctl import Systemctl

START_PATIENCE = 30.0
"""Seconds that a unit of ours may take to start."""

EXITED = "it exited"
"""How a stand-in ends that is told to."""

UNITS = "/run/systemd/system"


@dataclass(frozen=True)
class Seen:
    """What came of a probe: ``ok``, an errno or a signal, and what was seen; or why it could not be done."""

    outcome: str = ""
    answer: str = ""
    reason: str = ""
    users: int = 0  # the users' namespace that a capability is good for


@dataclass(frozen=True)
class Task:
    """A probe: what is done, by which user, in a unit of which kind."""

    behaviour: Behaviour
    user: int
    outcome: str
    prefix: str

    @classmethod
    def of(cls, fact: Fact) -> Task:
        """Return what shows a fact; facts that differ in their time only are shown by one probe."""
        return cls(fact.behaviour, fact.user, fact.outcome, exec_prefix(fact.exec_line))

    @property
    def action(self) -> Action | NotProbed:
        """How it is done."""
        return action_for(self.behaviour, self.user, self.outcome)


def capability_of(behaviour: Behaviour) -> str:
    """Return the capability on which alone it depends whether a behaviour is allowed, or nothing."""
    match behaviour:
        case CapabilityUsed(capability=name):
            return name
        case SignalSent(other_user=True):
            return "CAP_KILL"
    return ""


@dataclass
class Probed:
    """What came of all probes, without the drop-in and with it, and why a unit did not start at all."""

    before: dict[Task, Seen] = field(default_factory=dict)
    after: dict[Task, Seen] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def probe(
    machine: Machine,
    unit: UnitSettings,
    drop_in: Sequence[Assignment],
    facts: Iterable[Fact],
    announce: Callable[[str], None] = lambda _text: None,
) -> Probed:
    """Do every fact's behaviour twice in a throwaway machine: things there are made, changed and removed.

    Raises ToolError where the machine is of another architecture than the program, or a helper dies.
    """
    if machine.run(["uname", "-m"]).stdout.strip() != "x86_64":
        raise ToolError(f"probes are made for {ARCHITECTURE} only so far", hint="leave out --probe")
    tasks = list(dict.fromkeys(Task.of(fact) for fact in facts))
    probed = Probed()
    with Stage(machine) as stage:
        for under, results in ((False, probed.before), (True, probed.after)):
            where = "with" if under else "without"
            with _Cast(machine, stage, unit, drop_in, under=under) as cast:
                for count, task in enumerate(sorted(tasks, key=_order)):
                    if count % 50 == 0:
                        announce(f"{count} of {len(tasks)} probes done {where} the drop-in")
                    results[task] = cast.play(task)
                probed.failures += cast.failures
    return probed


def _order(task: Task) -> tuple[object, ...]:
    # By unit and user, so that few have to be started; what has a process of its own comes last.
    action = task.action
    apart = isinstance(action, Action) and action.apart
    return apart, _variant(action), task.prefix, task.user, type(task.behaviour).__name__, repr(task.behaviour)


def _variant(action: Action | NotProbed) -> Variant:
    return action.variant if isinstance(action, Action) else Variant.EXACT


@dataclass
class _Actor:
    # One stand-in that runs: who it is and what the kernel says of it.
    name: str
    kind: Kind
    user: int
    executor: Executor
    status: dict[str, str]
    stagehand: int
    users: int


class _Cast:
    # The stand-ins of one sandbox: one at a time, kept for as long as the next probe can use it.

    def __init__(
        self, machine: Machine, stage: Stage, unit: UnitSettings, drop_in: Sequence[Assignment], *, under: bool
    ) -> None:
        self._machine, self._stage, self._unit, self._drop_in = machine, stage, unit, drop_in
        self._under = under
        self._systemctl = Systemctl(machine)
        self._actor: _Actor | None = None
        self._names: list[str] = []
        self._failing: dict[Kind, str] = {}
        self._unable: dict[tuple[Kind, int], str] = {}

    def __enter__(self) -> _Cast:
        place = self._machine.path(PLACE)
        place.mkdir(exist_ok=True)
        program = self._machine.path(PROGRAM)
        program.unlink(missing_ok=True)
        program.write_bytes(image())
        program.chmod(0o755)
        socket_path = self._machine.path(SOCKET)
        socket_path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(socket_path))
        socket_path.chmod(0o777)
        self._listener.listen()
        return self

    def __exit__(self, *_error: object) -> None:
        self._dismiss()
        self._listener.close()
        for name in self._names:
            self._machine.path(f"{UNITS}/{file_name(name)}").unlink(missing_ok=True)
            self._machine.run(["systemctl", "reset-failed", "--", name], check=False)
        self._machine.run(["systemctl", "daemon-reload"], check=False)

    @property
    def failures(self) -> list[str]:
        return list(dict.fromkeys(self._failing.values()))

    def play(self, task: Task) -> Seen:
        """Do one probe."""
        action = task.action
        if isinstance(action, NotProbed):
            return Seen(reason=action.reason)
        kind = Kind(self._under, action.variant, task.prefix)
        user = task.user if action.variant is Variant.WIDENED else -1
        if reason := self._failing.get(kind) or self._unable.get((kind, user)):
            return Seen(reason=reason)
        actor = self._ready(kind, user, fresh=action.apart)
        if isinstance(actor, str):
            return Seen(reason=actor)
        if capability := capability_of(task.behaviour):
            return _capability(actor, capability)
        try:
            return self._perform(actor, action)
        finally:
            if action.apart:
                self._dismiss()

    def _perform(self, actor: _Actor, action: Action) -> Seen:
        objects = [self._stage.ask(need.verb, *need.arguments) for need in action.needs]
        try:
            seen = Seen("ok", action.perform(Here(actor.executor, tuple(objects), actor.stagehand, self._stage.ask)))
        except OSError as error:
            seen = Seen(_errno_name(error.errno or 0))
        except Died:
            how = self._ending(actor.name)
            seen = Seen(how if how != EXITED else "ok")
            self._actor = None
            actor.executor.close()
        finally:
            if action.needs or action.calls_stagehand:
                self._stage.ask("clear")
        return seen

    def _ready(self, kind: Kind, user: int, *, fresh: bool) -> _Actor | str:
        actor = self._actor
        if actor is not None and not fresh and (actor.kind, actor.user) == (kind, user):
            return actor
        self._dismiss()
        try:
            actor = self._started(kind)
        except Died as death:
            self._failing[kind] = str(death)
            return str(death)
        self._actor = actor
        if user >= 0:
            reason = self._become(actor, user)
            if reason:
                self._unable[kind, user] = reason
                return reason
        return actor

    def _started(self, kind: Kind) -> _Actor:
        name = unit_name(secrets.token_hex(4), self._unit.name)
        self._names.append(name)
        text = fragment(kind, self._unit, self._drop_in)
        self._machine.path(f"{UNITS}/{file_name(name)}").write_text(text, encoding="utf-8", errors="surrogateescape")
        said = self._machine.run(["systemctl", "start", "--no-block", "--", name], check=False)
        if said.status != 0:
            raise Died(f"systemd does not take the settings: {said.stderr.strip()}")
        connection = self._accepted(name)
        executor = Executor(connection)
        try:
            executor.ping()
        except Died:
            raise Died(f"the probe's unit does not start: {self._ending(name)}") from None
        process = int(self._systemctl.show(name, ["MainPID"])["MainPID"])
        entered = self._stage.ask("enter", process)
        return _Actor(name, kind, -1, executor, entered["status"], entered["stagehand"], entered["users"])

    def _accepted(self, name: str) -> socket.socket:
        deadline = time.monotonic() + START_PATIENCE
        self._listener.settimeout(1.0)
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                return self._listener.accept()[0]
            if self._systemctl.show(name, ["ActiveState"])["ActiveState"] == "failed":
                break
        raise Died(f"the probe's unit does not start: {self._ending(name)}")

    def _ending(self, name: str) -> str:
        """Return how a stand-in ended: the name of the signal, or in words."""
        asked = ["ActiveState", "Result", "ExecMainCode", "ExecMainStatus"]
        deadline = time.monotonic() + 5
        found = self._systemctl.show(name, asked)
        while found["ActiveState"] not in {"failed", "inactive"} and time.monotonic() < deadline:
            time.sleep(0.02)
            found = self._systemctl.show(name, asked)
        if found["ExecMainCode"] in {"2", "3"}:
            return _signal_name(int(found["ExecMainStatus"]))
        if found["Result"] == "success":
            return EXITED
        return failure_in_words(found["Result"], found["ExecMainCode"], found["ExecMainStatus"]) or "it ended"

    def _become(self, actor: _Actor, user: int) -> str:
        own = int(actor.status["Uid"].split()[1])
        actor.user = user
        if own == user:
            return ""
        if own != 0:
            return f"it was done by the user {user}, and the unit's processes start as {own}"
        found = self._stage.ask("groups", user)
        groups = b"".join(int(group).to_bytes(4, "little") for group in found["groups"])
        group = int(found["group"])
        try:
            actor.executor.call("setgroups", len(found["groups"]), groups)
            actor.executor.call("setresgid", group, group, group)
            actor.executor.call("setresuid", user, user, user)
        except OSError as error:
            return f"the probe cannot become the user {user} there: {error.strerror}"
        except Died:
            self._actor = None
            return f"the probe cannot become the user {user} there: it is killed"
        return ""

    def _dismiss(self) -> None:
        if self._actor is not None:
            self._actor.executor.close()
            self._actor = None


def _errno_name(number: int) -> str:
    return errno.errorcode.get(number, str(number))


def _signal_name(number: int) -> str:
    return signal.Signals(number).name


def _capability(actor: _Actor, name: str) -> Seen:
    """Return whether a process can have a capability: the kernel's own word about it."""
    if name not in CAPABILITIES:
        return Seen(reason=f"the probe knows no number for {name}")
    number = CAPABILITIES.index(name)
    bounded, permitted = (int(actor.status[mask], 16) >> number & 1 for mask in ("CapBnd", "CapPrm"))
    words = "permitted" if permitted else "not permitted"
    return Seen("ok" if bounded else "EPERM", words, users=actor.users)
