"""What every engine offers a recording."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from policy.behaviour import Fact, Phase
from profiler.machine import Machine
from profiler.normalise.attribution import Scope
from profiler.normalise.discovery import Discovery
from profiler.recorders.base import Losses
from profiler.unit.life import PhaseClock


@dataclass(frozen=True)
class Assignment:
    """What is to be recorded: a unit (``scope``, in ``control_group``) or a ``command``.

    With ``running`` the unit's processes as they are now are followed; otherwise the next ones that systemd starts.
    ``in_session``: PAM may move the service into the control group of a session of its own (pam_systemd(8)).
    """

    machine: Machine
    scope: Scope
    clock: PhaseClock
    control_group: str = ""
    command: Sequence[str] = ()
    running: bool = False
    in_session: bool = False


class Watch(ABC):
    """A recording in progress, as a context manager; facts are complete after its end."""

    name: str
    slow: bool = False
    """Whether a service can be slowed down so much that systemd loses patience with it."""

    @abstractmethod
    def __init__(self, assignment: Assignment) -> None:
        """Prepare to record what is assigned."""

    @abstractmethod
    def __enter__(self) -> Watch:
        """Begin. Raises PermissionRefused or ToolError if it cannot."""

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, and work off what is left."""

    def give_up(self) -> None:  # noqa: B027 (most engines prepare nothing)
        """Let go of what was prepared, when the recording never begins; harmless after its end."""

    @property
    @abstractmethod
    def lines(self) -> int:
        """How many lines or records were read."""

    @property
    @abstractmethod
    def losses(self) -> tuple[Losses, ...]:
        """What was lost, at each stage."""

    @property
    @abstractmethod
    def notes(self) -> Losses:
        """Where the evidence left a choice and the looser answer was taken."""

    @property
    @abstractmethod
    def discovery(self) -> Discovery:
        """How the number of facts grew."""

    @abstractmethod
    def facts(self) -> tuple[Fact, ...]:
        """Return all facts."""

    def wait(self) -> int:
        """Wait for the end of the command; return its status (negative: the signal)."""
        raise NotImplementedError

    def begin(self, phase: Phase) -> None:  # noqa: B027 (most engines ask the clock instead)
        """Take note that a phase begins."""
