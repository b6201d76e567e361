"""What a probe is: an action of the actor, and the facts that a recorder would write down for it."""

from __future__ import annotations

from dataclasses import dataclass

from policy.behaviour import Behaviour, PathPair, PathUse, SocketOpened

TESTER = 4242
"""The uid of the user as whom probes run besides root."""

TESTER_NAME = "tester"

REPEATED = tuple(
    f"/{name}/probe" for name in ("etc", "usr/share", "var/cache", "opt", "root", "run", "run/user", "var/tmp", "mnt")
)
"""Places at which only settings are tried that mount something."""


@dataclass(frozen=True)
class Probe:
    """One action. ``behaviours`` are in the order in which the kernel meets them; the first refusal is what is seen.

    ``apart``: it changes the process, so it gets one of its own. ``raw``: it makes no system calls but its own, so it
    can be tried under any SystemCallFilter=. ``user`` restricts it to ``root`` or ``tester``. ``trace`` is a path that
    exists afterwards, on the host as well, if it succeeded. ``silent``: a refusal shows in the answer only.
    ``varies``: the answer is never the same twice, or is about the sandbox itself.
    """

    name: str
    behaviours: tuple[Behaviour, ...]
    action: tuple[object, ...]
    apart: bool = False
    raw: bool = False
    user: str = ""
    trace: str = ""
    silent: bool = False
    varies: bool = False

    def applies_to(self, user: int) -> bool:
        """Whether it is for a process with this uid."""
        return self.user in {"", "root" if user == 0 else TESTER_NAME}

    @property
    def is_about_paths(self) -> bool:
        """Whether it uses nothing but paths."""
        return all(isinstance(behaviour, PathUse | PathPair | SocketOpened) for behaviour in self.behaviours)

    @property
    def is_of_a_tree(self) -> bool:
        """Whether it is one of those that are repeated at every place, at another place than the first ones."""
        return self.is_about_paths and any(f"{place}/" in self.name or self.name.endswith(place) for place in REPEATED)

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the behaviours' types."""
        return tuple(dict.fromkeys(type(behaviour).__name__ for behaviour in self.behaviours))
