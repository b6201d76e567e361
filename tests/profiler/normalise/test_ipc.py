"""System V IPC: what the mode of somebody else's object refuses needs a capability, one's own does not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from profiler.machine import Host
from profiler.normalise.ipc_objects import READ, WRITE, IpcOwner, in_table
from profiler.normalise.objects import MachineObjects
from profiler.recorders.base import Symbol
from tests.profiler.normalise.calls import BareMachine
from tests.profiler.normalise.test_identities import capabilities
from tests.requirements import require

FOREIGN = IpcOwner(1000, 1000, 1000, 1000, 0o600)
SHARED = IpcOwner(1000, 1000, 1000, 1000, 0o644)
TABLE = (
    b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime\n"
    b"    500001          3  1600                  4096     1     2      0  1000  1001  1002  1003          0\n"
)
GET, ATTACH = ("shmget", 0x7A111, 0, 0), ("shmat", 0, 0, Symbol("SHM_RDONLY"))


def test_a_row_is_read_by_the_names_of_its_columns() -> None:
    assert in_table(TABLE, 3) == IpcOwner(1000, 1002, 1001, 1003, 0o600)
    assert in_table(TABLE, 4) is None
    assert in_table(b"", 3) is None


@pytest.mark.parametrize(
    ("owner", "call", "expected"),
    [
        (FOREIGN, ATTACH, ["CAP_IPC_OWNER: shmat: object of user 1000 group 1000 mode 0600"]),
        (FOREIGN, GET, []),
        (FOREIGN, ("shmget", 0x7A111, 0, 0o600), ["CAP_IPC_OWNER: shmget: object of user 1000 group 1000 mode 0600"]),
        (SHARED, ATTACH, []),
        (SHARED, ("shmat", 0, 0, Symbol("0x1000")), []),  # read-only, as ptrace spells it
        (SHARED, ("shmat", 0, 0, 0), ["CAP_IPC_OWNER: shmat: object of user 1000 group 1000 mode 0644"]),
        (FOREIGN, ("shmctl", 0, Symbol("IPC_RMID")), ["CAP_SYS_ADMIN: shmctl of user 1000's object"]),
        (FOREIGN, ("shmctl", 0, 0), ["CAP_SYS_ADMIN: shmctl of user 1000's object"]),
        (IpcOwner(0, 0, 0, 0, 0o600), ATTACH, []),
        (IpcOwner(1000, 0, 1000, 0, 0o600), ATTACH, []),
        (IpcOwner(0, 0, 0, 0, 0), ATTACH, ["CAP_IPC_OWNER: shmat: object of user 0 group 0 mode 0000"]),
        (None, ATTACH, ["CAP_IPC_OWNER: shmat (unknown owner)"]),
    ],
)
def test_what_the_mode_refuses(owner: IpcOwner | None, call: tuple[object, ...], expected: list[str]) -> None:
    machine = BareMachine(ipc={} if owner is None else {("shm", 0): owner})

    assert capabilities(call, machine=machine) == expected


def test_what_the_service_made_itself_is_its_own() -> None:
    made = ("shmget", 0, 4096, Symbol("IPC_CREAT|IPC_EXCL|0600"))

    assert capabilities(made, ("shmat", 0, 0, 0), ("shmctl", 0, Symbol("IPC_RMID"))) == []


def test_a_real_object_is_found_in_the_namespace_of_the_viewer() -> None:
    require(os.geteuid() == 0, "looking into another IPC namespace needs root")
    program = (
        "import ctypes, sys; libc = ctypes.CDLL(None); assert libc.unshare(0x08000000) == 0\n"
        "print(libc.shmget(0, 4096, 0o1640), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        number = int(other.stdout.readline())
        found = MachineObjects(Host()).ipc_owner("shm", number, [other.pid])

        assert found is not None and (found.user, found.mode) == (0, 0o640)
        assert found.allows(MachineObjects(Host()).process(os.getpid()).credentials, READ | WRITE)  # type: ignore[union-attr]
        other.communicate("")
