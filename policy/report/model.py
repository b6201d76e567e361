"""What a report says, as plain values. Names in them come from the service: whoever shows them makes them harmless."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Levels:
    """Exposure levels of systemd-analyze(1), 0.0 to 10.0: under the unit's own settings, with the drop-in, and the
    lowest that a service can have that does what was recorded, with what makes that, heaviest first."""

    before: float
    after: float
    floor: float
    floor_because: tuple[str, ...] = ()
    kind: str = ""
    kind_floor: float = 0.0

    @property
    def before_word(self) -> str:
        """What systemd-analyze calls the level before."""
        return word_for(self.before)

    @property
    def after_word(self) -> str:
        """What systemd-analyze calls the level after."""
        return word_for(self.after)


def word_for(level: float) -> str:
    """Return what systemd-analyze(1) calls a level: ``badness_table`` in its ``analyze-security.c``."""
    return next(word for least, word in WORDS if level >= least)


WORDS = ((10.0, "DANGEROUS"), (9.0, "UNSAFE"), (7.5, "EXPOSED"), (5.0, "MEDIUM"), (1.0, "OK"), (0.0, "PERFECT"))


@dataclass(frozen=True)
class Replay:
    """The recording judged under the drop-in: how many facts, and in words those that would come out differently."""

    judged: int
    blocked: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Course:
    """One recording: by what it was made and how it went. ``points`` and ``phases`` are in milliseconds from its
    beginning; both are empty where the profile does not say."""

    recorder: str
    systemd: int
    kernel: str
    workload: str
    ending: str
    duration: int = 0
    points: tuple[tuple[int, int], ...] = ()
    phases: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Opening:
    """What stays open: a directive, its value with the drop-in, what it costs in exposure, and why it is no stricter.

    ``reasons`` are some of the facts that need it, in words, ``more`` how many there are besides.
    """

    directive: str
    summary: str
    values: tuple[str, ...]
    cost: float
    reasons: tuple[str, ...] = ()
    more: int = 0
    price: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Line:
    """One setting of the drop-in: what it takes away, the reasons that stand above it, and what it would block."""

    name: str
    value: str
    summary: str = ""
    reasons: tuple[str, ...] = ()
    remark: str = ""
    blocks: tuple[str, ...] = ()
    section: str = "Service"


@dataclass(frozen=True)
class Place:
    """A path, or several components of one that lead nowhere else. ``used`` and ``allowed`` are words of ``r``, ``w``
    and ``x``: what was done there or below, and what could be with the drop-in; ``missing`` if nothing was found."""

    name: str
    path: str
    used: str = ""
    allowed: str = ""
    missing: bool = False
    details: tuple[str, ...] = ()
    size: int = 1
    children: tuple[Place, ...] = ()


@dataclass(frozen=True)
class CallGroup:
    """System calls of one of systemd's groups: used and allowed, only allowed, and blocked."""

    name: str
    used: tuple[str, ...]
    allowed: tuple[str, ...]
    blocked: tuple[str, ...]


@dataclass(frozen=True)
class Calls:
    """All system calls that the target knows; a call can be in several groups, so the sums are kept apart."""

    groups: tuple[CallGroup, ...]
    used: int
    allowed: int
    known: int


@dataclass(frozen=True)
class Capability:
    """A capability that was used or that the drop-in leaves, with the evidence for its use."""

    name: str
    allowed: bool
    evidence: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Capabilities:
    """Those that matter, and the names of the others, which are taken away."""

    kept: tuple[Capability, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class Socket:
    """A kind of socket, where it was bound or connected to, and by whom."""

    family: str
    type: str
    allowed: bool
    addresses: tuple[str, ...] = ()
    more: int = 0
    exec_lines: tuple[str, ...] = ()


class Ran(StrEnum):
    """Whether an Exec line of the unit was seen to run."""

    YES = "ran"
    NO = "never ran"


@dataclass(frozen=True)
class ExecLine:
    """An Exec line: its programs, whether it ran, as which users and in which phases, and what it executed."""

    kind: str
    programs: tuple[str, ...]
    ran: Ran
    users: tuple[int, ...] = ()
    phases: tuple[str, ...] = ()
    facts: int = 0
    executed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A process name, and how much of what was recorded it did."""

    name: str
    exec_lines: tuple[str, ...]
    users: tuple[int, ...]
    facts: int


@dataclass(frozen=True)
class PhaseShare:
    """How many facts were seen in a phase, and how many in no phase before it."""

    phase: str
    facts: int
    new: int


@dataclass(frozen=True)
class Report:
    """Everything; ``generated`` says that the drop-in is the one that would be written for this profile."""

    unit: str
    systemd: int
    drop_in: str
    generated: bool
    facts: int
    levels: Levels
    replay: Replay
    remarks: tuple[str, ...]
    advice: tuple[str, ...]
    openings: tuple[Opening, ...]
    lines: tuple[Line, ...]
    places: Place
    calls: Calls
    capabilities: Capabilities
    sockets: tuple[Socket, ...]
    exec_lines: tuple[ExecLine, ...]
    programs: tuple[Program, ...]
    courses: tuple[Course, ...]
    phases: tuple[PhaseShare, ...]
