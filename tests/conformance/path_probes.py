"""Probes of the file system: every access at every place, pairs of names, /proc, /sys and /dev."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from policy.behaviour import Access, CapabilityUsed, FileKind, Mounted, NamespaceUsed, PathPair, PathUse, SocketOpened
from tests.conformance.probe_kind import Probe
from tests.conformance.tree import DEVICES, PLACES, roots

R, D, L, F, S, C, B = (
    FileKind.REGULAR,
    FileKind.DIRECTORY,
    FileKind.SYMLINK,
    FileKind.FIFO,
    FileKind.SOCKET,
    FileKind.CHARACTER,
    FileKind.BLOCK,
)

ACCESS_OF = {
    "lookup": Access.LOOKUP,
    "read": Access.READ,
    "write": Access.WRITE,
    "read-write": Access.READ_WRITE,
    "make": Access.CREATE,
    "unlink": Access.DELETE,
    "rmdir": Access.DELETE,
    "chmod": Access.METADATA,
    "utime": Access.METADATA,
    "setxattr": Access.METADATA,
    "truncate": Access.TRUNCATE,
    "access": Access.WRITE_PROBE,
    "execute": Access.EXECUTE,
    "map": Access.MAP_EXECUTE,
    "connect": Access.CONNECT,
    "bind": Access.BIND,
}

USES = (
    # (verb, name below the tree, kind); in this order, so that what is consumed is consumed last.
    ("lookup", "", D),
    ("read", "", D),
    ("access", "", D),
    ("lookup", "file", R),
    ("read", "file", R),
    ("read", "secret", R),
    ("read", "inner", D),
    ("read", "inner/file", R),
    ("lookup", "inner/file", R),
    ("lookup", "missing", FileKind.UNKNOWN),
    ("lookup", "missing/below", FileKind.UNKNOWN),
    ("lookup", "inner/missing", FileKind.UNKNOWN),
    ("read", "missing", FileKind.UNKNOWN),
    ("write", "missing", FileKind.UNKNOWN),
    ("unlink", "missing", FileKind.UNKNOWN),
    ("truncate", "missing", FileKind.UNKNOWN),
    ("access", "missing", FileKind.UNKNOWN),
    ("write", "file", R),
    ("write", "inner/file", R),
    ("read-write", "file", R),
    ("read-write", "inner/file", R),
    ("access", "file", R),
    ("access", "inner/file", R),
    ("chmod", "file", R),
    ("chmod", "inner/file", R),
    ("utime", "file", R),
    ("utime", "inner", D),
    ("setxattr", "file", R),
    ("chmod", "fifo", F),
    ("read", "fifo", F),
    ("read-write", "fifo", F),
    ("access", "fifo", F),
    ("connect", "socket", S),
    ("execute", "tool", R),
    ("map", "tool", R),
    ("map", "file", R),
    ("rmdir", "inner", D),
    ("truncate", "second", R),
    ("make regular", "new", R),
    ("make directory", "new-directory", D),
    ("make symlink", "new-symlink", L),
    ("make fifo", "new-fifo", F),
    ("make regular", "inner/new", R),
    ("make directory", "inner/new-directory", D),
    ("bind", "new-socket", S),
    ("unlink", "victim", R),
    ("unlink", "inner/victim", R),
    ("rmdir", "empty", D),
    ("rmdir", "inner/empty", D),
)

TAKEN = (("make regular", "file", R), ("make directory", "inner", D), ("bind", "socket", S))
"""Names that exist: where they are hidden, they can be made, so these come last of all."""

PAIRS = (
    ("link", "linked", "new-link"),
    ("link", "inner/second", "inner/new-link"),
    ("link", "linked", "inner/arrived"),
    ("link", "missing", "crossed"),
    ("rename", "missing", "crossed"),
    ("rename", "first", "arrived"),
    ("rename", "replacing", "replaced"),
    ("rename", "moved", "inner/moved-in"),
    ("exchange", "other", "linked"),
)

CROSSINGS = (
    ("/srv/probe", "/opt/probe"),
    ("/var/lib/probe", "/var/cache/probe"),
    ("/home/probe", "/root/probe"),
    ("/etc/probe", "/usr/share/probe"),
    ("/tmp/probe", "/var/tmp/probe"),
    ("/mnt/probe", "/srv/probe"),
)


def tree_probes(user: int) -> Iterator[Probe]:
    """Yield the probes of all places for a user, each in the tree that is the user's own."""
    for place in (*PLACES, "/dev/shm/probe"):
        root = roots(place, user)
        for verb, name, kind in USES:
            if name != "tool" or place != "/dev/shm/probe":
                yield _use(verb, f"{place}/tool" if name == "tool" else f"{root}/{name}".rstrip("/"), kind)
        for verb in ("read", "write", "unlink"):
            path = f"{root}/made"
            uses = (PathUse(path, Access.CREATE, R), PathUse(path, ACCESS_OF[verb], R, created_by_service=True))
            yield Probe(f"{verb} {path}, made before", uses, ("made", path, verb))
            yield Probe(f"unlink {path}, to clean up after {verb}", (), ("unlink", path))
        for verb, source, target in PAIRS:
            yield _pair(verb, f"{root}/{source}", f"{root}/{target}", replaced=target in {"replaced", "linked"})
        for verb, name, kind in TAKEN:
            yield _use(verb, f"{root}/{name}", kind)


def _use(verb: str, path: str, kind: FileKind) -> Probe:
    word, _, made = verb.partition(" ")
    end = (SocketOpened("AF_UNIX", "SOCK_STREAM"),) if word in {"connect", "bind"} else ()
    use = PathUse(path, ACCESS_OF[word], kind)
    trace = path if word in {"make", "bind"} else ""
    return Probe(f"{verb} {path}", (*end, use), (word, made, path) if made else (word, path), trace=trace)


def _pair(verb: str, source: str, target: str, *, replaced: bool = False) -> Probe:
    pair = PathPair(verb, source, target, replaced)
    first = PathUse(source, Access.LOOKUP if verb == "link" else Access.DELETE, R)
    second = PathUse(target, Access.DELETE if verb == "exchange" else Access.CREATE, R)
    facts = (pair, first) if source.endswith("/missing") else (pair, first, second)
    return Probe(f"{verb} {source} {target}", facts, (verb, source, target))


def crossing_probes(user: int) -> Iterator[Probe]:
    """Yield probes that join names of two places."""
    for first, second in CROSSINGS:
        source, target = roots(first, user), roots(second, user)
        yield _pair("link", f"{source}/other", f"{target}/crossed")
        yield _pair("rename", f"{source}/crossing", f"{target}/arrived")


def _plain(verb: str, path: str, kind: FileKind, *, seen_as: str = "", device: str = "", through: str = "") -> Probe:
    word, _, made = verb.partition(" ")
    use = PathUse(seen_as or path, ACCESS_OF[word], kind, device=device, through=through)
    needed = (CapabilityUsed("CAP_SYSLOG", "kmsg"),) if device == "1:11" and word.startswith("read") else ()
    action = (word, made, path) if made else (word, through or path)
    return Probe(f"{verb} {through or path}", (use, *needed), action, varies=path in VARYING)


def system_probes(peers: dict[str, int]) -> Iterator[Probe]:
    """Yield probes of /proc, /sys, /dev and of well-known files; ``peers`` are processes of root and of the tester."""
    yield from (_plain(verb, path, kind) for verb, path, kind in SYSTEM_USES)
    yield Probe("unlink /home/probe-made, to clean up", (), ("unlink", "/home/probe-made"))
    yield Probe("unlink /tmp/probe-made, to clean up", (), ("unlink", "/tmp/probe-made"))
    for owner, process in peers.items():
        for verb, name, kind in (
            ("lookup", "", D),
            ("read", "/cmdline", R),
            ("read", "/status", R),
            ("lookup", "/missing", FileKind.UNKNOWN),
        ):
            probe = _plain(verb, f"/proc/{process}{name}", kind, seen_as=f"/proc/other{name}")
            varies = name == "/status"
            yield Probe(f"{verb} /proc/OTHER{name} of {owner}", probe.behaviours, probe.action, varies=varies)
    yield _plain("read", "/proc/self/mounts", R, through="/proc/mounts")
    yield _plain("read", "/run/probe/file", R, through="/var/run/probe/file")
    yield _plain("write", "/run/probe/file", R, through="/var/run/probe/file")
    yield _plain("read", "/srv/probe/file", R, through="/srv/probe/symlink")
    for name, (file_type, major, minor) in DEVICES.items():
        for verb in ("lookup", "read", "write", "read-write", "access"):
            file_kind = C if file_type == stat.S_IFCHR else B
            yield _plain(verb, f"/dev/{name}", file_kind, device=f"{major}:{minor}")
    for name, device in PSEUDO_DEVICES.items():
        for verb in ("lookup", "read", "write", "read-write", "access"):
            yield _plain(verb, f"/dev/{name}", C, device=device)
    for call, own in (("mount", False), ("mount", True), ("umount2", False)):
        target = f"/var/lib/probe/{'mounted-own' if own else 'mounted'}"
        left = (NamespaceUsed("unshare", ("mnt",)),) if own else ()
        where = PathUse(target, Access.LOOKUP, D)
        facts = (*left, where, CapabilityUsed("CAP_SYS_ADMIN", call), Mounted(call, target, own))
        name = f"{call} {target}{', in a namespace of its own' if own else ''}"
        yield Probe(name, facts, ("mount", call, target, own), apart=True, user="root")


VARYING = frozenset(
    {"/proc", "/proc/self/status", "/proc/self/mountinfo", "/proc/self/mounts", "/proc/cgroups", "/proc/kallsyms"}
    | {"/proc/kmsg", "/tmp", "/var/tmp"}
)
"""What differs from one process, or one unit, to the next."""

PSEUDO_DEVICES = {
    "null": "1:3",
    "zero": "1:5",
    "full": "1:7",
    "random": "1:8",
    "urandom": "1:9",
    "tty": "5:0",
    "ptmx": "5:2",
    "fuse": "10:229",
}

_KERNEL_FILES = ("filesystems", "kallsyms", "kcore", "kmsg")

SYSTEM_USES = (
    ("read", "/proc", D),
    ("read", "/proc/self/status", R),
    ("read", "/proc/self/mountinfo", R),
    ("lookup", "/proc/self/exe", R),
    *(
        ("read", f"/proc/{name}", R)
        for name in (*("meminfo", "cpuinfo", "stat", "loadavg", "uptime", "version", "cgroups"), *_KERNEL_FILES)
    ),
    *(("lookup", f"/proc/{name}", R) for name in ("meminfo", *_KERNEL_FILES, "sysrq-trigger", "missing")),
    ("read", "/proc/sys/kernel/hostname", R),
    ("read", "/proc/sys/kernel/osrelease", R),
    ("write", "/proc/sys/kernel/hostname", R),
    ("write", "/proc/sys/kernel/domainname", R),
    ("write", "/proc/sys/kernel/panic", R),
    ("read", "/proc/sys/net/core/somaxconn", R),
    ("write", "/proc/sys/net/core/somaxconn", R),
    ("write", "/proc/sys/net/ipv4/ip_forward", R),
    ("access", "/proc/sys/net/core/somaxconn", R),
    ("write", "/proc/sysrq-trigger", R),
    ("write", "/proc/self/oom_score_adj", R),
    ("write", "/proc/self/comm", R),
    ("read", "/proc/irq", D),
    ("read", "/proc/net", D),
    ("read", "/sys", D),
    ("read", "/sys/kernel/mm/transparent_hugepage/enabled", R),
    ("write", "/sys/kernel/mm/transparent_hugepage/enabled", R),
    ("write", "/sys/power/state", R),
    ("read", "/sys/class/net", D),
    ("read", "/sys/class/net/eth0/mtu", R),
    ("lookup", "/sys/class/net/eth0", D),
    ("read", "/sys/fs/cgroup", D),
    ("lookup", "/sys/fs/cgroup/cgroup.procs", R),
    ("write", "/sys/fs/cgroup/cgroup.procs", R),
    ("access", "/sys/fs/cgroup/system.slice", D),
    ("write", "/sys/fs/cgroup/system.slice/cgroup.procs", R),
    ("make directory", "/sys/fs/cgroup/system.slice/probe-made", D),
    ("rmdir", "/sys/fs/cgroup/system.slice/probe-made", D),
    ("read", "/dev", D),
    ("read", "/dev/pts", D),
    ("read", "/dev/shm", D),
    ("lookup", "/dev/log", S),
    ("lookup", "/dev/missing", FileKind.UNKNOWN),
    ("make regular", "/dev/probe-made", R),
    ("unlink", "/dev/probe-made", R),
    ("chmod", "/dev/null", C),
    ("read", "/usr/lib/modules", D),
    ("lookup", "/usr/lib/modules", D),
    ("read", "/etc/passwd", R),
    ("read", "/etc", D),
    ("read", "/home", D),
    ("read", "/root", D),
    ("read", "/run/user", D),
    ("read", "/tmp", D),
    ("read", "/var/tmp", D),
    ("lookup", "/home", D),
    ("lookup", "/root", D),
    ("lookup", "/tmp", D),
    ("lookup", "/home/missing", FileKind.UNKNOWN),
    ("lookup", "/root/missing", FileKind.UNKNOWN),
    ("lookup", "/tmp/missing", FileKind.UNKNOWN),
    ("make regular", "/home/probe-made", R),
    ("make regular", "/tmp/probe-made", R),
    ("lookup", "/", D),
    ("make directory", "/probe-made", D),
    ("rmdir", "/probe-made", D),
    ("execute", "/usr/bin/true", R),
)
