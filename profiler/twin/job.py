"""What a keeper is told to do, and what it answers: the two texts between a twin's owner and its keeper."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from profiler.errors import CommandFailed, PermissionRefused, ToolError

DETACH = b"detach\n"
"""What the owner writes to the keeper's standard input before it lets go of a twin that shall live on."""


@dataclass(frozen=True)
class Job:
    """Boot a twin in ``directory``, or install packages there and leave the result at ``finished_layer``.

    ``patience`` is in seconds. ``lock`` is an inherited descriptor that keeps the directory ours. ``layers`` are
    stacked topmost first. ``image`` is the root of another system, to be booted in place of this machine's.
    ``visible`` are places of the host that the twin sees, read-only, where it would have directories of its own.
    """

    directory: Path = Path()
    lock: int = -1
    layers: tuple[Path, ...] = ()
    patience: float = 60.0
    install: tuple[str, ...] = ()
    finished_layer: Path | None = None
    image: Path | None = None
    visible: tuple[Path, ...] = ()

    def to_text(self) -> str:
        """Return the job as one line."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def from_text(cls, text: str) -> Job:
        """Return the job that ``to_text`` wrote."""
        found: dict[str, Any] = json.loads(text)
        finished, image = found["finished_layer"], found["image"]
        return cls(
            directory=Path(found["directory"]),
            lock=found["lock"],
            layers=tuple(Path(layer) for layer in found["layers"]),
            patience=found["patience"],
            install=tuple(found["install"]),
            finished_layer=Path(finished) if finished else None,
            image=Path(image) if image else None,
            visible=tuple(Path(place) for place in found["visible"]),
        )


class Outcome(StrEnum):
    """How a job went."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    BUG = "bug"


@dataclass(frozen=True)
class Report:
    """A keeper's answer. ``output`` is what another program said, or the traceback of a bug of ours."""

    outcome: Outcome
    message: str = ""
    hint: str = ""
    output: str = ""

    def to_line(self) -> bytes:
        """Return the report as one line."""
        return json.dumps(dataclasses.asdict(self)).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Report:
        """Return the report that ``to_line`` wrote."""
        found: dict[str, Any] = json.loads(line)
        return cls(**{**found, "outcome": Outcome(found["outcome"])})

    @classmethod
    def of(cls, error: ToolError) -> Report:
        """Return the report of a failure."""
        outcome = Outcome.REFUSED if isinstance(error, PermissionRefused) else Outcome.FAILED
        return cls(outcome, error.message, error.hint, getattr(error, "output", ""))

    def require(self) -> None:
        """Raise what the keeper raised, if it did: PermissionRefused, ToolError (CommandFailed with the output)."""
        match self.outcome:
            case Outcome.DONE:
                return
            case Outcome.REFUSED:
                raise PermissionRefused(self.message, hint=self.hint)
            case Outcome.FAILED if self.output:
                raise CommandFailed(self.message, hint=self.hint, output=self.output)
            case Outcome.FAILED:
                raise ToolError(self.message, hint=self.hint)
            case Outcome.BUG:
                raise RuntimeError(f"in the twin's keeper:\n{self.output}")
