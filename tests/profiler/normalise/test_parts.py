"""The small parts: matching Exec lines and cgroups, program headers, address ranges, the baseline, arguments."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.behaviour import FileKind
from profiler.machine import Host
from profiler.normalise import arguments
from profiler.normalise.attribution import Scope, control_group_of
from profiler.normalise.baseline import Baseline
from profiler.normalise.executable_ranges import ExecutableRanges
from profiler.normalise.executables import file_capabilities, interpreter
from profiler.normalise.objects import MachineObjects
from profiler.recorders.base import Symbol
from tests.requirements import require

MOUNT = b"/sys/fs/cgroup"


@pytest.mark.parametrize(
    ("group", "known", "included"),
    [
        (b"/system.slice/web.service", True, True),
        (MOUNT + b"/unified/system.slice/web.service/.control", True, True),
        (MOUNT + b"/machine.slice/x.scope/payload/system.slice/web.service", True, True),
        (b"/system.slice/web.service.d", True, False),
        (b"/system.slice/web.servic", True, False),
        (b"/user.slice/user-0.slice/user@0.service/app.slice/web.service", True, False),
        (b"/user.slice/user-0.slice/user@0.service/app.slice/web.service", False, False),
        (b"/custom.slice/web.service/worker", False, True),
        (b"/system.slice/_web.service", False, True),
        (b"/system.slice/my-web.service", False, False),
        (b"/init.scope", False, False),
    ],
)
def test_cgroups_of_a_unit(group: bytes, known: bool, included: bool) -> None:
    assert Scope("web.service", "/system.slice/web.service" if known else "").includes(group) is included


def test_cgroup_files() -> None:
    assert control_group_of(MOUNT + b"/a/cgroup.procs") == MOUNT + b"/a"
    assert control_group_of(b"/etc/passwd") is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"#!/bin/sh -e\nx", b"/bin/sh"),
        (b"#! \t/usr/bin/env python3\n", b"/usr/bin/env"),
        (b"#!\n", None),
        (b"", None),
        (b"\x7fELF", None),
        (b"\x7fELF" + b"\xff" * 200, None),
        (b"MZ" * 100, None),
    ],
)
def test_interpreters(header: bytes, expected: bytes | None) -> None:
    assert interpreter(header) == expected


def test_interpreter_of_a_real_program() -> None:
    with Path("/bin/sh").open("rb") as file:
        found = interpreter(file.read(4096))
    assert found is not None and Path(os.fsdecode(found)).is_file()


@given(st.binary(max_size=300))
def test_headers_never_crash(data: bytes) -> None:
    interpreter(data)
    interpreter(b"\x7fELF" + data)
    file_capabilities(data)


def test_file_capabilities() -> None:
    assert file_capabilities(struct.pack("<5I", 0x02000001, 1 << 10, 0, 1, 0)) == (
        frozenset({"CAP_NET_BIND_SERVICE", "CAP_MAC_OVERRIDE"}),
        True,
    )
    assert file_capabilities(struct.pack("<6I", 0x03000000, 1, 0, 0, 0, 1000)) == (frozenset({"CAP_CHOWN"}), False)
    assert file_capabilities(None) == (frozenset(), False)


Steps = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(1, 12)), max_size=25)


@given(Steps, st.integers(0, 50), st.integers(1, 8))
def test_ranges_are_a_set_of_addresses(steps: list[tuple[bool, int, int]], start: int, length: int) -> None:
    ranges, model = ExecutableRanges(), set[int]()
    for adds, low, size in steps:
        (ranges.add if adds else ranges.remove)(low, size)
        addresses = set(range(low, low + size))
        model = model | addresses if adds else model - addresses
    assert ranges.covers(start, length) is (set(range(start, start + length)) <= model)


def test_baseline(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("x")
    (tmp_path / "a/link").symlink_to("b")
    root = os.fsencode(tmp_path)
    baseline = Baseline.of(root, (b"/a",))
    (tmp_path / "a/b/later").write_text("x")
    assert baseline.covers(b"/a/b/later") and baseline.owner(b"/a/b/later") is None
    assert baseline.covers(b"/a/new/deep") and not baseline.covers(b"/other/x")
    file, link = baseline.owner(b"/a/b/file"), baseline.owner(b"/a/link")
    assert file is not None and file.kind is FileKind.REGULAR and file.user == os.getuid()
    assert link is not None and link.kind is FileKind.SYMLINK
    assert not Baseline.of(root, (b"/a",), most_names=0).covers(b"/a/b/later")


def test_baseline_of_processes() -> None:
    assert Baseline.of(trees=()).users[os.getpid()].effective == os.geteuid()


def test_modes_devices_and_capabilities() -> None:
    assert arguments.mode(Symbol("S_IFIFO|0666")) == 0o010666
    assert arguments.mode(Symbol("S_IFDIR|S_ISVTX|0777")) == 0o041777
    assert arguments.device(Symbol("makedev(0x1, 0x3)")) == (1, 3)
    assert arguments.device(os.makedev(259, 300)) == (259, 300)
    assert arguments.capabilities(Symbol("1<<CAP_CHOWN|1<<CAP_KILL")) == {"CAP_CHOWN", "CAP_KILL"}
    assert arguments.identifier(-1) is None and arguments.identifier(0xFFFFFFFF) is None


def test_the_machine_as_it_is(tmp_path: Path) -> None:
    """Vanished, odd and blocking objects are answered, never waited for (hard cases 38 and 39)."""
    objects = MachineObjects(Host())
    here = os.fsencode(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    assert objects.header(here + b"/fifo", ()) == b""
    assert objects.header(here + b"/link", ()) == b""
    assert objects.status(here + b"/missing", (os.getpid(),)) is None
    assert objects.status(here + b"/nul\0", ()) is None
    assert objects.link_target(here + b"/link", (2**22 + 5, os.getpid())) == b"fifo"
    status = objects.status(here + b"/fifo", (os.getpid(),))
    assert status is not None and status.kind is FileKind.FIFO
    assert objects.process(2**22 + 5) is None and objects.control_groups(2**22 + 5) == ()
    myself = objects.process(os.getpid())
    assert myself is not None and myself.credentials.user.effective == os.geteuid()
    assert objects.hard_limits(os.getpid())["RLIMIT_NOFILE"] > 0


def test_objects_are_looked_at_in_the_root_that_was_meant(tmp_path: Path) -> None:
    """A process may have changed its root by the time somebody looks: its parent's is the one that was meant."""
    require(os.geteuid() == 0, "needs root")
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "link").symlink_to("outside")
    (top / "inner").symlink_to("inside")
    program = "import os, sys; os.chroot(sys.argv[1]); print(flush=True); sys.stdin.read()"
    command = ["/usr/bin/python3", "-I", "-c", program, str(top)]
    objects = MachineObjects(Host())
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        confined = [process.pid, os.getpid()]
        assert objects.link_target(os.fsencode(tmp_path / "link"), confined) == b"outside"
        assert objects.link_target(os.fsencode(top / "inner"), confined) == b"inside"
        status = objects.status(os.fsencode(top), confined)
        assert status is not None and status.kind is FileKind.DIRECTORY
        assert objects.status(b"/inner", confined) is None
        process.communicate()
