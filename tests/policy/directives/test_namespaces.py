"""Which namespaces of their own follow from what was used."""

from __future__ import annotations

import pytest

from policy.behaviour import Fact, IpcUsed
from policy.directives.base import Evidence
from policy.directives.namespaces import PrivateIPC
from policy.level import Level
from policy.unit_settings import UnitSettings
from tests.policy.services import HOST


@pytest.mark.parametrize(
    ("used", "level", "proposed"),
    [
        ((), Level.COMPATIBLE, True),
        ((IpcUsed("shm", "private"),), Level.STANDARD, True),
        ((IpcUsed("shm", "private"),), Level.COMPATIBLE, False),  # whom its number was given to is not known
        ((IpcUsed("shm", "private"), IpcUsed("sem", "0x2")), Level.STRICT, False),
        ((IpcUsed("shm", "private", shared=True),), Level.STRICT, False),
        ((IpcUsed("shm", "unknown", shared=True),), Level.STRICT, False),
    ],
)
def test_ipc_of_its_own_is_for_those_whose_objects_nobody_can_look_for(
    used: tuple[IpcUsed, ...], level: Level, proposed: bool
) -> None:
    evidence = Evidence(frozenset(map(Fact, used)), HOST, UnitSettings(), level=level)
    assert bool(PrivateIPC.candidates(evidence)) is proposed
