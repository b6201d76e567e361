"""The vocabulary: what a service can do that some directive can deny.

A *behaviour* is a frozen value such as "opened this path for reading"; a *fact* is a behaviour with its outcome and
its provenance. A behaviour type exists only because some directive can deny it. Nothing here depends on order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

OK = "ok"
"""The outcome of a call that succeeded; a call that failed carries the name of its errno instead."""

UNKNOWN = "unknown"
"""The outcome of a call whose result nobody saw: the process died inside it, or never came back from it."""


class Phase(StrEnum):
    """The part of a service's life in which a fact was seen."""

    START_UP = "start-up"
    SERVING = "serving"
    RELOAD = "reload"
    STOP = "stop"


class Known(StrEnum):
    """How a fact is known: seen to happen, or concluded from something that was seen."""

    OBSERVED = "observed"
    INFERRED = "inferred"


class Access(StrEnum):
    """What was really done to a path. Each is judged by a different rule of the kernel's file system code."""

    LOOKUP = "lookup"  # stat, readlink, access(F_OK or R_OK), statfs, getxattr, chdir, inotify: the name must resolve
    READ = "read"  # open for reading, directory listing included
    WRITE = "write"  # open for writing of something that exists already
    READ_WRITE = "read-write"  # O_RDWR
    CREATE = "create"  # a new name: O_CREAT that created, mkdir, mknod, symlink, the new name of link and rename
    DELETE = "delete"  # unlink, rmdir, the old name of rename
    METADATA = "metadata"  # chmod, chown, utime, setxattr, removexattr, FS_IOC_SETFLAGS
    TRUNCATE = "truncate"  # truncate by path
    WRITE_PROBE = "write-probe"  # access(W_OK): no write, but the answer changes on a read-only mount
    EXECUTE = "execute"  # execve of the file, its #! interpreter or its ELF interpreter
    MAP_EXECUTE = "map-execute"  # mmap(PROT_EXEC) of the file: shared objects and plug-ins
    CONNECT = "connect"  # connect() or sendto() to a Unix socket by path
    BIND = "bind"  # bind() of a Unix socket by path: creates the name


WRITING = frozenset(
    {
        Access.WRITE,
        Access.READ_WRITE,
        Access.CREATE,
        Access.DELETE,
        Access.METADATA,
        Access.TRUNCATE,
        Access.WRITE_PROBE,
        Access.BIND,
    }
)
"""Accesses that a read-only mount refuses with EROFS (for WRITE and READ_WRITE: only of regular files and
directories; FIFOs, sockets and devices can be opened for writing on a read-only mount)."""


class FileKind(StrEnum):
    """The type of the object at a path, as st_mode gives it; ``unknown`` when it was gone before anybody could look."""

    REGULAR = "regular"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    CHARACTER = "character"
    BLOCK = "block"
    FIFO = "fifo"
    SOCKET = "socket"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class PathUse:
    """A path was used. The path is absolute, in the service's own view, with symlinks resolved as the kernel did.

    Paths are text decoded with ``os.fsdecode`` (UTF-8, surrogateescape), so bytes that are not UTF-8 survive.
    ``created_by_service`` says that the service itself had created the object (or an ancestor of it) earlier in the
    same recording. ``/proc/PID`` of the calling process or its threads is written ``/proc/self``; that of another
    process of the same service ``/proc/own``; that of any other process ``/proc/other``. ``appeared`` marks a name that
    was not there when the recording began and that somebody else made since, below or at which the service wrote; it is
    on a LOOKUP of its own.
    """

    path: str
    access: Access
    kind: FileKind = FileKind.UNKNOWN
    created_by_service: bool = False
    device: str = ""  # for character and block devices "major:minor", as in /proc/devices numbers; else empty
    through: str = ""  # the path as the service spelled it, absolute, when it went through symlinks; else empty
    appeared: bool = False


@dataclass(frozen=True)
class PathPair:
    """Two names were joined by one call: ``rename``, ``exchange`` or ``link``. Across two mounts this is EXDEV."""

    operation: str
    source: str
    target: str
    replaced: bool = False  # the target existed before


@dataclass(frozen=True)
class SocketOpened:
    """socket(family, type, protocol): ``AF_INET``, ``SOCK_STREAM`` without flags, protocol number."""

    family: str
    type: str
    protocol: int = 0


@dataclass(frozen=True)
class SocketAddress:
    """A socket met an address: ``bind``, ``connect``, ``send``, ``accept`` or ``receive``. Port 0 where there is none.

    For AF_UNIX the path form is a PathUse; an abstract address is here with ``@`` in front of its name.
    """

    operation: str
    family: str
    type: str
    address: str
    port: int = 0


@dataclass(frozen=True)
class SystemCall:
    """A system call was made. Architecture as systemd spells it: ``x86-64``, ``x86``, ``x32``, ``arm64``, ..."""

    name: str
    architecture: str = "x86-64"


@dataclass(frozen=True)
class CapabilityUsed:
    """A capability decided the success of a call, for instance ``CAP_NET_BIND_SERVICE`` at bind()."""

    capability: str
    reason: str  # the call and why, in words: "bind to port 80"


@dataclass(frozen=True)
class MemoryMapped:
    """Memory became executable in a way that MemoryDenyWriteExecute= can refuse.

    ``how``: ``mmap-write-execute``, ``mprotect-execute`` (of a mapping that was not executable before),
    ``mprotect-keep-execute`` (of one that was) or ``shmat-execute``.
    """

    how: str


@dataclass(frozen=True)
class NamespaceUsed:
    """A namespace was created or entered: ``call`` is clone, clone3, unshare or setns; ``kinds`` as RestrictNamespaces=
    names them, sorted (``cgroup ipc mnt net pid time user uts``); empty for setns(fd, 0) and for a plain clone3."""

    call: str
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class PersonalityChanged:
    """personality(2) with this argument; 0xffffffff is the query, which LockPersonality= refuses as well."""

    value: int


@dataclass(frozen=True)
class SchedulingSet:
    """A scheduling policy was asked for: ``call`` sched_setscheduler or sched_setattr, ``policy`` like SCHED_FIFO."""

    call: str
    policy: str
    reset_on_fork: bool = False


@dataclass(frozen=True)
class SpecialModeSet:
    """A call asked for a set-uid or set-gid bit: ``call`` and the full mode (octal in the profile)."""

    call: str
    mode: int


@dataclass(frozen=True)
class DeviceNodeMade:
    """mknod of a device node: ``kind`` character or block, ``device`` "major:minor"."""

    path: str
    kind: FileKind
    device: str


@dataclass(frozen=True)
class PrivilegeGained:
    """execve of a set-uid, set-gid or file-capability program gave the process something it did not have.

    ``how`` is ``set-uid``, ``set-gid`` or ``file-capabilities``; ``capabilities`` those of the file, sorted.
    """

    path: str
    how: str
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mounted:
    """The mount table was changed: ``call`` (mount, umount2, move_mount, pivot_root, mount_setattr) on ``target``.

    ``in_own_namespace`` says that the process had left the service's mount namespace before.
    """

    call: str
    target: str
    in_own_namespace: bool = False


@dataclass(frozen=True)
class ClockUsed:
    """A clock was set, tuned or armed to wake the machine: ``call`` and its ``clock`` (CLOCK_REALTIME_ALARM, ...)."""

    call: str
    clock: str = ""


@dataclass(frozen=True)
class IpcUsed:
    """SysV or POSIX IPC: ``kind`` shm, sem, msg or mqueue; ``shared`` when the object existed before this service."""

    kind: str
    name: str
    shared: bool = False


@dataclass(frozen=True)
class KeyringUsed:
    """keyctl, add_key or request_key with this operation."""

    call: str
    operation: str = ""


@dataclass(frozen=True)
class SignalSent:
    """A signal went to a process: ``target`` is own (same service), other or process-group."""

    target: str
    other_user: bool = False


@dataclass(frozen=True)
class FileDescriptorUsed:
    """An operation on an open descriptor that a directive can refuse: ``operation`` such as ``ioctl:TIOCSTI``."""

    operation: str


Behaviour = (
    PathUse
    | PathPair
    | SocketOpened
    | SocketAddress
    | SystemCall
    | CapabilityUsed
    | MemoryMapped
    | NamespaceUsed
    | PersonalityChanged
    | SchedulingSet
    | SpecialModeSet
    | DeviceNodeMade
    | PrivilegeGained
    | Mounted
    | ClockUsed
    | IpcUsed
    | KeyringUsed
    | SignalSent
    | FileDescriptorUsed
)

BEHAVIOURS: tuple[type[Behaviour], ...] = Behaviour.__args__
"""Every behaviour type, in the order in which a profile lists them."""


@dataclass(frozen=True)
class Fact:
    """One distinct thing that a service did.

    Two facts that differ only in their evidence are the same fact; merging keeps the evidence that sorts first.
    """

    behaviour: Behaviour
    outcome: str = OK
    phase: Phase = Phase.SERVING
    exec_line: str = "ExecStart"  # or ExecStartPre, ...; "+" or "!" in front if the line has it; "command"
    user: int = 0  # the effective uid at the time
    known: Known = Known.OBSERVED
    evidence: str = field(default="", compare=False)  # one line: program and call, never buffers or arguments

    @property
    def succeeded(self) -> bool:
        """Whether the call succeeded."""
        return self.outcome == OK
