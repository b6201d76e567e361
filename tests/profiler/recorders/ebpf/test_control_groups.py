"""Whose behaviour is recorded: a control group, from the first program that is executed in it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.machine import Host
from profiler.recorders.ebpf import control_groups
from profiler.recorders.ebpf.availability import availability
from profiler.recorders.ebpf.recorder import EbpfRecorder
from profiler.recorders.ebpf.records import KernelRecord, Mark, RecordKind
from tests.requirements import require

AS_SYSTEMD = """
import os, sys, time
if os.fork():
    os._exit(0)
for _ in range(1000):
    if os.getppid() == 1:
        break
    time.sleep(0.005)
else:
    sys.exit(print("no child of PID 1"))
with open(sys.argv[1], "w") as file:
    file.write(str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Group:
    """A control group of version 2 with a name of its own."""

    def __init__(self, mount: Path) -> None:
        self.name = f"/unit-tailor-test-{secrets.token_hex(4)}"
        self.path = mount / self.name.strip("/")

    def run(self, script: str, *, below: str = "", program: str = "/bin/sh") -> None:
        """Run a shell script as systemd would: a child of PID 1 moves itself into the group, then executes the shell.

        Returns when it has ended.
        """
        place = self.path / below
        place.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-I", "-S", "-c", AS_SYSTEMD, str(place / "cgroup.procs"), program, "-c", script]
        completed = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True)
        require(b"no child of PID 1" not in completed.stdout, "orphans do not become children of PID 1 here")


@pytest.fixture
def group() -> Iterator[Group]:
    require(availability().available, "units cannot be recorded by control group here")
    mount = control_groups.mount_point(Path("/proc/self/mountinfo").read_text())
    assert mount is not None
    group = Group(mount)
    yield group
    for directory in sorted(group.path.rglob("*"), reverse=True):
        if directory.is_dir():
            directory.rmdir()
    if group.path.exists():
        group.path.rmdir()


def _remove(group: Group) -> None:
    # A process that has been waited for may still be on its way out of the group.
    for _ in range(100):
        with contextlib.suppress(OSError):
            group.path.rmdir()
            return
        time.sleep(0.05)
    group.path.rmdir()


def _looked_up(records: list[KernelRecord]) -> set[bytes]:
    return {record.strings[0] for record in records if record.kind is RecordKind.PATHS and record.strings[0]}


def test_a_group_that_is_made_later_is_followed_from_its_first_program(group: Group) -> None:
    records: list[KernelRecord] = []
    with EbpfRecorder(Host(), records.append, group=group.name):
        group.run("test -e /inside-1; sh -c 'test -e /inside-2'")
        subprocess.run(["test", "-e", "/outside"], check=False)
    assert {b"/inside-1", b"/inside-2"} <= _looked_up(records)
    assert b"/outside" not in _looked_up(records)
    assert records[0].kind is RecordKind.EXECUTED
    assert Mark.FIRST in records[0].marks
    # What the first shell did before its execve, such as opening cgroup.procs, is not the unit's.
    assert not any(b"cgroup.procs" in name for name in _looked_up(records))


def test_a_group_that_is_removed_and_made_again_is_followed_again(group: Group) -> None:
    records: list[KernelRecord] = []
    with EbpfRecorder(Host(), records.append, group=group.name):
        group.run("test -e /first")
        _remove(group)
        group.run("test -e /second")
    assert {b"/first", b"/second"} <= _looked_up(records)
    lines = {record.line for record in records}
    assert len(lines) == 2


def test_groups_below_belong_to_it(group: Group) -> None:
    records: list[KernelRecord] = []
    with EbpfRecorder(Host(), records.append, group=group.name):
        group.run("test -e /deep-inside", below="one/two")
    assert b"/deep-inside" in _looked_up(records)


def test_a_process_that_is_moved_out_is_kept(group: Group) -> None:
    records: list[KernelRecord] = []
    out = group.path.parent / "cgroup.procs"
    with EbpfRecorder(Host(), records.append, group=group.name):
        group.run(f"echo $$ > {out}; test -e /moved-out; sh -c 'test -e /child-of-moved-out'")
    assert {b"/moved-out", b"/child-of-moved-out"} <= _looked_up(records)


def test_a_process_that_is_moved_in_is_followed_with_its_threads(group: Group) -> None:
    code = """
import os, sys, threading
def work():
    for line in sys.stdin:
        os.access(line.strip() + "-by-thread", 0)
thread = threading.Thread(target=work); thread.start()
print("ready", flush=True)
thread.join(); os.access("/by-main", 0)
"""
    records: list[KernelRecord] = []
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    group.path.mkdir()
    with EbpfRecorder(Host(), records.append, group=group.name):
        (group.path / "cgroup.procs").write_text(str(process.pid))
        time.sleep(0.5)
        process.stdin.write("/moved-in\n")
        process.stdin.close()
        process.wait(30)
    process.stdout.close()
    assert {b"/moved-in-by-thread", b"/by-main"} <= _looked_up(records)


def test_members_are_followed_without_a_restart(group: Group) -> None:
    group.path.mkdir()
    words = ["sh", "-c", f"echo $$ > {group.path}/cgroup.procs; echo ready; read line; test -e /asked; read line"]
    records: list[KernelRecord] = []
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    with EbpfRecorder(Host(), records.append, group=group.name, members=True):
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(0.5)
    assert process.poll() is None
    process.stdin.close()
    process.wait(30)
    process.stdout.close()
    assert b"/asked" in _looked_up(records)
    assert {record.line for record in records} == {0}


def test_the_executor_of_newer_systemd_is_not_the_unit(group: Group, tmp_path: Path) -> None:
    executor = tmp_path / "systemd-executor"
    shutil.copy(os.path.realpath("/bin/sh"), executor)
    records: list[KernelRecord] = []
    with EbpfRecorder(Host(), records.append, group=group.name):
        group.run("test -e /by-systemd; exec sh -c 'test -e /own'", program=str(executor))
    assert b"/own" in _looked_up(records)
    assert b"/by-systemd" not in _looked_up(records)


def test_epochs_are_kept_apart(group: Group) -> None:
    records: list[KernelRecord] = []
    with EbpfRecorder(Host(), records.append, group=group.name) as recorder:
        for epoch in (0, 2, 1):
            recorder.set_epoch(epoch)
            group.run("test -e /again")
    epochs = {record.epoch for record in records if record.strings[0] == b"/again"}
    assert epochs == {0, 1, 2}
