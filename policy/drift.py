"""Whether a drop-in still fits a profile: what it would block by now, and what could be tighter by now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.decide import decide
from policy.difference import Change, Difference, compare_settings
from policy.host_facts import HostFacts
from policy.level import Level
from policy.replay import Replayed, replay
from policy.service_profile import Profile
from policy.settings import Assignment, parse_settings


@dataclass(frozen=True)
class Drift:
    """What stands between a drop-in and a profile. ``slack`` are the settings that could be tighter."""

    replayed: Replayed
    slack: tuple[Difference, ...] = ()


def drift(profile: Profile, drop_in: Sequence[Assignment], host: HostFacts, level: Level) -> Drift:
    """Compare a drop-in with what would be made of the profile today, at a level of tightness."""
    own = profile.header.unit.assignments
    present = parse_settings((*own, *drop_in), host)
    wanted = {choice.name: choice.chosen for choice in decide(profile, host, level).choices}
    differences = compare_settings(present, wanted)
    return Drift(replay(profile, drop_in, host), tuple(one for one in differences if one.change is Change.TIGHTER))
