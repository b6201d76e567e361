"""Which namespaces of their own follow from what was used."""

from __future__ import annotations

import pytest

from policy.behaviour import Fact, IpcUsed, NamespaceUsed
from policy.directives.base import Evidence
from policy.directives.namespaces import PrivateIPC, PrivateUsers
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


@pytest.mark.parametrize(
    ("used", "proposed"),
    [
        (NamespaceUsed("clone3"), True),  # a thread
        (NamespaceUsed("clone3", ("net",)), False),
        (NamespaceUsed("unshare", ("mnt",)), False),
        (NamespaceUsed("setns"), False),
    ],
)
def test_users_of_its_own_are_for_those_that_make_no_namespace(used: NamespaceUsed, proposed: bool) -> None:
    evidence = Evidence(frozenset({Fact(used)}), HOST, UnitSettings(user="a"))
    assert bool(PrivateUsers.candidates(evidence)) is proposed
