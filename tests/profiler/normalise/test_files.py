"""What real programs do to files, as facts; each program also proves by its exit status that it could do it."""

from __future__ import annotations

import os
from pathlib import Path

from policy.behaviour import (
    Access,
    DeviceNodeMade,
    FileKind,
    MemoryMapped,
    PathPair,
    PathUse,
    PrivilegeGained,
    SpecialModeSet,
)
from tests.profiler.normalise.conftest import Record
from tests.requirements import require

IN = "import os, sys; d = sys.argv[1]; os.chdir(d)\n"


def test_opens_say_what_they_were_for(record: Record, tmp_path: Path) -> None:
    for name in ("read", "write", "both", "path"):
        (tmp_path / name).write_text("x")
    recording = record(
        IN + "os.open('read', os.O_RDONLY); os.open('write', os.O_WRONLY); os.open('both', os.O_RDWR)\n"
        "os.open('path', os.O_PATH); os.listdir('.')\n"
        "os.open('new', os.O_CREAT | os.O_RDWR); os.open('write', os.O_CREAT | os.O_WRONLY)\n"
        "try: os.open('new', os.O_CREAT | os.O_EXCL)\n"
        "except FileExistsError: pass\n",
        str(tmp_path),
    )
    assert recording.status == 0
    assert recording.losses == {} and recording.notes == {}
    assert recording.uses(tmp_path / "read") == {(Access.READ, "ok")}
    assert recording.uses(tmp_path / "write") == {(Access.WRITE, "ok")}
    assert recording.uses(tmp_path / "both") == {(Access.READ_WRITE, "ok")}
    assert recording.uses(tmp_path / "path") == {(Access.LOOKUP, "ok")}
    assert (Access.READ, "ok") in recording.uses(tmp_path)
    new = {(Access.CREATE, "ok"), (Access.READ_WRITE, "ok"), (Access.CREATE, "EEXIST")}
    assert recording.uses(tmp_path / "new") == new
    assert recording.use(tmp_path / "new", Access.READ_WRITE).created_by_service
    assert not recording.use(tmp_path / "write", Access.WRITE).created_by_service


def test_relative_paths_and_directory_descriptors(record: Record, tmp_path: Path) -> None:
    """Hard cases 31 to 33: a child's directory is its own; a descriptor counts as it was at the time of the call."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    recording = record(
        IN + "two = os.open('two', os.O_RDONLY)\n"
        "if os.fork() == 0:\n    os.chdir('one'); os.stat('file'); os._exit(0)\n"
        "os.wait(); os.stat('one')\n"
        "os.stat('file', dir_fd=two); os.rename('two', 'three'); os.unlink('file', dir_fd=two)\n"
        "os.fchdir(two); os.mkfifo('pipe'); os.link('pipe', '../one/link')\n",
        str(tmp_path),
    )
    assert recording.status == 0 and recording.losses == {}
    assert recording.uses(tmp_path / "one/file") == {(Access.LOOKUP, "ok")}
    assert recording.uses(tmp_path / "two/file") == {(Access.LOOKUP, "ok")}
    assert recording.uses(tmp_path / "three/file") == {(Access.DELETE, "ok")}
    assert recording.use(tmp_path / "three/pipe", Access.CREATE).kind is FileKind.FIFO
    assert recording.behaviours(PathPair) == {
        PathPair("rename", f"{tmp_path}/two", f"{tmp_path}/three"),
        PathPair("link", f"{tmp_path}/three/pipe", f"{tmp_path}/one/link"),
    }


def test_symlinks_of_every_kind(record: Record, tmp_path: Path) -> None:
    """Hard cases 35 and 36: in the middle, as last component, relative, absolute, dangling, not followed."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "links").mkdir()
    (tmp_path / "real/deep/file").write_text("x")
    (tmp_path / "links/middle").symlink_to("../real")
    (tmp_path / "links/last").symlink_to(f"{tmp_path}/real/deep/file")
    (tmp_path / "links/dangling").symlink_to("nowhere")
    recording = record(
        IN + "open('links/middle/deep/../deep/file').close(); os.stat('links/last'); os.lstat('links/last')\n"
        "os.mkdir('links/middle/new')\n"
        "for probe in (os.stat, open):\n"
        "    try: probe('links/dangling')\n"
        "    except FileNotFoundError: pass\n",
        str(tmp_path),
    )
    assert recording.status == 0 and recording.losses == {}
    file = recording.use(tmp_path / "real/deep/file", Access.READ)
    assert file.through == f"{tmp_path}/links/middle/deep/../deep/file"
    assert recording.use(tmp_path / "real/deep/file", Access.LOOKUP).through == f"{tmp_path}/links/last"
    assert recording.use(tmp_path / "real/new", Access.CREATE).kind is FileKind.DIRECTORY
    assert recording.use(tmp_path / "links/middle", Access.LOOKUP).kind is FileKind.SYMLINK
    assert recording.use(tmp_path / "links/last", Access.LOOKUP).kind is FileKind.SYMLINK
    assert recording.uses(tmp_path / "links/nowhere") == {(Access.LOOKUP, "ENOENT"), (Access.READ, "ENOENT")}


def test_replacement_by_rename(record: Record, tmp_path: Path) -> None:
    """Hard case 41; what the service made moves with its new name."""
    (tmp_path / "conf").write_text("old")
    recording = record(
        IN + "open('conf.new', 'w').close(); os.rename('conf.new', 'conf'); open('conf', 'a').close()\n"
        "open('a', 'x').close(); os.rename('a', 'b'); os.unlink('b')\n",
        str(tmp_path),
    )
    assert recording.status == 0 and recording.notes == {}
    assert PathPair("rename", f"{tmp_path}/conf.new", f"{tmp_path}/conf", True) in recording.behaviours(PathPair)
    assert PathPair("rename", f"{tmp_path}/a", f"{tmp_path}/b", False) in recording.behaviours(PathPair)
    assert recording.use(tmp_path / "conf", Access.WRITE).created_by_service
    assert recording.use(tmp_path / "b", Access.DELETE).created_by_service
    assert recording.uses(tmp_path / "conf.new") == {
        (access, "ok") for access in (Access.CREATE, Access.WRITE, Access.DELETE)
    }


def test_file_without_a_name(record: Record, tmp_path: Path) -> None:
    """Hard case 43."""
    recording = record(
        IN + "fd = os.open('.', os.O_TMPFILE | os.O_RDWR)\n"
        "import ctypes\nassert ctypes.CDLL(None).linkat(-100, b'/proc/self/fd/%d' % fd, -100, b'named', 0x400) == 0\n",
        str(tmp_path),
    )
    assert recording.status == 0 and recording.losses == {}
    assert recording.uses(tmp_path / "#tmpfile") == {(Access.CREATE, "ok"), (Access.LOOKUP, "ok")}
    assert recording.uses(tmp_path / "named") == {(Access.CREATE, "ok")}
    (pair,) = recording.behaviours(PathPair)
    assert isinstance(pair, PathPair)
    assert (pair.source, pair.target) == (f"{tmp_path}/#tmpfile", f"{tmp_path}/named")


def test_write_facts_without_opening(record: Record, tmp_path: Path) -> None:
    """Hard case 28, and access(W_OK), which reads the same answer (64)."""
    for name in ("mode", "owner", "times", "cut", "probe", "attribute"):
        (tmp_path / name).write_text("x")
    recording = record(
        IN + "os.chmod('mode', 0o600); os.chown('owner', 0, 0); os.utime('times'); os.truncate('cut', 0)\n"
        "os.access('probe', os.W_OK); os.access('probe', os.R_OK)\n"
        "fd = os.open('mode', os.O_RDONLY); os.fchmod(fd, 0o640); os.utime(fd)\n"
        "try: os.setxattr('attribute', 'user.x', b'1')\n"
        "except OSError: pass\n",
        str(tmp_path),
    )
    assert recording.status == 0
    assert (Access.METADATA, "ok") in recording.uses(tmp_path / "mode")
    assert (Access.METADATA, "ok") in recording.uses(tmp_path / "owner")
    assert (Access.METADATA, "ok") in recording.uses(tmp_path / "times")
    assert (Access.TRUNCATE, "ok") in recording.uses(tmp_path / "cut")
    assert recording.uses(tmp_path / "probe") == {(Access.WRITE_PROBE, "ok"), (Access.LOOKUP, "ok")}
    assert {access for access, _ in recording.uses(tmp_path / "attribute")} == {Access.METADATA}


def test_names_from_an_attacker(record: Record, tmp_path: Path) -> None:
    """Hard cases 11 and 57."""
    hostile = b'a"b\xff\n= 3<x>\\x41%s\x1b[0m'
    program = (
        IN + f"name = {hostile!r}\nos.mkdir(name); os.open(name + b'/f', os.O_CREAT); os.rename(name, name + b'2')"
    )
    recording = record(program, str(tmp_path))
    assert recording.status == 0 and recording.losses == {}
    path = f"{tmp_path}/{os.fsdecode(hostile)}"
    assert recording.use(path, Access.CREATE).kind is FileKind.DIRECTORY
    assert recording.use(path + "/f", Access.CREATE).created_by_service
    assert recording.use(path + "2", Access.CREATE).kind is FileKind.DIRECTORY


def test_chroot_is_translated(record: Record, tmp_path: Path) -> None:
    """Hard case 34: absolute paths and absolute links inside a new root."""
    require(os.geteuid() == 0, "needs root")
    (tmp_path / "jail/etc").mkdir(parents=True)
    (tmp_path / "jail/etc/passwd").write_text("x")
    (tmp_path / "jail/link").symlink_to("/etc/passwd")
    recording = record(
        IN + "os.chroot('jail'); os.chdir('/')\n"
        "open('/etc/passwd').close(); os.stat('/link'); os.stat('../../etc/passwd'); os.unlink('/link')\n",
        str(tmp_path),
    )
    assert recording.status == 0 and recording.losses == {}
    assert recording.use(tmp_path / "jail/etc/passwd", Access.READ).through == ""
    assert {(Access.LOOKUP, "ok")} <= recording.uses(tmp_path / "jail/etc/passwd")
    assert recording.use(tmp_path / "jail/link", Access.DELETE).kind is FileKind.SYMLINK


def test_proc_of_oneself_of_the_service_and_of_others(record: Record) -> None:
    """Hard case 37."""
    recording = record(
        "import os, time\n"
        "reading, writing = os.pipe()\n"
        "child = os.fork()\n"
        "if child == 0:\n    os.close(writing); os.read(reading, 1); os._exit(0)\n"
        "for name in ('self', os.getpid(), 'thread-self', child, 1): open(f'/proc/{name}/stat').close()\n"
        "open('/dev/stdin').close(); os.close(writing); os.wait(); open('/proc/meminfo').close()\n",
    )
    assert recording.status == 0 and recording.losses == {}
    used = {use.path for use in recording.behaviours(PathUse) if isinstance(use, PathUse)}
    expected = {
        "/proc/self",
        "/proc/self/stat",
        "/proc/self/task/self/stat",
        "/proc/own/stat",
        "/proc/other/stat",
        "/proc/meminfo",
    }
    others = {"/proc/self/fd/0", "/proc/sys/vm/overcommit_memory"}  # the latter by malloc(3) of glibc 2.41
    assert {path for path in used if path.startswith("/proc/")} - others == expected


def test_programs_with_their_interpreters(record: Record, tmp_path: Path) -> None:
    """Hard cases 52 and 54."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    recording = record(IN + "import os\nos.execvp('./script', ['script'])", str(tmp_path))
    assert recording.status == 0 and recording.losses == {}
    assert (Access.EXECUTE, "ok") in recording.uses(script)
    shell = os.path.realpath("/bin/sh")
    assert recording.use(shell, Access.EXECUTE).through == "/bin/sh"
    loaders = [use for use in recording.behaviours(PathUse) if isinstance(use, PathUse) and "/ld-linux" in use.path]
    assert Access.EXECUTE in {use.access for use in loaders}
    library = next(use for use in recording.behaviours(PathUse) if isinstance(use, PathUse) and "libc.so" in use.path)
    assert recording.uses(library.path) >= {(Access.READ, "ok"), (Access.MAP_EXECUTE, "ok")}


def test_set_uid_program_gives_privileges_only_to_those_without(record: Record, tmp_path: Path) -> None:
    """Hard case 71; root gains nothing from a set-uid-root program."""
    require(os.geteuid() == 0, "needs root")
    require(not os.statvfs(tmp_path).f_flag & os.ST_NOSUID, f"{tmp_path} is mounted nosuid")
    tmp_path.parent.chmod(0o755)
    tmp_path.parent.parent.chmod(0o755)
    tmp_path.chmod(0o755)
    program = tmp_path / "identify"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    asroot = record([str(program)])
    assert asroot.behaviours(PrivilegeGained) == set()
    other = record(IN + "os.setresuid(65534, 65534, 65534); os.execv('./identify', ['identify'])", str(tmp_path))
    assert other.status == 0
    assert other.behaviours(PrivilegeGained) == {PrivilegeGained(str(program), "set-uid")}
    users = {fact.user for fact in other.facts if fact.evidence.startswith("identify: ")}
    assert users == {0, 65534}


def test_modes_devices_and_memory(record: Record, tmp_path: Path) -> None:
    """Hard cases 74, 141, 166 to 168."""
    require(os.geteuid() == 0, "needs root")
    recording = record(
        IN + "import mmap, stat\n"
        "os.mkdir('group', 0o2755); os.open('user', os.O_CREAT, 0o4755); os.chmod('user', 0o2700)\n"
        "os.mknod('null', stat.S_IFCHR | 0o600, os.makedev(1, 3)); os.mknod('plain'); os.open('/dev/null', os.O_RDWR)\n"
        "mmap.mmap(-1, 4096, prot=7)\n",
        str(tmp_path),
    )
    assert recording.status == 0
    assert recording.behaviours(SpecialModeSet) == {
        SpecialModeSet("mkdir", 0o2755),
        SpecialModeSet("openat", 0o4755),
        SpecialModeSet("chmod", 0o2700),
    }
    node = DeviceNodeMade(f"{tmp_path}/null", FileKind.CHARACTER, "1:3")
    assert recording.behaviours(DeviceNodeMade) == {node}
    assert recording.use("/dev/null", Access.READ_WRITE).device == "1:3"
    assert MemoryMapped("mmap-write-execute") in recording.behaviours(MemoryMapped)


def test_a_failed_start_probe_keeps_its_errno(record: Record, tmp_path: Path) -> None:
    """Hard case 4."""
    recording = record(
        IN + "for attempt in (lambda: os.unlink('no'), lambda: os.mkdir('no/sub'), lambda: os.rename('no', 'yes'),\n"
        "                lambda: os.rmdir('/'), lambda: open('/proc/version', 'w').write('x')):\n"
        "    try: attempt()\n"
        "    except OSError: pass\n",
        str(tmp_path),
    )
    assert recording.status == 0
    assert (Access.DELETE, "ENOENT") in recording.uses(tmp_path / "no")
    assert recording.uses(tmp_path / "no/sub") == {(Access.CREATE, "ENOENT")}
    assert recording.uses(tmp_path / "yes") == {(Access.CREATE, "ENOENT")}
    assert (Access.DELETE, "EBUSY") in recording.uses("/")
