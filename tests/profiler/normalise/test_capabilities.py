"""Inferred capabilities against the kernel: without one of them the same program fails, with them alone it succeeds."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from profiler.machine import Host
from profiler.normalise.objects import MachineObjects
from tests.profiler.normalise.conftest import PYTHON, Record
from tests.requirements import require

PRELUDE = """
import ctypes, os, resource, signal, socket, stat, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
def child(action):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        action()
        os.write(writing, b"x")
        time.sleep(3)
        os._exit(0)
    os.close(writing)
    if not os.read(reading, 1):
        raise OSError("the child could not do it")
    return pid
d = sys.argv[1]
"""


@dataclass(frozen=True)
class Case:
    """A program and the capabilities that it needs; ``alternatives`` if it could do with others instead."""

    name: str
    program: str
    needs: frozenset[str] = frozenset()
    alternatives: bool = False


def needing(name: str, program: str, *capabilities: str, alternatives: bool = False) -> Case:
    return Case(name, program, frozenset(f"CAP_{word}" for word in capabilities), alternatives)


def decoy(name: str, program: str) -> Case:
    return Case(name, program)


NETLINK = """
def asked(protocol, message):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as asking:
        asking.settimeout(5)
        asking.send(message)
        answer = asking.recv(4096)
        if struct.unpack_from("H", answer, 4)[0] == 2 and struct.unpack_from("i", answer, 16)[0]:
            raise OSError(answer[16:20])
""".strip()
CAPSET = """
import re
ALL = int(re.search("CapPrm:(.*)", open("/proc/self/status").read())[1], 16)
def capset(effective, permitted, inheritable):
    words = [value >> shift & 0xffffffff for shift in (0, 32) for value in (effective, permitted, inheritable)]
    check(libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *words)))
""".strip()
CASES = (
    needing("chown to another user", 'os.chown(d + "/mine", 65534, -1)', "CHOWN"),
    needing("chown to a foreign group", 'os.chown(d + "/mine", -1, 12345)', "CHOWN"),
    needing("chown of a foreign file to oneself", 'os.chown(d + "/foreign", 0, 0)', "CHOWN"),
    needing(
        "a file written again after it was given away",
        'open(d + "/n", "x").close(); os.chmod(d + "/n", 0o600); open(d + "/n", "a").close()\n'
        'os.chown(d + "/n", 65534, -1); open(d + "/n", "a").close()',
        *("CHOWN", "DAC_OVERRIDE"),
    ),
    needing(
        "a name in a directory after that was given away",
        'os.mkdir(d + "/n"); open(d + "/n/a", "x").close(); os.unlink(d + "/n/a")\n'
        'os.chown(d + "/n", 65534, -1); open(d + "/n/a", "x").close()',
        *("CHOWN", "DAC_OVERRIDE"),
    ),
    needing(
        "search of a directory after it was given away",
        'os.mkdir(d + "/n", 0o700); open(d + "/n/a", "x").close(); open(d + "/n/a").close()\n'
        'os.chown(d + "/n", 65534, -1); open(d + "/n/a").close()',
        *("CHOWN", "DAC_READ_SEARCH"),
        alternatives=True,
    ),
    needing("chmod of a foreign file", 'os.chmod(d + "/public", 0o644)', "FOWNER"),
    needing("times of a foreign file", 'os.utime(d + "/public", (1, 1))', "FOWNER"),
    needing("touch of a foreign file", 'os.utime(d + "/foreign")', "FOWNER", alternatives=True),
    needing("read of a foreign file", 'open(d + "/foreign").read()', "DAC_READ_SEARCH", alternatives=True),
    needing("write to a foreign file", 'open(d + "/foreign", "a").close()', "DAC_OVERRIDE"),
    needing("truncate of a foreign file", 'os.truncate(d + "/foreign", 0)', "DAC_OVERRIDE"),
    needing("name in a foreign directory", 'open(d + "/foreign_directory/new", "x").close()', "DAC_OVERRIDE"),
    needing("delete in a foreign directory", 'os.unlink(d + "/foreign_directory/old")', "DAC_OVERRIDE"),
    needing(
        "search of a closed directory", 'os.stat(d + "/closed_directory/inside")', "DAC_READ_SEARCH", alternatives=True
    ),
    needing("list of a closed directory", 'os.listdir(d + "/closed_directory")', "DAC_READ_SEARCH", alternatives=True),
    needing("chdir to a closed directory", 'os.chdir(d + "/closed_directory")', "DAC_READ_SEARCH", alternatives=True),
    needing(
        "processors of another user's process",
        "os.sched_setaffinity(child(lambda: os.setresuid(65534, 65534, 65534)), {0})",
        *("SETUID", "SYS_NICE"),
    ),
    decoy("processors of one's own child", "os.sched_setaffinity(child(lambda: None), {0})"),
    needing("faults of the kernel", "check(libc.syscall(323, 0))", "SYS_PTRACE"),
    decoy("faults of the process itself", "check(libc.syscall(323, 1))"),
    needing("restricted deletion", 'os.unlink(d + "/sticky/foreign")', "FOWNER"),
    needing("link to a foreign file", 'os.link(d + "/foreign", d + "/link")', "DAC_OVERRIDE", alternatives=True),
    needing("execution without permission", 'os.execv(d + "/program", ["program"])', "DAC_OVERRIDE"),
    needing("connect to a foreign socket", 'socket.socket(socket.AF_UNIX).connect(d + "/socket")', "DAC_OVERRIDE"),
    needing("setuid", "os.setuid(65534)", "SETUID"),
    needing("setresuid", "os.setresuid(-1, 65534, -1)", "SETUID"),
    needing("setgid", "os.setgid(65534)", "SETGID"),
    needing("setgroups, though empty", "os.setgroups([])", "SETGID"),
    needing("low port", 'socket.socket().bind(("127.0.0.1", 1023))', "NET_BIND_SERVICE"),
    needing("raw socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)", "NET_RAW"),
    needing("packet socket", "socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)", "NET_RAW"),
    needing("forced buffer", "socket.socket().setsockopt(socket.SOL_SOCKET, 33, 4096)", "NET_ADMIN"),
    needing("mark", "socket.socket().setsockopt(socket.SOL_SOCKET, 36, 1)", "NET_RAW", alternatives=True),
    needing(
        "message to the packet filter",
        f"{NETLINK}\nasked(12, struct.pack('IHHIIBBH', 20, 10 << 8 | 16, 5, 1, 0, 0, 0, 0))",  # NFT_MSG_GETGEN
        "NET_ADMIN",
    ),
    needing(
        "question about IPsec",
        f"{NETLINK}\nasked(6, struct.pack('IHHIII', 20, 0x1d, 5, 1, 0, 0))",  # XFRM_MSG_GETSADINFO
        "NET_ADMIN",
    ),
    needing("group of the packet filter", "socket.socket(16, 3, 12).bind((0, 1))", "NET_ADMIN"),
    needing(
        "group of the packet filter, joined", "socket.socket(16, 3, 12).setsockopt(270, 1, 1)", "NET_ADMIN"
    ),  # NETLINK_ADD_MEMBERSHIP
    decoy("group of routes", "socket.socket(16, 3, 0).bind((0, 1)); socket.socket(16, 3, 0).setsockopt(270, 1, 1)"),
    decoy("question about routes", f"{NETLINK}\nasked(0, struct.pack('IHHIII', 20, 18, 0x301, 1, 0, 0))"),
    needing(
        "time of sending",
        "socket.socket(2, 2).setsockopt(socket.SOL_SOCKET, 61, struct.pack('ii', 11, 0))",
        "NET_ADMIN",
    ),
    needing(
        "landlock without no_new_privs",
        "check(libc.syscall(446, check(libc.syscall(444, struct.pack('Q', 1), 8, 0)), 0))",
        "SYS_ADMIN",
    ),
    decoy(
        "landlock after no_new_privs",
        "check(libc.prctl(38, 1, 0, 0, 0))\n"
        "check(libc.syscall(446, check(libc.syscall(444, struct.pack('Q', 1), 8, 0)), 0))",
    ),
    needing(
        "trusted attribute",
        'os.setxattr(d + "/mine", "trusted.x", b"1"); assert os.getxattr(d + "/mine", "trusted.x")',
        "SYS_ADMIN",
    ),
    needing("trusted attribute that is read", 'assert os.getxattr(d + "/trusted", "trusted.x")', "SYS_ADMIN"),
    needing(
        "trusted attribute that is read through a descriptor",
        'assert os.getxattr(os.open(d + "/trusted", os.O_RDONLY), "trusted.x")',
        "SYS_ADMIN",
    ),
    needing("chroot", "os.chroot(d)", "SYS_CHROOT"),
    needing("signal to another user", "os.kill(child(lambda: os.setuid(65534)), 9)", "KILL", "SETUID"),
    needing(
        "signal through a descriptor to another user",
        "check(libc.syscall(424, os.pidfd_open(child(lambda: os.setuid(65534))), 9, None, 0))",
        *("KILL", "SETUID"),
    ),
    needing("less nice", "os.setpriority(os.PRIO_PROCESS, 0, -1)", "SYS_NICE"),
    needing("realtime input and output", "check(libc.syscall(251, 1, 0, 1 << 13))", "SYS_NICE", alternatives=True),
    needing("realtime", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))", "SYS_NICE"),
    needing("device node", 'os.mknod(d + "/null", stat.S_IFCHR | 0o600, os.makedev(1, 3))', "MKNOD"),
    needing("namespace", "check(libc.unshare(0x04000000))", "SYS_ADMIN"),
    needing("bounding set", "check(libc.prctl(24, 5, 0, 0, 0))", "SETPCAP"),
    needing(
        "set-group-id", 'os.chmod(d + "/grouped", 0o2755); assert os.stat(d + "/grouped").st_mode & 0o2000', "FSETID"
    ),
    needing(
        "locked memory",
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))\n"
        "memory = ctypes.create_string_buffer(1 << 20)\ncheck(libc.mlock(memory, 1 << 20))",
        "IPC_LOCK",
    ),
    needing("alarm timer", "check(libc.timerfd_create(8, 0))", "WAKE_ALARM"),
    needing("kernel log", "check(libc.klogctl(9, None, 0))", "SYSLOG"),
    needing(
        "program of another user's process",
        'pid = child(lambda: os.setuid(65534)); os.readlink(f"/proc/{pid}/exe"); os.kill(pid, 9)',
        *("SYS_PTRACE", "KILL", "SETUID"),
    ),
    needing(
        "file capabilities",
        'os.setxattr(d + "/mine", "security.capability", struct.pack("<5I", 0x02000000, 1, 0, 0, 0))',
        "SETFCAP",
    ),
    needing(
        "filter without no_new_privs",
        "check(libc.prctl(22, 2, struct.pack('HxxxxxxP', 1, ctypes.addressof("
        "ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000))))))",
        "SYS_ADMIN",
    ),
    needing(
        "capabilities kept by name",
        f"{CAPSET}\ncapset(1 << 10 | 1 << 12, 1 << 10 | 1 << 12, 0)",
        "NET_ADMIN",
        "NET_BIND_SERVICE",
    ),
    needing(
        "a capability for programs to come",
        f"{CAPSET}\ncapset(ALL, ALL, 1 << 10); check(libc.prctl(47, 2, 10, 0, 0))",
        "NET_BIND_SERVICE",
    ),
    decoy("capabilities given up", f"{CAPSET}\ncapset(0, 0, 0)"),
    decoy("all capabilities but one kept", f"{CAPSET}\ncapset(ALL & ~1, ALL & ~1, 0); capset(ALL & ~1, ALL & ~1, 0)"),
    decoy("read of a public file", 'open(d + "/public").read()'),
    decoy("own files", 'open(d + "/mine", "a").close(); os.chmod(d + "/mine", 0o600); os.utime(d + "/mine", (1, 1))'),
    decoy("chown without a change", 'os.chown(d + "/mine", 0, 0); os.chown(d + "/mine", -1, -1)'),
    decoy(
        "temporary file, gone at once",
        'fd = os.open(d + "/t", os.O_CREAT | os.O_WRONLY); os.fchmod(fd, 0o600); '
        'os.fchown(fd, 0, 0); os.rename(d + "/t", d + "/mine"); os.unlink(d + "/mine")',
    ),
    decoy("new file that may not be written", 'os.open(d + "/n", os.O_CREAT | os.O_WRONLY, 0o400)'),
    decoy("file of proc, opened as if it could be made", 'open("/proc/self/comm", "w").write("x")'),
    decoy("status of a closed file", 'os.stat(d + "/foreign"); os.open(d + "/foreign", os.O_PATH)'),
    decoy("own ids", "os.setuid(0); os.setresuid(0, 0, 0); os.setgid(0); os.setreuid(0, 0); os.setegid(0)"),
    decoy("lower limit", "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))"),
    decoy("signal to a child", "os.kill(child(lambda: None), 9)"),
    decoy(
        "signal through a descriptor to a child",
        "check(libc.syscall(424, os.pidfd_open(child(lambda: None)), 9, None, 0))",
    ),
    decoy("little locked memory", "memory = ctypes.create_string_buffer(4096); check(libc.mlock(memory, 4096))"),
    decoy("high port", 'socket.socket().bind(("127.0.0.1", 0))'),
    decoy("nicer", "os.nice(1); os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))"),
    decoy("own name in a sticky directory", 'open(d + "/sticky/own", "x").close(); os.unlink(d + "/sticky/own")'),
    decoy("mkfifo", 'os.mkfifo(d + "/fifo")'),
    decoy("own process", 'os.readlink("/proc/self/exe"); os.listdir("/proc/self/fd"); open("/proc/self/maps").read()'),
    decoy("own user namespace", 'check(libc.unshare(0x10000000)); check(libc.unshare(0x00020000)); os.chroot("/")'),
    decoy(
        "filter after no_new_privs",
        "check(libc.prctl(38, 1, 0, 0, 0)); check(libc.prctl(22, 2, struct.pack("
        "'HxxxxxxP', 1, ctypes.addressof(ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000))))))",
    ),
    decoy("first binding to a device", 'socket.socket().setsockopt(socket.SOL_SOCKET, 25, b"lo")'),
)


def prepare(directory: Path) -> Path:
    """Make the objects that the programs meet: root's, and those of the users 65534 and 65533."""
    directory.mkdir()
    directory.chmod(0o755)
    for name, user, group, mode in (
        ("mine", 0, 0, 0o644),
        ("grouped", 0, 12345, 0o755),
        ("foreign", 65534, 65534, 0o600),
        ("public", 65534, 65534, 0o644),
        ("trusted", 0, 0, 0o644),
        ("program", 65534, 65534, 0o744),
    ):
        path = directory / name
        path.write_bytes(Path("/bin/true").read_bytes() if name == "program" else b"x")
        os.chown(path, user, group)
        path.chmod(mode)
    for name, mode in (("foreign_directory", 0o755), ("closed_directory", 0o700), ("sticky", 0o1777)):
        path = directory / name
        path.mkdir()
        for inside in ("old", "inside", "foreign"):
            (path / inside).write_bytes(b"x")
            os.chown(path / inside, 65533, 65533)
        os.chown(path, 65534, 65534)
        path.chmod(mode)
    os.setxattr(directory / "trusted", "trusted.x", b"1")
    listen(directory / "socket")
    return directory


def listen(path: Path) -> None:
    import socket

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    os.chown(path, 65534, 65534)
    path.chmod(0o600)
    _LISTENERS.append(listener)


_LISTENERS: list[object] = []


def own_capabilities() -> frozenset[str]:
    status = MachineObjects(Host()).process(os.getpid())
    assert status is not None
    return status.credentials.effective


def run_with(bounding: str, program: str, directory: Path) -> int:
    """Run a program as root with this bounding set; return its exit status."""
    command = ["setpriv", "--bounding-set", bounding, *PYTHON, "-c", program, str(directory)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False).returncode


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_agrees_with_the_kernel(case: Case, record: Record, tmp_path: Path) -> None:
    lacking = case.needs - own_capabilities()
    require(os.geteuid() == 0 and not lacking, f"needs root with {' '.join(sorted(lacking)) or 'all capabilities'}")
    program = PRELUDE + case.program
    words = sorted(name.removeprefix("CAP_").lower() for name in case.needs)
    only = ",".join(["-all", *(f"+{word}" for word in words)])
    assert run_with(only, program, prepare(tmp_path / "only")) == 0, "the capabilities of the case are not enough"
    for word in words if not case.alternatives else ():
        assert run_with(f"-{word}", program, prepare(tmp_path / word)) != 0, f"{word} is not needed"

    recording = record(program, str(prepare(tmp_path / "recorded")))

    assert recording.status == 0
    assert recording.losses == {}
    assert recording.capabilities == case.needs


def test_what_failed_needs_nothing(record: Record, tmp_path: Path) -> None:
    """Hard case 105: a refused attempt is no use."""
    program = PRELUDE + (
        "os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "for attempt in (lambda: os.chown(d + '/mine', 1, 1), lambda: os.chroot(d), lambda: open(d + '/mine', 'a'),\n"
        "                lambda: os.kill(os.getppid(), 0), lambda: os.setuid(0), lambda: os.nice(-1)):\n"
        "    try: attempt()\n"
        "    except OSError: pass\n"
        "    else: raise SystemExit(9)\n"
    )
    require(os.geteuid() == 0, "needs root")
    tmp_path.parent.chmod(0o755)
    recording = record(program, str(prepare(tmp_path / "d")))
    assert recording.status == 0
    assert recording.capabilities == {"CAP_SETUID", "CAP_SETGID"}
