"""Hostile paths in a running systemd: read back over D-Bus, and at work in the sandbox that they make.

The static side, 10,000 paths per directive, is ``tests/policy/test_path_encoding.py``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from policy.drop_in import DropIn, Setting
from policy.path_encoding import encode_path, unbindable_because
from profiler.host import read_host_facts
from profiler.machine import Host, Machine
from profiler.twin import Twin
from tests.policy.test_path_encoding import BINDS, LISTS, random_path

UNIT = "unit-tailor-hostile.service"
FRAGMENT = f"/run/systemd/system/{UNIT}"
BASE = "/srv/unit-tailor-hostile"
OBJECT = "/org/freedesktop/systemd1/unit/unit_2dtailor_2dhostile_2eservice"
CASES = 40
EXECUTOR_SINCE = 254

# Runs inside the service: for each path (hexadecimal, one a line) says what creating, listing and executing gave.
PROBE = """\
import errno, os, sys
def attempt(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode[error.errno]
def created(path):
    os.close(os.open(path + b"/new", os.O_CREAT | os.O_WRONLY))
    return "ok"
for line in open(sys.argv[1]):
    path = bytes.fromhex(line)
    listed = attempt(lambda: ",".join(sorted(os.fsdecode(name) for name in os.listdir(path))))
    ran_as = "ok" if os.access(path + b"/program", os.X_OK) else "refused"
    print(line.strip(), attempt(lambda: created(path)), listed or "empty", ran_as)
"""


def hostile_directories(machine: Machine, seed: str, count: int) -> list[str]:
    """Make directories with hostile names, each with a program in it, and return their paths."""
    random = Random(seed)
    paths = list(dict.fromkeys(f"{BASE}{random_path(random)}" for _ in range(count)))
    paths = [path for path in paths if not any(path != other and other.startswith(f"{path}/") for other in paths)]
    for path in paths:
        directory = machine.path(path)
        directory.mkdir(parents=True, exist_ok=True)
        directory.joinpath("program").write_text("#!/bin/sh\n")
        directory.joinpath("program").chmod(0o755)
    return paths


@contextmanager
def loaded(machine: Machine, settings: list[Setting]) -> Iterator[None]:
    """Have systemd load a unit with these settings, and forget it afterwards."""
    probe, paths = f"{BASE}.probe.py", f"{BASE}.paths"
    fragment = machine.path(FRAGMENT)
    service = DropIn(tuple(settings)).render()
    tail = f"Type=oneshot\nStandardOutput=file:{BASE}.out\nExecStart=/usr/bin/python3 {probe} {paths}\n"
    machine.path(probe).write_text(PROBE)
    fragment.write_text(f"{service}{tail}")
    try:
        machine.run(["systemctl", "daemon-reload"])
        yield
    finally:
        fragment.unlink()
        machine.run(["systemctl", "reset-failed", UNIT], check=False)
        machine.run(["systemctl", "daemon-reload"])


def probed(machine: Machine, paths: list[str]) -> dict[str, tuple[str, str, str]]:
    """Start the unit and return for each path: outcome of creating, names in it, whether its program may run."""
    machine.path(f"{BASE}.paths").write_text("".join(f"{os.fsencode(path).hex()}\n" for path in paths))
    output = machine.path(f"{BASE}.out")
    output.unlink(missing_ok=True)
    machine.run(["systemctl", "start", UNIT])
    rows = [line.split(" ") for line in output.read_text().splitlines()]
    return {os.fsdecode(bytes.fromhex(row[0])): (row[1], row[2], row[3]) for row in rows}


@pytest.fixture
def twin(session_twin: Twin) -> Iterator[Twin]:
    """The session's twin, with everything that these tests make in it removed at the end."""
    yield session_twin
    session_twin.run(["sh", "-c", f"rm -rf {BASE} {BASE}.*"])


def listing(directive: str, paths: list[str]) -> list[Setting]:
    return [Setting(directive, encode_path(path, directive)) for path in paths]


def test_a_granted_path_is_writable_and_no_other(twin: Twin) -> None:
    paths = hostile_directories(twin, "write", CASES)
    granted = paths[::2]
    with loaded(twin, [Setting("ProtectSystem", "strict"), *listing("ReadWritePaths", granted)]):
        found = probed(twin, paths)
    assert {path: outcome[0] for path, outcome in found.items()} == {
        path: "ok" if path in granted else "EROFS" for path in paths
    }


def test_a_read_only_path_is_read_only_and_no_other(twin: Twin) -> None:
    paths = hostile_directories(twin, "read", CASES)
    with loaded(twin, listing("ReadOnlyPaths", paths[::2])):
        found = probed(twin, paths)
    assert [found[path][0] for path in paths] == ["EROFS" if path in paths[::2] else "ok" for path in paths]


def test_an_inaccessible_path_is_empty_and_no_other(twin: Twin) -> None:
    paths = hostile_directories(twin, "inaccessible", CASES)
    with loaded(twin, listing("InaccessiblePaths", paths[::2])):
        found = probed(twin, paths)
    assert all(("program" in found[path][1]) == (path not in paths[::2]) for path in paths)


def test_a_path_without_execution_cannot_be_executed_and_every_other_can(twin: Twin) -> None:
    paths = hostile_directories(twin, "execute", CASES)
    with loaded(twin, listing("NoExecPaths", paths[::2])):
        found = probed(twin, paths)
    assert [found[path][2] for path in paths] == ["refused" if path in paths[::2] else "ok" for path in paths]


def test_a_temporary_file_system_is_mounted_there_and_nowhere_else(twin: Twin) -> None:
    paths = hostile_directories(twin, "temporary", CASES)
    if read_host_facts(twin).systemd_version >= EXECUTOR_SINCE:
        # Hostile names are lost on the way to the executor. The tool proposes it for trees of fixed names only.
        paths = [f"{BASE}/tree-{number}" for number in range(CASES)]
        for path in paths:
            twin.path(path).mkdir()
            twin.path(f"{path}/program").touch()
    with loaded(twin, listing("TemporaryFileSystem", paths[::2])):
        found = probed(twin, paths)
    assert all(("program" in found[path][1]) == (path not in paths[::2]) for path in paths)


def test_a_path_is_bound_where_it_was_meant(twin: Twin) -> None:
    paths = [path for path in hostile_directories(twin, "bind", 10 * CASES) if not unbindable_because(path)]
    assert len(paths) >= CASES / 4
    source = f"{BASE}/source"
    twin.path(source).mkdir()
    twin.path(f"{source}/marker").touch()
    binds = [Setting("BindPaths", f"{source}:{encode_path(path, 'BindPaths')}") for path in paths[::2]]
    with loaded(twin, binds):
        found = probed(twin, paths)
    assert all(("marker" in found[path][1]) == (path in paths[::2]) for path in paths)


@pytest.mark.parametrize(
    "directive",
    [*LISTS, *BINDS, "TemporaryFileSystem", "DeviceAllow"],
)
def test_the_manager_reads_hostile_paths_back(twin: Twin, directive: str) -> None:
    random = Random(directive)
    start = "/dev" if directive == "DeviceAllow" else ""
    paths = list(dict.fromkeys(start + random_path(random) for _ in range(1000)))
    with loaded(twin, listing(directive, paths)):
        assert sorted(read_back(twin, directive)) == sorted(paths)


def read_back(machine: Machine, directive: str) -> list[str]:
    """Return the paths of a property, over D-Bus: arrays, not the text of ``systemctl show``."""
    bus = ["busctl", "--json=short", "get-property", "org.freedesktop.systemd1", OBJECT]
    said = machine.run([*bus, "org.freedesktop.systemd1.Service", directive]).stdout
    entries = json.loads(said)["data"]
    if directive.startswith("Bind"):
        assert all(entry[0] == entry[1] for entry in entries)
    return [entry if isinstance(entry, str) else entry[0] for entry in entries]


def test_a_twin_has_the_facts_of_its_host(session_twin: Twin) -> None:
    facts = read_host_facts(session_twin)
    assert facts.syscall_sets == read_host_facts(Host()).syscall_sets
    assert facts.kernel == read_host_facts(Host()).kernel


def test_the_port_start_is_that_of_the_machine_s_own_network(session_twin: Twin) -> None:
    setting = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
    before = Path(setting).read_text()
    session_twin.run(["sh", "-c", f"echo 80 > {setting}"])
    try:
        assert read_host_facts(session_twin).unprivileged_port_start == 80
        assert Path(setting).read_text() == before
    finally:
        session_twin.run(["sh", "-c", f"echo 1024 > {setting}"])
