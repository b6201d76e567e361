"""The model of ids and capabilities against the kernel: random sequences of calls, compared after every one."""

from __future__ import annotations

import json
import os
import random
import subprocess
from dataclasses import replace

import pytest

from profiler.machine import Host
from profiler.normalise.credentials import ALL, Credentials, FilePrivileges, Ids, capabilities_in, set_ids
from profiler.normalise.objects import MachineObjects
from tests.profiler.normalise.conftest import PYTHON
from tests.requirements import require

# Performs each sequence in a child of its own, and prints what /proc says after each call, and whether it succeeded.
KERNEL = """
import ctypes, json, os, re, sys
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"setuid": 105, "setgid": 106, "setreuid": 113, "setregid": 114, "setresuid": 117, "setresgid": 119,
           "setfsuid": 122, "setfsgid": 123, "prctl": 157}
def state():
    text = open("/proc/thread-self/status").read()
    return {name: re.search(rf"(?m)^{name}:\\s*(.*)$", text).group(1).split() for name in
            ("Uid", "Gid", "CapPrm", "CapEff")}
for sequence in json.load(sys.stdin):
    reading, writing = os.pipe()
    if os.fork() == 0:
        steps = []
        for name, *arguments in sequence:
            result = libc.syscall(numbers[name], *(ctypes.c_long(value) for value in arguments))
            steps.append([result, state()])
        os.write(writing, json.dumps(steps).encode())
        os._exit(0)
    os.close(writing)
    print(open(reading, "rb", closefd=True).read().decode())
    os.wait()
"""

PR_SET_KEEPCAPS = 8
RULES = {"setuid": "set", "setgid": "set", "setreuid": "setre", "setregid": "setre"}
RULES |= {"setresuid": "setres", "setresgid": "setres", "setfsuid": "setfs", "setfsgid": "setfs"}
COUNTS = {"set": 1, "setre": 2, "setres": 3, "setfs": 1}


def sequences(count: int) -> list[list[list[str | int]]]:
    """Return random sequences of calls, the same ones every time."""
    chosen = random.Random(7)
    found: list[list[list[str | int]]] = []
    for _ in range(count):
        steps: list[list[str | int]] = []
        for _ in range(6):
            name = chosen.choice([*RULES, "setresuid", "setuid", "prctl"])
            if name == "prctl":
                steps.append([name, PR_SET_KEEPCAPS, chosen.choice([0, 1]), 0, 0, 0])
            else:
                ids = (chosen.choice([0, 0, 33, 34, -1]) for _ in range(COUNTS[RULES[name]]))
                steps.append([name, *(0 if number == -1 and len(RULES[name]) in (3, 5) else number for number in ids)])
        found.append(steps)
    return found


def test_set_ids_as_the_kernel_does() -> None:
    require(os.geteuid() == 0, "needs root")
    require(os.uname().machine == "x86_64", "the numbers of the calls are those of x86-64")
    given = sequences(300)
    ran = subprocess.run([*PYTHON, "-c", KERNEL], input=json.dumps(given), capture_output=True, text=True, check=True)
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(results) == len(given)
    status = MachineObjects(Host()).process(os.getpid())
    assert status is not None
    held = status.credentials.permitted
    for sequence, steps in zip(given, results, strict=True):
        model = Credentials(permitted=held, effective=held, bounding=held)
        for (name, *arguments), (result, kernel) in zip(sequence, steps, strict=True):
            model = follow(model, str(name), [int(value) for value in arguments], result)
            assert shown(model) == kernel, (sequence, name, arguments)


def follow(model: Credentials, name: str, arguments: list[int], result: int) -> Credentials:
    if name == "prctl":
        return replace(model, keep_capabilities=bool(arguments[1]))
    user = name.endswith("uid")
    wanted = tuple(None if value == -1 else value for value in arguments) + (None,) * (3 - len(arguments))
    capable = ("CAP_SETUID" if user else "CAP_SETGID") in model.effective
    changed = set_ids(RULES[name], model.user if user else model.group, wanted, capable)
    assert "fs" in name or (changed is not None) == (result == 0), (model, name, arguments)
    if changed is None:
        return model
    if not user:
        return replace(model, group=changed)
    return model.with_file_system_user(changed) if "fs" in name else model.with_user(changed)


def shown(model: Credentials) -> dict[str, list[str]]:
    def ids(value: Ids) -> list[str]:
        return [str(number) for number in (value.real, value.effective, value.saved, value.file_system)]

    def bits(names: frozenset[str]) -> list[str]:
        every = [index for index in range(64) if capabilities_in(1 << index) & names]
        return [f"{sum(1 << index for index in every):016x}"]

    sets = {"CapPrm": bits(model.permitted), "CapEff": bits(model.effective)}
    return {"Uid": ids(model.user), "Gid": ids(model.group), **sets}


BIND = frozenset({"CAP_NET_BIND_SERVICE"})
WEB = Credentials(user=Ids.same(33), group=Ids.same(33), permitted=frozenset(), effective=frozenset())


@pytest.mark.parametrize(
    ("before", "file", "effective", "user"),
    [
        (Credentials(), FilePrivileges(), ALL, 0),
        (Credentials(bounding=BIND), FilePrivileges(), BIND, 0),
        (WEB, FilePrivileges(), frozenset(), 33),
        (WEB, FilePrivileges(user=0), ALL, 0),
        (WEB, FilePrivileges(permitted=BIND, effective=True), BIND, 33),
        (WEB, FilePrivileges(permitted=BIND), frozenset(), 33),
        (Credentials(**{**vars(WEB), "no_new_privileges": True}), FilePrivileges(user=0), frozenset(), 33),
        (Credentials(**{**vars(WEB), "ambient": BIND, "permitted": BIND}), FilePrivileges(), BIND, 33),
    ],
)
def test_execution(before: Credentials, file: FilePrivileges, effective: frozenset[str], user: int) -> None:
    """capabilities(7), transformation of capabilities during execve()."""
    after = before.executed(file)
    assert (after.effective, after.user.effective) == (effective, user)
