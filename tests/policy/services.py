"""Sets of facts such as real daemons leave behind, and a pool of facts of every type to draw from."""

from __future__ import annotations

from collections.abc import Iterable

from policy.behaviour import (
    UNKNOWN,
    Access,
    CapabilityUsed,
    ClockUsed,
    DeviceNodeMade,
    Fact,
    FileKind,
    IpcUsed,
    KeyringUsed,
    Known,
    MemoryMapped,
    Mounted,
    NamespaceUsed,
    PathPair,
    PathUse,
    PersonalityChanged,
    Phase,
    PrivilegeGained,
    SchedulingSet,
    SignalSent,
    SocketAddress,
    SocketOpened,
    SpecialModeSet,
    SystemCall,
)
from policy.host_facts import HostFacts
from policy.recording import Header, Recording
from policy.service_profile import Profile
from policy.shipped_host_facts import for_version
from policy.unit_settings import ExecLine, UnitSettings

HOST: HostFacts = for_version(252)

_CALLS = """
access arch_prctl brk clone close dup2 epoll_create1 epoll_ctl epoll_wait execve exit_group fcntl futex getdents64
getpid getrandom geteuid gettid ioctl lseek mmap mprotect munmap newfstatat openat pread64 prctl prlimit64 read rename
rseq rt_sigaction rt_sigprocmask set_robust_list set_tid_address setsid setsockopt socket socketpair sysinfo umask
uname unlink wait4 write
"""
COMMON_CALLS = tuple(_CALLS.split())
SERVER_CALLS = ("accept4", "bind", "connect", "listen", "recvfrom", "sendfile", "sendto", "writev")


def profile(facts: Iterable[Fact], unit: UnitSettings | None = None) -> Profile:
    """Return a profile of one complete recording."""
    recording = Recording("a", ("strace",), 252, phases=frozenset(Phase))
    return Profile(Header(unit or UnitSettings("a.service"), frozenset({recording})), frozenset(facts))


def calls(names: Iterable[str], **fields: object) -> list[Fact]:
    """Return the facts that these system calls were made."""
    return [Fact(SystemCall(name), **fields) for name in names]  # type: ignore[arg-type]


def capability(name: str, reason: str) -> Fact:
    """Return the fact that a capability was used while starting."""
    return Fact(CapabilityUsed(name, reason), phase=Phase.START_UP, known=Known.INFERRED)


def use(path: str, access: Access, kind: FileKind = FileKind.REGULAR, outcome: str = "ok", user: int = 0) -> Fact:
    """Return the fact that a path was used."""
    return Fact(PathUse(path, access, kind), outcome, user=user)


def web_server() -> Profile:
    """Return what a web server leaves that starts as root, binds port 80 and serves as another user."""
    unit = UnitSettings(
        "web.service",
        type="forking",
        exec_lines=(ExecLine("ExecStart", "", "/usr/sbin/web"), ExecLine("ExecReload", "", "/usr/sbin/web")),
    )
    facts = [
        *calls((*COMMON_CALLS, *SERVER_CALLS, "chown", "setuid", "setgid", "setgroups", "mkdir", "eventfd2")),
        *calls(("epoll_wait", "accept4", "close"), user=33),
        Fact(SystemCall("kill"), phase=Phase.RELOAD, exec_line="ExecReload"),
        capability("CAP_NET_BIND_SERVICE", "bind to port 80"),
        capability("CAP_SETUID", "setuid to 33"),
        capability("CAP_SETGID", "setgid to 33"),
        capability("CAP_CHOWN", "chown to 33:-1"),
        capability("CAP_DAC_OVERRIDE", "openat of a file of user 33"),
        *(Fact(SocketOpened(family, "SOCK_STREAM")) for family in ("AF_INET", "AF_INET6", "AF_UNIX")),
        Fact(SocketAddress("bind", "AF_INET", "SOCK_STREAM", "0.0.0.0", 80), phase=Phase.START_UP),
        Fact(SocketAddress("accept", "AF_INET", "SOCK_STREAM", "192.0.2.7", 40123), user=33),
        use("/etc/web/web.conf", Access.READ),
        use("/usr/sbin/web", Access.EXECUTE),
        use("/usr/lib/x86_64-linux-gnu/libc.so.6", Access.MAP_EXECUTE),
        use("/var/log/web/access.log", Access.WRITE),
        use("/var/lib/web/body", Access.METADATA, FileKind.DIRECTORY),
        use("/var/lib/web/body/0001", Access.CREATE, user=33),
        use("/run/web.pid", Access.CREATE),
        use("/run/web.pid", Access.DELETE),
        use("/var/www/html/index.html", Access.READ, user=33),
        use("/var/www/html/nothing.html", Access.READ, outcome="ENOENT", user=33),
        use("/proc/self/stat", Access.READ),
        use("/dev/null", Access.READ_WRITE, FileKind.CHARACTER),
    ]
    return profile(facts, unit)


def data_store() -> Profile:
    """Return what a data store leaves that runs as a user of its own and listens on the loopback interface only."""
    unit = UnitSettings(
        "store.service",
        type="notify",
        user="store",
        notify_access="main",
        assignments=(
            ("User", "store"),
            ("Type", "notify"),
            ("NoNewPrivileges", "true"),
            ("PrivateDevices", "yes"),
            ("CapabilityBoundingSet", "~CAP_SYS_PTRACE"),
            ("ReadWritePaths", "-/var/lib/store"),
        ),
        exec_lines=(ExecLine("ExecStart", "", "/usr/bin/store"),),
    )
    facts = [
        *calls((*COMMON_CALLS, *SERVER_CALLS, "madvise", "fdatasync", "sched_setaffinity"), user=107),
        *(Fact(SocketOpened(family, "SOCK_STREAM"), user=107) for family in ("AF_INET", "AF_INET6", "AF_UNIX")),
        Fact(SocketAddress("bind", "AF_INET", "SOCK_STREAM", "127.0.0.1", 6379), user=107),
        Fact(SocketAddress("bind", "AF_INET6", "SOCK_STREAM", "::1", 6379), user=107),
        Fact(SocketAddress("accept", "AF_INET", "SOCK_STREAM", "127.0.0.1", 51234), user=107),
        use("/var/lib/store/dump.tmp", Access.CREATE, user=107),
        Fact(PathPair("rename", "/var/lib/store/dump.tmp", "/var/lib/store/dump", True), user=107),
        use("/proc/sys/vm/overcommit_memory", Access.READ, user=107),
        use("/run/systemd/notify", Access.CONNECT, FileKind.SOCKET, user=107),
    ]
    return profile(facts, unit)


def pool() -> list[Fact]:
    """Return facts of every type, with outcomes of both kinds."""
    some = [
        *calls((*COMMON_CALLS, *SERVER_CALLS)),
        *calls(("chown", "setuid", "reboot", "mount", "personality", "clone3", "openat2", "io_uring_enter", "ptrace")),
        *calls(("unshare", "sethostname", "swapon", "init_module", "settimeofday", "mlock", "add_key", "cachestat")),
        Fact(SystemCall("chown"), "EPERM"),
        Fact(SystemCall("getpid", "x86")),
        *(Fact(SocketOpened(family, "SOCK_STREAM")) for family in ("AF_UNIX", "AF_INET", "AF_INET6", "AF_VSOCK", "45")),
        Fact(SocketOpened("AF_NETLINK", "SOCK_RAW")),
        Fact(SocketOpened("AF_PACKET", "SOCK_RAW"), "EPERM"),
        Fact(SocketOpened("AF_ALG", "SOCK_SEQPACKET"), "EAFNOSUPPORT"),
        *(
            Fact(SocketAddress(operation, "AF_INET", "SOCK_STREAM", address, 80))
            for operation in ("bind", "connect", "accept")
            for address in ("127.0.0.1", "192.0.2.1", "0.0.0.0")
        ),
        Fact(SocketAddress("connect", "AF_INET", "SOCK_STREAM", "127.0.0.1", 25), "ECONNREFUSED"),
        Fact(SocketAddress("connect", "AF_UNIX", "SOCK_STREAM", "@abstract")),
        *(capability(name, "something") for name in ("CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_KILL")),
        Fact(CapabilityUsed("CAP_DAC_READ_SEARCH", "read"), "EACCES"),
        Fact(CapabilityUsed("CAP_SYS_TIME", "adjtimex")),
        *(
            Fact(MemoryMapped(how))
            for how in ("mmap-write-execute", "mprotect-execute", "mprotect-keep-execute", "shmat-execute")
        ),
        Fact(NamespaceUsed("unshare", ("net", "user"))),
        Fact(NamespaceUsed("clone3", ("pid",))),
        Fact(NamespaceUsed("clone3")),
        Fact(NamespaceUsed("setns")),
        Fact(NamespaceUsed("unshare", ("mnt",)), "EPERM"),
        Fact(PersonalityChanged(0)),
        Fact(PersonalityChanged(0xFFFFFFFF)),
        Fact(SchedulingSet("sched_setscheduler", "SCHED_FIFO")),
        Fact(SchedulingSet("sched_setscheduler", "SCHED_OTHER")),
        Fact(SchedulingSet("sched_setattr", "SCHED_RR"), user=33),
        Fact(SpecialModeSet("chmod", 0o2755)),
        Fact(DeviceNodeMade("/dev/mine", FileKind.CHARACTER, "10:200")),
        Fact(PrivilegeGained("/usr/bin/sudo", "set-uid")),
        Fact(PrivilegeGained("/usr/bin/ping", "file-capabilities", ("CAP_NET_RAW",))),
        Fact(Mounted("mount", "/mnt/a")),
        Fact(Mounted("mount", "/mnt/b", True)),
        Fact(ClockUsed("clock_settime", "CLOCK_REALTIME")),
        Fact(IpcUsed("shm", "0x1", True)),
        Fact(IpcUsed("sem", "0x2")),
        Fact(KeyringUsed("keyctl", "KEYCTL_READ")),
        Fact(SignalSent("own")),
        Fact(SignalSent("other", True)),
        use("/etc/hosts", Access.READ),
        use("/etc/shadow", Access.WRITE),
        use("/home/a/b", Access.READ),
        use("/home/a/b", Access.READ, outcome="ENOENT"),
        use("/root/.netrc", Access.LOOKUP, outcome="ENOENT", user=33),
        use("/usr/share/a.pyc", Access.CREATE),
        use("/var/lib/a/b", Access.CREATE),
        use("/var/lib/a/b", Access.DELETE, outcome="ENOENT"),
        use("/run/a/s", Access.BIND, FileKind.SOCKET),
        use("/tmp/x", Access.CREATE),
        use("/tmp/.X11-unix/X0", Access.CONNECT, FileKind.SOCKET),
        use("/proc/sys/kernel/hostname", Access.WRITE),
        use("/proc/meminfo", Access.READ),
        use("/proc/other/stat", Access.READ),
        use("/sys/class/net/eth0", Access.LOOKUP, FileKind.DIRECTORY),
        use("/sys/fs/cgroup/a", Access.CREATE, FileKind.DIRECTORY),
        use("/dev/fuse", Access.READ_WRITE, FileKind.CHARACTER),
        use("/dev/kmsg", Access.READ, FileKind.CHARACTER),
        Fact(PathPair("rename", "/var/lib/a/b", "/var/lib/c/d")),
        Fact(PathPair("link", "/var/lib/a/b", "/etc/e")),
    ]
    elsewhere = [
        Fact(SystemCall("mount"), exec_line="+ExecStartPre"),
        Fact(CapabilityUsed("CAP_SYS_ADMIN", "mount"), exec_line="+ExecStartPre"),
        Fact(SystemCall("poll"), UNKNOWN, Phase.STOP, "ExecStop"),
    ]
    return [*some, *elsewhere]


UNITS = (
    UnitSettings("a.service"),
    UnitSettings("a.service", type="notify", user="a", assignments=(("User", "a"),)),
    UnitSettings(
        "a.service",
        assignments=(
            ("SystemCallFilter", "@system-service @mount"),
            ("SystemCallFilter", "~@resources uname:EILSEQ"),
            ("CapabilityBoundingSet", "~CAP_SYS_ADMIN"),
            ("RestrictAddressFamilies", "~AF_PACKET"),
            ("RestrictNamespaces", "~user"),
            ("ProtectSystem", "full"),
        ),
    ),
    UnitSettings(
        "a.service",
        user="a",
        assignments=(
            ("User", "a"),
            ("SystemCallFilter", "~@obsolete @raw-io chown:ENOSYS"),
            ("SystemCallErrorNumber", "EACCES"),
            ("AmbientCapabilities", "CAP_NET_BIND_SERVICE CAP_SYS_TIME"),
            ("PrivateNetwork", "yes"),
            ("ProtectHome", "read-only"),
        ),
    ),
)
"""Units that say more and more about themselves."""
