"""The files that the probe works on, and what it does to them. What a fact cannot tell apart is left out:

- EACCES of a directory that may not be searched and EACCES of one that may not be written look alike in a fact;
- stat() of an inaccessible path itself works for everybody, chdir() and access() do not, and all three are look-ups;
- open() with O_CREAT of a name that exists is a write to the recorder, and makes a new file where it is hidden.
"""

from __future__ import annotations

from policy.behaviour import FileKind
from tests.conformance.sandboxed_probe import Operation

TREE = "/srv/probe"

PREPARE = """
import os, shutil, socket

def directory(path, mode=0o755):
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)

def file(path, mode=0o666):
    with open(path, "w") as stream:
        stream.write(path)
    os.chmod(path, mode)

def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)

remove("/srv/probe")
directory("/srv/probe")
for base in ("/srv/probe/one", "/srv/probe/two", "/srv/probe/three"):
    directory(base, 0o777)
    for name in "abcdefgh":
        file(base + "/" + name)
    file(base + "/private", 0o600)
    for name in ("directory", "empty"):
        directory(base + "/" + name, 0o777)
    file(base + "/directory/inner")
    os.mkfifo(base + "/fifo")
    os.chmod(base + "/fifo", 0o666)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(base + "/socket")
    os.chmod(base + "/socket", 0o666)
    shutil.copy("/bin/true", base + "/program")
file("/srv/probe/file")
file("/srv/probe/plain")
for home in ("/home/probe", "/root/probe", "/tmp/probe", "/var/tmp/probe"):
    remove(home)
    directory(home, 0o777)
    file(home + "/a")
for place in ("/tmp", "/var/tmp", "/root", "/home", "/etc", "/usr", "/run", "/var", "/srv", "/dev", "/dev/shm"):
    remove(place + "/probe-new")
for place in ("/etc", "/usr", "/run", "/var"):
    file(place + "/probe-file")
"""


def everything_in(base: str) -> list[Operation]:
    """Return each kind of operation in a directory, on what is there and on what is missing."""
    return [
        Operation("lookup", f"{base}/a"),
        Operation("lookup", f"{base}/missing"),
        Operation("read", base, kind=FileKind.DIRECTORY),
        Operation("read", f"{base}/directory", kind=FileKind.DIRECTORY),
        Operation("read", f"{base}/a"),
        Operation("read", f"{base}/private"),
        Operation("write", f"{base}/a"),
        Operation("write", f"{base}/missing"),
        Operation("write", f"{base}/private"),
        Operation("read-write", f"{base}/a"),
        Operation("read-write", f"{base}/fifo", kind=FileKind.FIFO),
        Operation("write", f"{base}/socket", kind=FileKind.SOCKET),
        Operation("create", f"{base}/new"),
        Operation("create", f"{base}/missing/new"),
        Operation("mkdir", f"{base}/new-directory", kind=FileKind.DIRECTORY),
        Operation("symlink", f"{base}/new-link", kind=FileKind.SYMLINK),
        Operation("unlink", f"{base}/missing"),
        Operation("rmdir", f"{base}/missing"),
        Operation("utime", f"{base}/a"),
        Operation("unlink", f"{base}/directory", kind=FileKind.DIRECTORY),
        Operation("chmod", f"{base}/a"),
        Operation("chmod", f"{base}/missing"),
        Operation("chmod", f"{base}/fifo", kind=FileKind.FIFO),
        Operation("chmod", f"{base}/directory", kind=FileKind.DIRECTORY),
        Operation("setxattr", f"{base}/missing"),
        Operation("truncate", f"{base}/h"),
        Operation("truncate", f"{base}/missing"),
        Operation("truncate", f"{base}/directory", kind=FileKind.DIRECTORY),
        Operation("truncate", f"{base}/private"),
        Operation("writable", f"{base}/b"),
        Operation("writable", f"{base}/missing"),
        Operation("writable", f"{base}/private"),
        Operation("writable", f"{base}/directory", kind=FileKind.DIRECTORY),
        Operation("writable", f"{base}/fifo", kind=FileKind.FIFO),
        Operation("connect", f"{base}/missing", kind=FileKind.SOCKET),
        Operation("bind", f"{base}/new-socket", kind=FileKind.SOCKET),
        Operation("execute", f"{base}/program"),
        Operation("map-execute", f"{base}/program"),
        Operation("rename", f"{base}/c", f"{base}/c-new"),
        Operation("rename", f"{base}/missing", f"{base}/missing-new"),
        Operation("rename", f"{base}/d", f"{base}/e"),
        Operation("link", f"{base}/f", f"{base}/f-new"),
        Operation("link", f"{base}/missing", f"{base}/f-newer"),
        Operation("unlink", f"{base}/g"),
        Operation("rmdir", f"{base}/empty", kind=FileKind.DIRECTORY),
    ]


def names_taken_in(base: str) -> list[Operation]:
    """Return operations on names that exist already, which only a file system that hides them lets succeed."""
    return [
        Operation("create", f"{base}/a"),
        Operation("mkdir", f"{base}/directory", kind=FileKind.DIRECTORY),
        Operation("symlink", f"{base}/b", kind=FileKind.SYMLINK),
        Operation("bind", f"{base}/socket", kind=FileKind.SOCKET),
        Operation("link", f"{base}/f", f"{base}/h"),
        Operation("rmdir", f"{base}/directory", kind=FileKind.DIRECTORY),
        Operation("connect", f"{base}/socket", kind=FileKind.SOCKET),
        Operation("write-creating", f"{base}/b"),
    ]


ACROSS = [
    Operation("rename", f"{TREE}/one/c", f"{TREE}/two/new"),
    Operation("rename", f"{TREE}/one/missing", f"{TREE}/two/new"),
    Operation("link", f"{TREE}/one/f", f"{TREE}/two/new-link"),
    Operation("link", f"{TREE}/one/f", f"{TREE}/two/g"),
    Operation("link", f"{TREE}/one/f", f"{TREE}/three/new-link"),
    Operation("rename", f"{TREE}/one/d", f"{TREE}/three/new"),
    Operation("rename", f"{TREE}/three/c", f"{TREE}/one/new"),
    Operation("rename", f"{TREE}/one/e", f"{TREE}/one/directory/e"),
    Operation("link", f"{TREE}/file", f"{TREE}/file-link"),
    Operation("link", f"{TREE}/file", f"{TREE}/one/file-link"),
    Operation("write", f"{TREE}/file"),
    Operation("chmod", f"{TREE}/file"),
    Operation("rename", f"{TREE}/plain", f"{TREE}/file"),
    Operation("unlink", f"{TREE}/file"),
    Operation("mkdir", f"{TREE}/two", kind=FileKind.DIRECTORY),
    Operation("rmdir", f"{TREE}/two", kind=FileKind.DIRECTORY),
    Operation("rename", f"{TREE}/one", f"{TREE}/one-new"),
]
"""What joins two directories, or takes a whole one away: T1 and T2 of systemd's mount engine."""


def home_operations(home: str) -> list[Operation]:
    """Return what services do with a home directory, mostly in vain."""
    return [
        Operation("read", home, kind=FileKind.DIRECTORY),
        Operation("read", f"{home}/probe", kind=FileKind.DIRECTORY),
        Operation("chmod", home, kind=FileKind.DIRECTORY),
        Operation("lookup", f"{home}/probe/a"),
        Operation("lookup", f"{home}/missing"),
        Operation("lookup", f"{home}/missing/deeper"),
        Operation("read", f"{home}/probe/a"),
        Operation("write", f"{home}/probe/a"),
        Operation("unlink", f"{home}/missing"),
        Operation("unlink", f"{home}/probe/missing"),
        Operation("rename", f"{home}/probe/a", f"{home}/probe/b"),
        Operation("create", f"{home}/probe/new"),
        Operation("create", f"{home}/probe-new"),
    ]


def temporary_operations(directory: str) -> list[Operation]:
    """Return what services do in /tmp with names that others made."""
    return [
        Operation("lookup", directory, kind=FileKind.DIRECTORY),
        Operation("writable", directory, kind=FileKind.DIRECTORY),
        Operation("read", f"{directory}/probe/a"),
        Operation("lookup", f"{directory}/missing"),
        Operation("unlink", f"{directory}/missing"),
        Operation("create", f"{directory}/probe-new"),
        Operation("create", f"{directory}/probe/new"),
        Operation("mkdir", f"{directory}/probe", kind=FileKind.DIRECTORY),
        Operation("unlink", f"{directory}/probe/missing"),
        Operation("unlink", f"{directory}/probe/a"),
    ]


SYSTEM = [
    Operation("create", "/etc/probe-new"),
    Operation("write", "/etc/probe-file"),
    Operation("write", "/usr/probe-file"),
    Operation("create", "/usr/probe-new"),
    Operation("create", "/run/probe-new"),
    Operation("write", "/run/probe-file"),
    Operation("write", "/var/probe-file"),
    Operation("create", "/var/probe-new"),
    Operation("create", "/home/probe-new"),
    Operation("rename", "/home/probe/a", "/var/tmp/probe/b"),
    Operation("write", "/proc/self/comm"),
    Operation("create", "/dev/shm/probe-new"),
    Operation("write", "/dev/null", kind=FileKind.CHARACTER, device="1:3"),
    Operation("writable", "/dev/null", kind=FileKind.CHARACTER, device="1:3"),
    Operation("writable", "/etc/passwd"),
]

PROCESSES = [
    Operation("open", "/proc/meminfo"),
    Operation("lookup", "/proc/uptime"),
    Operation("lookup", "/proc/self/status"),
    Operation("lookup", "/proc/self/mounts"),
    Operation("lookup", "/proc", kind=FileKind.DIRECTORY),
    Operation("lookup", "/proc/1", kind=FileKind.DIRECTORY),
    Operation("open", "/proc/1/status"),
    Operation("open", "/proc/1/environ"),
    Operation("lookup", "/proc/1/cmdline"),
    Operation("lookup", "/proc/missing"),
    Operation("create", "/proc/missing"),
]

KERNEL = [
    Operation("write", "/proc/sys/kernel/domainname"),
    Operation("open", "/proc/sys/kernel/domainname"),
    Operation("writable", "/proc/sys/kernel/domainname"),
    Operation("read", "/proc/kallsyms"),
    Operation("open", "/sys/kernel/profiling"),
    Operation("write", "/sys/kernel/profiling"),
    Operation("write", "/sys/fs/cgroup/cgroup.procs"),
    Operation("mkdir", "/sys/fs/cgroup/probe-new", kind=FileKind.DIRECTORY),
    Operation("rmdir", "/sys/fs/cgroup/probe-new", kind=FileKind.DIRECTORY),
]

_NODES = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}

DEVICES = [
    *(
        Operation(verb, f"/dev/{name}", kind=FileKind.CHARACTER, device=device)
        for name, device in _NODES.items()
        for verb in ("open", "write", "chmod", "writable")
    ),
    Operation("open", "/dev/fuse", kind=FileKind.CHARACTER, device="10:229"),
    Operation("lookup", "/dev/fuse", kind=FileKind.CHARACTER, device="10:229"),
    Operation("open", "/dev/net/tun", kind=FileKind.CHARACTER, device="10:200"),
    Operation("lookup", "/dev/console", kind=FileKind.CHARACTER, device="5:1"),
    Operation("open", "/dev/missing"),
    Operation("unlink", "/dev/missing"),
    Operation("create", "/dev/missing/x"),
    Operation("create", "/dev/probe-new"),
    Operation("create", "/dev/shm/probe-new"),
    Operation("read", "/dev", kind=FileKind.DIRECTORY),
    Operation("lookup", "/dev", kind=FileKind.DIRECTORY),
    Operation("lookup", "/dev/pts", kind=FileKind.DIRECTORY),
    Operation("lookup", "/dev/mqueue", kind=FileKind.DIRECTORY),
    Operation("lookup", "/dev/hugepages", kind=FileKind.DIRECTORY),
    Operation("lookup", "/dev/fd"),
    Operation("execute", "/dev/null", kind=FileKind.CHARACTER, device="1:3"),
    Operation("mknod-null", "/srv/probe/null-node"),
    Operation("mknod-disk", "/srv/probe/disk-node"),
]
