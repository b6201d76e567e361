"""What the actor can do: one function, or a system call, for each of the verbs. Standard library only."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import socket
import stat
import struct
from collections.abc import Callable
from typing import Any

from actor_calls import (  # type: ignore[import-not-found, unused-ignore]  # beside this file, in a twin
    LIBC,
    call,
    check,
    cloned,
    cloned_3,
    entered,
    foreign_architecture,
    protected,
    shared_memory,
    unreadable_segment,
    with_memory,
)

SECONDS = 2
"""What takes longer is given up."""

Answer = str | bytes | None


def opened(path: str, flags: int) -> None:
    """Open and close."""
    os.close(os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0o644))


def content(path: str) -> bytes:
    """Return what a file or directory holds; other kinds are only opened."""
    if stat.S_ISDIR(os.stat(path).st_mode):
        return "\0".join(sorted(os.listdir(path))).encode()
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b"opened"
    finally:
        os.close(descriptor)


def unix(verb: str, path: str, kind: int = socket.SOCK_STREAM) -> None:
    """Connect or bind a Unix socket; a name that begins with ``@`` is abstract."""
    with socket.socket(socket.AF_UNIX, kind) as end:
        end.settimeout(SECONDS)
        getattr(end, verb)("\0" + path[1:] if path.startswith("@") else path)


def abstract_bound(name: str) -> str:
    """Bind an abstract socket; the answer is the network namespace in which that happened."""
    unix("bind", name)
    return str(os.stat("/proc/self/ns/net").st_ino)


def internet(verb: str, family: int, kind: int, address: str, port: int) -> str:
    """Bind, connect or send; the answer is the network namespace in which that happened."""
    with socket.socket(family, kind) as end:
        end.settimeout(0.7)
        if verb == "send":
            end.sendto(b"x", (address, port))
        else:
            try:
                getattr(end, verb)((address, port))
            except TimeoutError:
                raise OSError(errno.ETIMEDOUT, "no answer") from None
    return str(os.stat("/proc/self/ns/net").st_ino)


def interfaces() -> str:
    """Ask for the network interfaces, by a netlink socket."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as end:
        end.settimeout(SECONDS)
        end.send(struct.pack("=IHHII", 20, 18, 0x301, 1, 0) + b"\0" * 4)  # RTM_GETLINK, NLM_F_DUMP
        return str(end.recv(65536).count(b"eth0"))


def finished(child: int) -> int:
    """Wait for a child; raise OSError for a status above 100, which it used to tell an errno."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status > 100:
        raise OSError(status - 100, "in the child")
    return status


def executed(path: str, *arguments: str) -> bytes:
    """Execute a program and return what it prints."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        try:
            os.execv(path, [path, *arguments])
        except OSError as error:
            os._exit(100 + min(error.errno or 0, 150))
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read()
    finished(child)
    return said


def mapped(path: str) -> None:
    """Map a file executable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        LIBC.mmap.restype = ctypes.c_void_p
        address = LIBC.mmap(None, ctypes.c_size_t(4096), 5, mmap.MAP_PRIVATE, descriptor, ctypes.c_long(0))
        if address == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap")
    finally:
        os.close(descriptor)


def special_mode(name: str, path: str, mode: int) -> None:
    """Ask for a mode by one of the calls that can."""
    encoded = os.fsencode(path)
    wide = ctypes.c_uint(mode)
    if name in {"fchmod", "fchmodat2"}:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        number = {"fchmod": 91, "fchmodat2": 452}[name]
        arguments = [descriptor, mode] if name == "fchmod" else [descriptor, ctypes.c_char_p(b""), mode, 0x1000]
        check(LIBC.syscall(ctypes.c_long(number), *arguments))
        return
    now: dict[str, list[Any]] = {
        "chmod": [90, encoded, wide],
        "fchmodat": [268, -100, encoded, wide],
        "mkdir": [83, encoded, wide],
        "mkdirat": [258, -100, encoded, wide],
        "mknod": [133, encoded, ctypes.c_uint(mode | stat.S_IFREG), 0],
        "mknodat": [259, -100, encoded, ctypes.c_uint(mode | stat.S_IFREG), 0],
        "open": [2, encoded, os.O_CREAT | os.O_WRONLY, wide],
        "openat": [257, -100, encoded, os.O_CREAT | os.O_WRONLY, wide],
        "creat": [85, encoded, wide],
    }
    number, *rest = now[name]
    result = check(LIBC.syscall(ctypes.c_long(number), *rest))
    if name in {"open", "openat", "creat"}:
        os.close(result)
    if name.startswith("mkdir"):
        os.rmdir(path)
    elif name not in {"chmod", "fchmodat"}:
        os.unlink(path)


def flagged(path: str) -> None:
    """Set the append-only attribute and take it away again."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    before = ctypes.c_long()
    check(LIBC.ioctl(descriptor, ctypes.c_ulong(0x80086601), ctypes.byref(before)))
    check(LIBC.ioctl(descriptor, ctypes.c_ulong(0x40086602), ctypes.byref(ctypes.c_long(before.value | 0x20))))
    check(LIBC.ioctl(descriptor, ctypes.c_ulong(0x40086602), ctypes.byref(before)))


def group_mode(path: str) -> str:
    """Set the set-gid bit on a file of a foreign group; without CAP_FSETID it vanishes."""
    os.chmod(path, 0o2755)
    return oct(os.stat(path).st_mode & 0o7777)


def audit(kind: str) -> None:
    """Send a message to the audit system, or listen to it."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as end:
        end.settimeout(SECONDS)
        if kind == "read":
            end.bind((0, 1))
            return
        payload = b"op=probe\0\0\0\0"
        end.send(struct.pack("=IHHII", 16 + len(payload), 1107, 5, 1, 0) + payload)  # AUDIT_USER_AVC..., wants an ack
        code = int(struct.unpack("=i", end.recv(8192)[16:20])[0])
        if code:
            raise OSError(-code, "audit")


def limits(name: int) -> None:
    """Lower a hard limit, then raise it again."""
    check(LIBC.setrlimit(name, struct.pack("=QQ", 100, 100)))
    check(LIBC.setrlimit(name, struct.pack("=QQ", 100, 200)))


def locked() -> None:
    """Lock memory beyond the limit."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    check(LIBC.mlock(ctypes.create_string_buffer(8192), ctypes.c_size_t(8192)))


def leased(path: str) -> None:
    """Take a read lease on a file of another user."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    check(LIBC.fcntl(descriptor, 1024, 0))
    check(LIBC.fcntl(descriptor, 1024, 2))


def map_files() -> str:
    """Follow a link in /proc/self/map_files."""
    name = sorted(os.listdir("/proc/self/map_files"))[0]
    return str(os.stat(f"/proc/self/map_files/{name}").st_size > 0)


def scheduled(policy: int, priority: int) -> None:
    """Ask for a scheduling policy."""
    check(LIBC.sched_setscheduler(0, policy, ctypes.byref(ctypes.c_int(priority))))


def scheduled_by_attributes(policy: int, priority: int) -> None:
    """The same by sched_setattr(2)."""
    runtime = (10000000, 100000000, 100000000) if policy == 6 else (0, 0, 0)
    attributes = struct.pack("=IIQiIQQQ", 48, policy, 0, 0, priority, *runtime)
    check(LIBC.syscall(ctypes.c_long(314), 0, attributes, 0))


def mounted(call_name: str, target: str, own: bool) -> None:
    """Change the mount table, in the namespace in which the process is or in one of its own."""
    if own:
        check(LIBC.unshare(0x20000))
        check(LIBC.mount(b"none", b"/", None, ctypes.c_ulong((1 << 18) | 0x4000), None))
    place = os.fsencode(target)
    if call_name == "mount":
        check(LIBC.mount(b"probe", place, b"tmpfs", ctypes.c_ulong(0), None))
    else:
        check(LIBC.umount2(place, 2))


def host_name() -> None:
    """Set the host name."""
    check(LIBC.sethostname(b"changed-by-probe", ctypes.c_size_t(16)))


def keyed(operation: int) -> None:
    """Make one of the calls of keyctl(2)."""
    call(250, operation, 0xFFFFFFFD, 0)


def segment(key: int) -> None:
    """Look up a segment of shared memory that another process has made."""
    check(LIBC.shmget(key, ctypes.c_size_t(0), 0))


def file_made(kind: str, path: str) -> None:
    """Make a new name of this kind."""
    if kind == "regular":
        opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "symlink":
        os.symlink("nowhere", path)
    elif kind == "fifo":
        os.mkfifo(path)


def used_after_making(path: str, verb: str) -> Answer:
    """Make a file, then use it."""
    file_made("regular", path)
    result: Answer = VERBS[verb](path)
    return result


def exchanged(source: str, target: str) -> None:
    """Exchange two names."""
    check(LIBC.syscall(ctypes.c_long(316), -100, os.fsencode(source), -100, os.fsencode(target), 2))


def node(path: str, kind: int, major: int, minor: int) -> None:
    """Make a device node."""
    os.mknod(path, 0o600 | kind, os.makedev(major, minor))


def accessible(path: str) -> None:
    """Ask access(2) for the permission to write."""
    check(LIBC.access(os.fsencode(path), os.W_OK))


VERBS: dict[str, Callable[..., Any]] = {
    "lookup": lambda path: os.stat(path) and None,
    "read": content,
    "write": lambda path: opened(path, os.O_WRONLY),
    "read-write": lambda path: opened(path, os.O_RDWR),
    "make": file_made,
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "chmod": lambda path: os.chmod(path, stat.S_IMODE(os.stat(path).st_mode)),
    "chown": lambda path, owner: os.chown(path, owner, -1),
    "change-mode": os.chmod,
    "utime": os.utime,
    "setxattr": lambda path: os.setxattr(path, "user.probe", b"1"),
    "set-capability": lambda path: os.setxattr(
        path, "security.capability", bytes.fromhex("0100000200200000" + "00" * 12)
    ),
    "truncate": lambda path: os.truncate(path, 0),
    "access": accessible,
    "execute": lambda path: executed(path) and None,
    "gain": executed,
    "gain-capability": lambda path: [
        line for line in executed(path, "/proc/self/status").splitlines() if line.startswith(b"CapEff")
    ][0],
    "map": mapped,
    "connect": lambda path: unix("connect", path),
    "bind": lambda path: unix("bind", path),
    "bind-abstract": abstract_bound,
    "rename": os.rename,
    "exchange": exchanged,
    "link": os.link,
    "node": node,
    "made": used_after_making,
    "call": call,
    "memory": with_memory,
    "socket": lambda family, kind, protocol: socket.socket(family, kind, protocol).close(),
    "interfaces": interfaces,
    "internet": internet,
    "protect": protected,
    "attach": shared_memory,
    "attach-unreadable": unreadable_segment,
    "foreign": foreign_architecture,
    "unshare": lambda flags: check(LIBC.unshare(flags)) and None,
    "clone": cloned,
    "clone3": cloned_3,
    "setns": entered,
    "personality": lambda value: check(LIBC.personality(ctypes.c_ulong(value))) and None,
    "mode": special_mode,
    "flag": flagged,
    "group-mode": group_mode,
    "audit": audit,
    "limit": limits,
    "lock": locked,
    "lease": leased,
    "map-files": map_files,
    "schedule": scheduled,
    "schedule-attributes": scheduled_by_attributes,
    "mount": mounted,
    "host-name": host_name,
    "keyctl": keyed,
    "segment": segment,
    "kill": os.kill,
    "setuid": os.setuid,
    "setgid": os.setgid,
    "setgroups": os.setgroups,
    "chroot": os.chroot,
    "nice": lambda value: os.setpriority(os.PRIO_PROCESS, 0, value),
    "bounding-drop": lambda number: check(LIBC.prctl(24, number, 0, 0, 0)) and None,
    "socket-option": lambda level, name, value: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).setsockopt(
        level, name, value
    ),
}
