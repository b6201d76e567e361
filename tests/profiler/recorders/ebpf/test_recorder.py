"""What the kernel's side sees of single programs."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from profiler.errors import ToolError
from profiler.machine import Host
from profiler.recorders.ebpf.library import library
from profiler.recorders.ebpf.recorder import STILL_RUNNING, EbpfRecorder
from profiler.recorders.ebpf.records import Mark, RecordKind
from tests.profiler.recorders.ebpf.recordings import take, take_code, take_program
from tests.requirements import require

RECORDER = """
import sys, time
from profiler.machine import Host
from profiler.recorders.ebpf.recorder import EbpfRecorder
recorder = EbpfRecorder(Host(), lambda record: None, command=["sleep", "60"])
recorder.start()
print(recorder._process.pid, flush=True)
time.sleep(60)
"""


def test_it_starts_with_the_execve_and_ends_with_the_exit() -> None:
    taken = take("true")
    assert taken.status == 0
    assert taken.records[0].kind is RecordKind.EXECUTED
    assert Mark.FIRST in taken.records[0].marks
    assert taken.records[0].strings[0] is not None
    assert taken.records[0].strings[0].endswith(b"/true")
    assert {"execve", "openat", "mmap", "exit_group"} <= taken.calls()
    assert not taken.losses.counts


def test_the_launcher_leaves_no_trace() -> None:
    taken = take("/bin/sh", "-c", "env")
    executed = [record.strings[0] for record in taken.records if record.kind is RecordKind.EXECUTED]
    assert executed == [b"/bin/sh", b"/usr/bin/env"]


def test_a_missing_command_is_an_error() -> None:
    with pytest.raises(ToolError, match="no program"):
        take("there-is-no-such-command")


def test_strings_on_pages_that_nobody_has_touched_are_read(tmp_path: Path) -> None:
    code = """
import ctypes, mmap, os, sys
directory = os.fsencode(sys.argv[1])
names = b"".join((directory + b"/cold-%03d" % index).ljust(4096, b"\\0") for index in range(64))
with open(directory + b"/names", "wb") as file:
    file.write(names)
file = os.open(directory + b"/names", os.O_RDWR)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
pages = mmap.mmap(file, len(names))
address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
for index in range(64):
    ctypes.CDLL(None).unlink(ctypes.c_void_p(address + 4096 * index))
"""
    taken = take_code(code, str(tmp_path))
    wanted = {f"{tmp_path}/cold-{index:03}".encode() for index in range(64)}
    assert wanted <= {record.strings[0] for record in taken.of("unlink")}
    assert not taken.losses.counts


def test_paths_start_where_they_start(tmp_path: Path) -> None:
    code = """
import os, sys
os.chdir(sys.argv[1])
os.mkdir("inner")
directory = os.open("inner", os.O_DIRECTORY)
os.close(os.open("made", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
os.rename("made", "../moved", src_dir_fd=directory, dst_dir_fd=directory)
"""
    taken = take_code(code, str(tmp_path))
    made = next(record for record in taken.of("openat") if record.strings[0] == b"made")
    assert made.bases[0] is not None
    assert made.bases[0].path == os.fsencode(tmp_path / "inner")
    assert made.found is not None
    assert made.found.path == os.fsencode(tmp_path / "inner" / "made")
    assert Mark.CREATED in made.marks
    (moved,) = taken.of("renameat")
    assert moved.strings == (b"made", b"../moved")
    assert [base and base.path for base in moved.bases] == [os.fsencode(tmp_path / "inner")] * 2


def test_what_changes_after_many_equal_calls_is_seen(tmp_path: Path) -> None:
    code = """
import os, sys
top = sys.argv[1]
def look():
    for _ in range(5):
        try:
            os.stat("same"); os.close(os.open("same", os.O_RDONLY))
            os.close(os.open("same", os.O_RDONLY, dir_fd=place))
        except FileNotFoundError:
            pass
for name in ("one", "two"):
    os.mkdir(f"{top}/{name}"); os.close(os.open(f"{top}/{name}/same", os.O_CREAT | os.O_WRONLY))
for name in ("one", "two"):
    os.chdir(f"{top}/{name}"); place = os.open(".", os.O_DIRECTORY); look(); os.close(place)
place = os.open(".", os.O_DIRECTORY)
os.unlink("same"); look()
for _ in range(3):
    os.close(os.open("same", os.O_CREAT | os.O_WRONLY))
os.seteuid(65534); look()
"""
    taken = take_code(code, str(tmp_path))
    looked = [record for record in taken.of("newfstatat") if record.strings[0] == b"same"]
    opened = [record for record in taken.of("openat") if record.strings[0] == b"same"]
    one, two = os.fsencode(tmp_path / "one"), os.fsencode(tmp_path / "two")
    places = {(record.bases[0].path, record.error, record.user) for record in looked if record.bases[0]}
    assert places == {(one, "", 0), (two, "", 0), (two, "ENOENT", 0), (two, "", 65534)}
    read = {(record.found.path, record.user) for record in opened if record.found and not record.arguments[2] & 1}
    assert read == {(one + b"/same", 0), (two + b"/same", 0), (two + b"/same", 65534)}
    assert {Mark.CREATED in record.marks for record in opened if record.arguments[2] & os.O_CREAT} == {True, False}
    assert not taken.losses.counts


def test_paths_of_every_length_are_told_apart_by_their_last_letter(tmp_path: Path) -> None:
    code = """
import os, sys
os.chdir(sys.argv[1])
for length in (*range(1, 9), *range(60, 68), *range(124, 132), *range(200, 215)):
    for _ in range(3):
        for last in "ab":
            name = ("./" * length)[: length - 1] + last
            os.close(os.open(name, os.O_CREAT)); os.access(os.path.abspath(".") + "/" + name, os.R_OK)
"""
    taken = take_code(code, str(tmp_path))
    lengths = (*range(1, 9), *range(60, 68), *range(124, 132), *range(200, 215))
    names = {(("./" * length)[: length - 1] + last).encode() for length in lengths for last in "ab"}
    assert names <= {record.strings[0] for record in taken.of("openat")}
    absolute = {os.fsencode(tmp_path) + b"/" + name for name in names}
    assert absolute <= {record.strings[0] for record in taken.of("access")}
    known = [record.strings[0] for record in taken.of("access") if record.strings[0] and len(record.strings[0]) < 207]
    assert len(known) == len(set(known))
    assert not taken.losses.counts


def test_one_file_through_two_names_and_mounts_is_two_behaviours(tmp_path: Path) -> None:
    code = """
import ctypes, os, sys
top = sys.argv[1]
os.mkdir(top + "/one"); os.mkdir(top + "/two")
with open(top + "/one/file", "w"): pass
os.link(top + "/one/file", top + "/one/second")
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
    sys.exit("unshare")
if libc.mount(os.fsencode(top + "/one"), os.fsencode(top + "/two"), None, 0x1000, None):
    sys.exit("mount")
for name in ("one/file", "one/second", "two/file"):
    os.close(os.open(top + "/" + name, os.O_RDONLY))
"""
    taken = take_code(code, str(tmp_path))
    assert taken.status == 0
    found = {record.found.path for record in taken.of("openat") if record.found is not None}
    assert {os.fsencode(tmp_path / name) for name in ("one/file", "one/second", "two/file")} <= found
    own = [record for record in taken.of("mount") if Mark.OWN_MOUNTS in record.marks]
    assert len(own) == 2


def test_behind_chroot_the_root_is_told(tmp_path: Path) -> None:
    code = """
import os, sys
os.mkdir(sys.argv[1] + "/jail"); os.mkdir(sys.argv[1] + "/jail/inner")
os.chroot(sys.argv[1] + "/jail"); os.chdir("/")
with open("/inner/file", "w"): pass
os.listdir("inner")
"""
    taken = take_code(code, str(tmp_path))
    jail = os.fsencode(tmp_path / "jail")
    opened = next(record for record in taken.of("openat") if record.strings[0] == b"/inner/file")
    assert opened.found is not None
    assert (opened.found.path, opened.found.root) == (jail + b"/inner/file", jail)
    assert opened.bases[0] is not None
    assert opened.bases[0].path == jail


def test_32_bit_calls_are_told_apart() -> None:
    taken = take_program("thirty_two_bit.py")
    if taken.status == 3:
        pytest.skip("this kernel has no 32-bit calls")
    assert {"getpid", "exit"} <= {r.call for r in taken.records if r.architecture == "x86"}


def test_a_call_that_a_filter_refuses_is_seen() -> None:
    code = """
import ctypes, struct
# mkdir (83) fails with EACCES, everything else is allowed (linux/filter.h, linux/seccomp.h)
program = [(0x20, 0, 0, 0), (0x15, 0, 1, 83), (6, 0, 0, 0x00050000 | 13), (6, 0, 0, 0x7FFF0000)]
filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *row) for row in program))
header = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(program), ctypes.addressof(filters)))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
libc.prctl(22, 2, header, 0, 0)
libc.mkdir(b"/never", 0o700)
"""
    taken = take_code(code)
    assert [record.error for record in taken.of("mkdir")] == ["EACCES"]


def test_a_thread_that_executes_a_program_is_followed() -> None:
    taken = take_program("threads_and_deaths.py")
    executed = [record.strings[0] for record in taken.records if record.kind is RecordKind.EXECUTED]
    assert b"/bin/true" in executed or b"/usr/bin/true" in executed
    assert not taken.losses.counts


def test_a_thread_is_not_taken_for_a_namespace() -> None:
    # When the new thread returns from clone3(), its maker may have used the memory of struct clone_args again.
    code = """
import threading
for _ in range(600):
    thread = threading.Thread(target=int)
    thread._started.wait = lambda: None  # start() would wait for the new thread
    thread.start()
    sorted(str(number) * 9 for number in range(300))
"""
    made = take_code(code).of("clone3", RecordKind.ARGUMENTS)
    assert made
    assert {record.arguments[0] for record in made} == {0}


def test_what_stands_behind_the_end_of_a_socket_path_does_not_count(tmp_path: Path) -> None:
    code = """
import ctypes, os, socket, struct, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None)
for rubbish in (b"one", b"two"):
    address = struct.pack("=H108s", 1, b"service.socket\\0" + rubbish)
    with socket.socket(socket.AF_UNIX) as one:
        libc.connect(one.fileno(), address, 110)
"""
    (met,) = take_code(code, str(tmp_path)).of("connect", RecordKind.ADDRESS)
    assert met.strings[0] == b"\x01\0service.socket"
    assert met.bases[0] is not None
    assert met.bases[0].path == os.fsencode(tmp_path)


def test_peers_that_come_by_themselves_are_one_behaviour() -> None:
    code = """
import socket
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0)); listener.listen()
    for _ in range(5):
        with socket.create_connection(listener.getsockname()) as client:
            listener.accept()[0].close()
"""
    taken = take_code(code)
    assert len(taken.of("accept4", RecordKind.ADDRESS)) == 1


def test_a_signal_knows_its_target() -> None:
    code = """
import os, signal, subprocess
child = subprocess.Popen(["sleep", "60"])
child.terminate(); child.wait()
os.kill(os.getppid(), 0)
"""
    taken = take_code(code)
    (sent,) = [record for record in taken.records if record.kind is RecordKind.SIGNAL]
    assert Mark.OWN_TARGET in sent.marks
    (probed,) = taken.of("kill", RecordKind.ARGUMENTS)
    assert probed.arguments[0] == os.getpid()


def test_what_the_command_started_is_waited_for() -> None:
    taken = take("sh", "-c", "(sleep 1; test -e /afterwards) & exit 7")
    assert taken.status == 7
    assert not taken.losses.counts
    names = {record.strings[0] for record in taken.records if record.kind is RecordKind.PATHS}
    assert b"/afterwards" in names


def test_processes_that_go_on_are_a_loss() -> None:
    recorder = EbpfRecorder(Host(), lambda _record: None, command=["sleep", "2"])
    recorder.start()
    time.sleep(0.5)
    recorder.stop()
    assert recorder.losses.counts == {STILL_RUNNING: 1}


def test_killed_it_leaves_nothing_in_the_kernel_and_the_command_running() -> None:
    root = Path(__file__).parents[4]
    recorder = subprocess.Popen([sys.executable, "-c", RECORDER], cwd=root, stdout=subprocess.PIPE, text=True)
    assert recorder.stdout is not None
    command = int(recorder.stdout.readline())
    try:
        programs = _programs_of(recorder.pid)
        assert len(programs) >= 10
        recorder.kill()
        recorder.wait()
        deadline = time.monotonic() + 10
        while any(map(_exists, programs)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not [number for number in programs if _exists(number)]
        os.kill(command, 0)
    finally:
        os.kill(command, signal.SIGKILL)
        recorder.kill()
        recorder.stdout.close()
        recorder.wait()


def _programs_of(process: int) -> set[int]:
    found = set()
    for info in Path(f"/proc/{process}/fdinfo").iterdir():
        for line in info.read_text().splitlines():
            if line.startswith("prog_id:"):
                found.add(int(line.split()[1]))
    return found


def _exists(number: int) -> bool:
    function = library().calls.bpf_prog_get_fd_by_id
    function.restype, function.argtypes = ctypes.c_int, [ctypes.c_uint32]
    descriptor = function(number)
    if descriptor >= 0:
        os.close(descriptor)
    return bool(descriptor >= 0)


def test_operations_in_a_ring_are_seen_as_the_calls_that_do_the_same(tmp_path: Path) -> None:
    taken = take_program("ring.py", str(tmp_path))
    require(taken.status != 3, "this kernel refuses io_uring_setup()")
    here = os.fsencode(tmp_path)
    inside = [record for record in taken.records if record.error == "ERESTART" and record.kind is not RecordKind.CALL]
    paths = {record.call: record.strings for record in inside if record.kind is RecordKind.PATHS}
    assert paths == {
        "mkdirat": (b"made", b""),
        "openat": (b"made/file", b""),
        "statx": (b"made/file", b""),
        "linkat": (b"made/file", b"linked"),
        "symlinkat": (b"symbolic", b""),
        "renameat2": (b"linked", b"renamed"),
        "unlinkat": (b"renamed", b""),
    }
    assert {base.path for record in inside for base in record.bases if base is not None} == {here}
    (made,) = [record for record in inside if record.call == "socket"]
    assert made.arguments[:3] == (10, 2, 17)
    met = {record.call: record.strings[0] for record in inside if record.kind is RecordKind.ADDRESS}
    assert set(met) == {"connect", "sendmsg"}
    assert {address[2:8] for address in met.values() if address} == {b"\0\x35\x7f\0\0\x09"}
    assert {record.arguments[0] for record in taken.records if record.kind is RecordKind.RING} >= {16, 18, 45}
    assert not taken.losses.counts
    assert not {"mkdirat", "renameat2", "connect"} & {r.call for r in taken.records if r.kind is RecordKind.CALL}
