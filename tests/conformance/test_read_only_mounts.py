"""What the kernel says on a read-only bind mount, without any systemd: the table in ``policy/sandbox/read_only.py``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.behaviour import Fact, PathPair, PathUse
from policy.sandbox.mount_entry import Mode, MountEntry
from policy.sandbox.mount_table import MountTable
from profiler import run
from tests.conformance.operations import everything_in, names_taken_in
from tests.conformance.sandboxed_probe import PROBE, Operation
from tests.requirements import require

PREPARE = """
import os, socket, shutil, sys
base = sys.argv[1]
for name in "abcdefgh":
    with open(base + "/" + name, "w") as stream:
        stream.write(name)
os.mkdir(base + "/directory"); os.mkdir(base + "/empty"); os.mkfifo(base + "/fifo")
open(base + "/directory/inner", "w").close()
open(base + "/private", "w").close()
socket.socket(socket.AF_UNIX).bind(base + "/socket")
shutil.copy("/bin/true", base + "/program")
"""

MOUNTED_READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    require(os.geteuid() == 0, "only root can mount")
    possible = run.run(["unshare", "--mount", "true"], check=False).status == 0
    require(possible, "this machine allows no new mount namespace")
    yield str(tmp_path)


def _outcomes(command: list[str], base: str, operations: list[Operation]) -> list[str]:
    run.run(["find", base, "-mindepth", "1", "-delete"])
    run.run(["python3", "-c", PREPARE, base])
    commands = json.dumps([operation.command() for operation in operations])
    outcomes: list[str] = json.loads(run.run([*command, "python3", "-I", "-B", "-c", PROBE, commands]).stdout)
    return outcomes


def test_each_operation_on_a_read_only_mount(directory: str) -> None:
    operations = [*everything_in(directory), *names_taken_in(directory)]
    shell = ["unshare", "--mount", "sh", "-c", MOUNTED_READ_ONLY, "sh", directory]
    recorded = _outcomes([], directory, operations)
    real = _outcomes(shell, directory, operations)
    table = MountTable()
    table.separate("ReadOnlyPaths", f"ReadOnlyPaths={directory}")
    table.add(MountEntry(directory, Mode.READ_ONLY, "ReadOnlyPaths", f"ReadOnlyPaths={directory}"))
    wrong = []
    for operation, before, after in zip(operations, recorded, real, strict=True):
        behaviour = operation.behaviour()
        assert isinstance(behaviour, PathUse | PathPair)
        denial = table.judge(Fact(behaviour, before.partition(":")[0]))
        predicted = denial.outcome if denial else before.partition(":")[0]
        if operation.path != directory and predicted != after.partition(":")[0]:
            wrong.append((operation, before, after, predicted))
    assert wrong == []
    assert real.count("EROFS") > 20
