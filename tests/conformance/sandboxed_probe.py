"""Runs the probe under settings of a real systemd and compares each outcome with what the model says.

The same operations run twice: without the settings, which gives the recorded outcome of each fact, and with them,
which gives the truth that ``Sandbox.judge`` must predict from the fact alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from policy.behaviour import Access, Behaviour, DeviceNodeMade, Fact, FileKind, PathPair, PathUse
from policy.host_facts import HostFacts
from policy.sandbox.hidden import EMPTY, FEWER, LOST
from policy.settings import Assignment, build_sandbox, parse_settings
from policy.unit_settings import UnitSettings
from profiler.machine import Machine

PROBE = Path(__file__).with_name("probe.py").read_text(encoding="utf-8")

_OF_NOTHING = "ok:e3b0c44298fc"
"""What is read is empty. systemd-nspawn masks /proc/kallsyms from some version after 252 on (257 does)."""

DIFFERENT = "ok:different"
"""What the probe's ``ok:DIGEST`` becomes when the content is not what it was without the sandbox."""

_ACCESSES: Mapping[str, Access] = {
    "lookup": Access.LOOKUP,
    "read": Access.READ,
    "open": Access.READ,
    "write": Access.WRITE,
    "write-creating": Access.WRITE,
    "read-write": Access.READ_WRITE,
    "create": Access.CREATE,
    "mkdir": Access.CREATE,
    "symlink": Access.CREATE,
    "unlink": Access.DELETE,
    "rmdir": Access.DELETE,
    "chmod": Access.METADATA,
    "utime": Access.METADATA,
    "setxattr": Access.METADATA,
    "truncate": Access.TRUNCATE,
    "writable": Access.WRITE_PROBE,
    "connect": Access.CONNECT,
    "bind": Access.BIND,
    "execute": Access.EXECUTE,
    "map-execute": Access.MAP_EXECUTE,
}


@dataclass(frozen=True)
class Operation:
    """One thing the probe does, and what a recorder would know about it."""

    verb: str
    path: str
    other: str = ""
    kind: FileKind = FileKind.REGULAR
    device: str = ""

    def command(self) -> list[str]:
        """Return what the probe is told."""
        return [self.verb, self.path, *([self.other] if self.other else [])]

    def behaviour(self) -> Behaviour:
        """Return the behaviour of the fact."""
        if self.verb in {"rename", "link"}:
            return PathPair(self.verb, self.path, self.other)
        if self.verb == "mknod-null":
            return DeviceNodeMade(self.path, FileKind.CHARACTER, "1:3")
        if self.verb == "mknod-disk":
            return DeviceNodeMade(self.path, FileKind.BLOCK, "8:0")
        path = self.path.replace("/proc/1/", "/proc/other/") if self.path != "/proc/1" else "/proc/other"
        return PathUse(path, _ACCESSES[self.verb], self.kind, device=self.device)


@dataclass(frozen=True)
class Disagreement:
    """Where the model is wrong: the operation, its outcome without the settings, with them, and the prediction."""

    settings: tuple[Assignment, ...]
    operation: Operation
    recorded: str
    real: str
    predicted: str


@dataclass
class SandboxedProbe:
    """The probe in one machine. ``prepare`` is a Python program that puts the files in order before each run."""

    machine: Machine
    host: HostFacts
    prepare: str
    unit: UnitSettings = field(default_factory=lambda: UnitSettings("probe.service"))

    def outcomes(self, settings: Sequence[Assignment], operations: Sequence[Operation], user: str = "") -> list[str]:
        """Run the operations under settings of systemd; user is the name for User=, empty for root."""
        self.machine.run(["python3", "-c", self.prepare])
        properties = [f"--property={name}={value}" for name, value in settings]
        properties += [f"--property=User={user}"] if user else []
        commands = json.dumps([operation.command() for operation in operations])
        run = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", *properties]
        completed = self.machine.run([*run, "python3", "-I", "-B", "-c", PROBE, commands], timeout=60)
        outcomes: list[str] = json.loads(completed.stdout)
        return outcomes

    def disagreements(
        self,
        settings: Sequence[Assignment],
        operations: Sequence[Operation],
        *,
        user: str = "",
        number: int = 0,
        behaviour: Callable[[Operation], Behaviour] = Operation.behaviour,
    ) -> Iterable[Disagreement]:
        """Compare each operation; ``number`` is the uid of ``user``."""
        sandbox = build_sandbox(parse_settings(settings, self.host), self.host, self.unit)
        recorded = self.outcomes([], operations, user)
        real = self.outcomes(settings, operations, user)
        for operation, before, after in zip(operations, recorded, real, strict=True):
            fact = Fact(behaviour(operation), before.partition(":")[0], user=number)
            denial = sandbox.judge(fact)
            predicted = denial.outcome if denial else fact.outcome
            if predicted != _as_predicted(before, after, predicted):
                yield Disagreement(tuple(settings), operation, before, after, predicted)


def _as_predicted(before: str, after: str, predicted: str) -> str:
    """Return the real outcome in the words of the model, which has more than one for a success that is none."""
    if predicted in {EMPTY, FEWER} and after.startswith("ok:") and (after != before or after == _OF_NOTHING):
        return predicted
    if predicted == LOST and after.startswith("ok"):
        return predicted
    if before.startswith("ok:") and after.startswith("ok:") and after != before:
        return DIFFERENT
    return after.partition(":")[0]
