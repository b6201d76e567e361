"""What a probe is: an action of the actor, and the facts that a recorder would write down for it."""

from __future__ import annotations

from dataclasses import dataclass

from policy.behaviour import Behaviour

TESTER = 4242
"""The uid of the user as whom probes run besides root."""

TESTER_NAME = "tester"


@dataclass(frozen=True)
class Probe:
    """One action. ``behaviours`` are in the order in which the kernel meets them; the first refusal is what is seen.

    ``apart``: it changes the process, so it gets one of its own. ``raw``: it makes no system calls but its own, so it
    can be tried under any SystemCallFilter=. ``user`` restricts it to ``root`` or ``tester``. ``trace`` is a path that
    exists afterwards, on the host as well, if it succeeded. ``silent``: a refusal shows in the answer only.
    """

    name: str
    behaviours: tuple[Behaviour, ...]
    action: tuple[object, ...]
    apart: bool = False
    raw: bool = False
    user: str = ""
    trace: str = ""
    silent: bool = False

    def applies_to(self, user: int) -> bool:
        """Whether it is for a process with this uid."""
        return self.user in {"", "root" if user == 0 else TESTER_NAME}

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the behaviours' types."""
        return tuple(dict.fromkeys(type(behaviour).__name__ for behaviour in self.behaviours))
