"""How a profile came to be: the recordings it is made of, and the unit as it was then.

What holds for a profile as a whole is computed from its recordings, so that merging them is set union as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from policy.behaviour import Phase
from policy.unit_settings import UnitSettings


class Workload(StrEnum):
    """What became of the workload during a recording."""

    NONE = "none"
    OK = "ok"
    FAILED = "failed"


class Ending(StrEnum):
    """How a recording ended."""

    COMPLETE = "complete"  # it saw everything that it was meant to see
    INTERRUPTED = "interrupted"  # somebody ended it before (Ctrl-C): what would have come later is unknown


@dataclass(frozen=True)
class Loss:
    """What a recorder could not read or keep: the kind, how often, and one sample."""

    kind: str
    count: int
    sample: str = ""


@dataclass(frozen=True)
class Recording:
    """One run of a recorder over a service.

    ``identity`` tells recordings apart for ever: random, or a digest of what was recorded; merging the same recording
    twice counts it once. ``unobserved`` names what the recording could not see although the unit has it: the Exec
    lines that never ran ("ExecStop"). Times are in milliseconds after its beginning: ``phase_starts`` says when each
    phase began, ``discovery`` how many distinct facts there were when, with the end of the recording as its last point
    (both empty in profiles of older versions). ``account_directories`` are the directories for state that belong to the
    accounts as which the service ran. ``ended_on_reload``: its own ExecReload= ended it, and it was started again.
    """

    identity: str
    recorders: tuple[str, ...] = ()
    systemd_version: int = 0
    kernel: str = ""
    architecture: str = "x86-64"
    tool_version: str = ""
    phases: frozenset[Phase] = frozenset()
    unobserved: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    workload: Workload = Workload.NONE
    ending: Ending = Ending.COMPLETE
    phase_starts: tuple[tuple[int, Phase], ...] = ()
    discovery: tuple[tuple[int, int], ...] = ()
    account_directories: tuple[str, ...] = ()
    ended_on_reload: bool = False

    @property
    def duration(self) -> int:
        """How long it took, in milliseconds; 0 if unknown."""
        return self.discovery[-1][0] if self.discovery else 0


@dataclass(frozen=True)
class Header:
    """Whose profile it is, and the recordings in it. What holds for the profile as a whole follows from these.

    ``unit`` has the unit's settings without what may be secret (``without_secrets``); ``other_settings`` those of
    other recordings, if the unit was changed in between.
    """

    unit: UnitSettings = field(default_factory=UnitSettings)
    recordings: frozenset[Recording] = frozenset()
    other_settings: frozenset[UnitSettings] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", without_secrets(self.unit))
        others = frozenset(map(without_secrets, self.other_settings)) - {self.unit}
        object.__setattr__(self, "other_settings", others)

    @property
    def phases(self) -> frozenset[Phase]:
        """The phases that at least one recording saw."""
        return frozenset(phase for recording in self.recordings for phase in recording.phases)

    @property
    def start_up_observed(self) -> bool:
        """Whether a recording saw the service start; what it does only then is unknown otherwise."""
        return Phase.START_UP in self.phases

    @property
    def unobserved(self) -> tuple[str, ...]:
        """What no recording saw although the unit has it, sorted."""
        sets = [frozenset(recording.unobserved) for recording in self.recordings]
        return tuple(sorted(frozenset.intersection(*sets))) if sets else ()

    @property
    def account_directories(self) -> frozenset[str]:
        """The directories for state that belong to accounts as which the service ran in any recording."""
        return frozenset(path for recording in self.recordings for path in recording.account_directories)

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The losses of all recordings, added up per kind, with the sample that sorts first."""
        total: dict[str, Loss] = {}
        for loss in (loss for recording in self.recordings for loss in recording.losses):
            other = total.get(loss.kind, Loss(loss.kind, 0))
            sample = min(filter(None, (loss.sample, other.sample)), default="")
            total[loss.kind] = Loss(loss.kind, loss.count + other.count, sample)
        return tuple(total[kind] for kind in sorted(total))

    @property
    def workload(self) -> Workload:
        """Failed if the workload of any recording failed; else ok if any had one."""
        outcomes = {recording.workload for recording in self.recordings}
        return next((one for one in (Workload.FAILED, Workload.OK) if one in outcomes), Workload.NONE)

    @property
    def interrupted(self) -> int:
        """How many of the recordings were ended before they were complete."""
        return sum(recording.ending is Ending.INTERRUPTED for recording in self.recordings)

    @property
    def ended_on_reload(self) -> bool:
        """Whether the service ended by its own ExecReload= in a recording."""
        return any(recording.ended_on_reload for recording in self.recordings)

    @property
    def systemd_version(self) -> int:
        """The newest systemd version of the recordings, 0 if unknown."""
        return max((recording.systemd_version for recording in self.recordings), default=0)

    @property
    def architectures(self) -> tuple[str, ...]:
        """The architectures of the recordings, sorted."""
        return tuple(sorted({recording.architecture for recording in self.recordings}))

    @property
    def recorders(self) -> tuple[str, ...]:
        """The recorders that took part, sorted."""
        return tuple(sorted({name for recording in self.recordings for name in recording.recorders}))


def merge_headers(headers: Sequence[Header]) -> Header:
    """Return the union. Of several settings the one that sorts first stands in front: no clock tells the newest."""
    settings = {header.unit for header in headers}.union(*(header.other_settings for header in headers))
    first = min(settings, key=repr)
    recordings = frozenset[Recording]().union(*(header.recordings for header in headers))
    return Header(first, recordings, frozenset(settings - {first}))


_SECRET = frozenset(
    {"Environment", "SetCredential", "SetCredentialEncrypted", "StandardInputText", "StandardInputData"}
)
_NO_COMMAND = frozenset({"ExecPaths", "ExecSearchPath"})


def without_secrets(unit: UnitSettings) -> UnitSettings:
    """Return the settings without the assignments that can hold secrets: environment, credentials, command lines.

    Nothing that bounds what a service may do is among them; the programs stay known by ``exec_lines``.
    """
    kept = tuple((name, value) for name, value in unit.assignments if not _may_be_secret(name))
    return unit if len(kept) == len(unit.assignments) else dataclasses.replace(unit, assignments=kept)


def _may_be_secret(name: str) -> bool:
    return name in _SECRET or (name.startswith("Exec") and name not in _NO_COMMAND)
