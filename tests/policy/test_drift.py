"""A drop-in made from a profile has not drifted from it; what is taken out of it, or added to it, has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from policy.decide import decide
from policy.difference import Change
from policy.drift import drift
from policy.drop_in_for import drop_in_settings
from policy.level import Level
from policy.service_profile import Profile
from policy.settings import Assignment
from policy.shipped_host_facts import for_version
from tests.policy.services import data_store, web_server

HOST = for_version(252)


def made_from(profile: Profile, level: Level) -> list[Assignment]:
    settings = drop_in_settings(decide(profile, HOST, level))
    return [(name, value) for name, values, _ in settings for value in values]


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("service", [web_server, data_store])
def test_what_was_just_made_has_no_drift(service: Callable[[], Profile], level: Level) -> None:
    profile = service()
    found = drift(profile, made_from(profile, level), HOST, level)
    assert found.replayed.denials == ()
    assert found.slack == ()


def test_what_is_taken_out_could_be_tighter() -> None:
    profile = web_server()
    settings = [one for one in made_from(profile, Level.STANDARD) if one[0] != "ProtectClock"]
    (found,) = drift(profile, settings, HOST, Level.STANDARD).slack
    assert (found.directive, found.change, found.before, found.after) == ("ProtectClock", Change.TIGHTER, (), ("yes",))


def test_what_is_too_tight_blocks_and_is_no_slack() -> None:
    profile = web_server()
    settings = [*made_from(profile, Level.STANDARD), ("CapabilityBoundingSet", "")]
    found = drift(profile, settings, HOST, Level.STANDARD)
    assert {denial.directive for denial in found.replayed.denials} == {"CapabilityBoundingSet"}
    assert found.slack == ()
