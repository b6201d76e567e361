"""What the normaliser's tests share: recordings of small real programs, read while they run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from policy.behaviour import Access, Behaviour, CapabilityUsed, Fact, PathUse
from profiler.machine import Host
from profiler.normalise.attribution import Scope
from profiler.normalise.baseline import Baseline
from profiler.normalise.objects import MachineObjects
from profiler.normalise.recording import NEEDED_CALLS, Normaliser
from profiler.recorders import strace_command
from profiler.recorders.strace import StraceRecorder
from tests.requirements import require

PYTHON = ("/usr/bin/python3", "-I", "-S")


@dataclass(frozen=True)
class Recording:
    """A recorded program: what it did, how it ended, and what could not be read."""

    facts: tuple[Fact, ...]
    status: int
    losses: dict[str, int]
    notes: dict[str, int]

    def behaviours(self, kind: type[Behaviour]) -> set[Behaviour]:
        """The behaviours of this type that succeeded."""
        return {fact.behaviour for fact in self.facts if isinstance(fact.behaviour, kind) and fact.succeeded}

    def uses(self, path: str | os.PathLike[str]) -> set[tuple[Access, str]]:
        """How a path was used, with the outcomes."""
        name = os.fspath(path)
        return {
            (fact.behaviour.access, fact.outcome)
            for fact in self.facts
            if isinstance(fact.behaviour, PathUse) and fact.behaviour.path == name
        }

    def use(self, path: str | os.PathLike[str], access: Access) -> PathUse:
        """The one use of this path with this access."""
        name = os.fspath(path)
        (found,) = {
            fact.behaviour
            for fact in self.facts
            if isinstance(fact.behaviour, PathUse) and fact.behaviour.path == name and fact.behaviour.access is access
        }
        return found

    @property
    def capabilities(self) -> set[str]:
        """The capabilities that were inferred."""
        return {fact.behaviour.capability for fact in self.facts if isinstance(fact.behaviour, CapabilityUsed)}


Record = Callable[..., Recording]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Return a function that records a program: source text of Python, or a command."""
    available = strace_command.availability(Host(), ())
    require(available.available, f"no strace: {available.reason}")

    def run(program: str | list[str], *arguments: str, directory: Path = tmp_path) -> Recording:
        command = [*PYTHON, "-c", program, *arguments] if isinstance(program, str) else program
        baseline = Baseline.of(trees=(os.fsencode(directory),))
        normaliser = Normaliser(Scope(), MachineObjects(Host()), started=time.time(), baseline=baseline)
        with StraceRecorder(Host(), normaliser.feed, command=command, decode=NEEDED_CALLS) as recorder:
            status = recorder.wait()
        normaliser.finish()
        assert recorder.losses.counts == {}
        return Recording(normaliser.facts(), status, normaliser.losses.counts, normaliser.notes.counts)

    return run
