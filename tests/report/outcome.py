"""What was measured of one daemon, as plain values: ``build/report.json`` holds them, the table comes from them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.report.recorders import Seen


@dataclass(frozen=True)
class Trial:
    """A drop-in under test: whether the recorded use works under it, and a second use that nobody recorded.

    ``problem`` and ``second_problem`` are empty where all went well; ``blocked`` names what was denied during the
    recorded use, ``second_blocked`` during the second.
    """

    problem: str = ""
    blocked: tuple[str, ...] = ()
    second_problem: str = ""
    second_blocked: tuple[str, ...] = ()
    second_done: bool = False
    exposure: float | None = None
    capabilities: tuple[str, ...] | None = None
    families: str = ""
    calls_let_through: int | None = None
    writable_directories: int | None = None

    @property
    def fits(self) -> bool:
        """Whether the recorded use works and nothing of it was denied."""
        return not self.problem and not self.blocked


@dataclass(frozen=True)
class Outcome:
    """All figures for one daemon. Times are in seconds, exposure levels those of systemd-analyze, 0.0 to 10.0."""

    name: str
    unit: str
    problem: str = ""  # why there are no further figures
    when: str = ""  # the date, handed in
    systemd: int = 0
    kernel: str = ""
    recorder: str = ""
    runs_as_root: bool = True
    facts: int = 0
    lost: int = 0
    replayed_blocked: int = 0
    exposure_before: float | None = None
    floor: float | None = None
    floor_because: tuple[str, ...] = ()
    capabilities_used: tuple[str, ...] = ()
    capabilities_before: int | None = None
    calls_used: int = 0
    calls_before: int | None = None
    families_used: tuple[str, ...] = ()
    writable_before: int | None = None
    workload_seconds: float | None = None
    workload_seconds_recorded: float | None = None
    second_without: str = ""  # how the second use fails without any drop-in: then it proves nothing
    generic: Trial = field(default_factory=Trial)
    levels: dict[str, Trial] = field(default_factory=dict)
    recorders: tuple[Seen, ...] = ()
    took: float = 0.0
