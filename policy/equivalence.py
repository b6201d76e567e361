"""Which system calls stand for each other: a newer libc, kernel or machine may pick another one for the same work.

If one member of a class was recorded, all of it is allowed. Exact lists rot without this: clone3 came with glibc 2.34,
faccessat2 with 2.33, fchmodat2 with 2.39, and 32-bit machines use the names that end in 64 or 32.
"""

from __future__ import annotations

from collections.abc import Mapping

from policy.host_facts import HostFacts


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CLASSES = """
open openat openat2 creat
stat lstat fstat newfstatat fstatat64 stat64 lstat64 fstat64 statx oldstat oldlstat oldfstat
access faccessat faccessat2
readlink readlinkat
getdents getdents64
lseek _llseek
unlink rmdir unlinkat
rename renameat renameat2
link linkat
symlink symlinkat
mkdir mkdirat
mknod mknodat
chmod fchmod fchmodat fchmodat2
chown lchown fchown fchownat chown32 lchown32 fchown32
utime utimes futimesat utimensat utimensat_time64
truncate ftruncate truncate64 ftruncate64
statfs fstatfs statfs64 fstatfs64
getxattr lgetxattr fgetxattr getxattrat
setxattr lsetxattr fsetxattr setxattrat
listxattr llistxattr flistxattr listxattrat
removexattr lremovexattr fremovexattr removexattrat
read readv pread64 preadv preadv2
write writev pwrite64 pwritev pwritev2
sendfile sendfile64 copy_file_range splice read write
dup dup2 dup3 fcntl fcntl64
pipe pipe2
close close_range
eventfd eventfd2
signalfd signalfd4
inotify_init inotify_init1
epoll_create epoll_create1
timerfd_settime timerfd_settime64
timerfd_gettime timerfd_gettime64
epoll_wait epoll_pwait epoll_pwait2 epoll_ctl
poll ppoll ppoll_time64
select _newselect pselect6 pselect6_time64
accept accept4
send sendto sendmsg sendmmsg
recv recvfrom recvmsg recvmmsg recvmmsg_time64
fork vfork clone clone3 set_tid_address set_robust_list rseq
execve execveat
wait4 waitid waitpid
exit exit_group
kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_open
rt_sigaction sigaction signal
rt_sigprocmask sigprocmask
rt_sigpending sigpending
rt_sigsuspend sigsuspend
rt_sigreturn sigreturn
rt_sigtimedwait rt_sigtimedwait_time64
mmap mmap2 munmap mremap madvise mprotect brk
mlock mlock2
mlockall munlockall munlock
getrlimit ugetrlimit setrlimit prlimit64
nice setpriority
sched_setscheduler sched_setparam sched_setattr
sched_getscheduler sched_getparam sched_getattr
sched_rr_get_interval sched_rr_get_interval_time64
ioprio_get ioprio_set
setuid setreuid setresuid setfsuid setuid32 setreuid32 setresuid32 setfsuid32
setgid setregid setresgid setfsgid setgid32 setregid32 setresgid32 setfsgid32
setgroups setgroups32
getuid getuid32 geteuid geteuid32 getresuid getresuid32
getgid getgid32 getegid getegid32 getresgid getresgid32
getgroups getgroups32
capget capset
gettimeofday time clock_gettime clock_gettime64
clock_getres clock_getres_time64
nanosleep clock_nanosleep clock_nanosleep_time64
alarm setitimer getitimer
timer_settime timer_settime64
timer_gettime timer_gettime64
futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue
fsync fdatasync
sync_file_range sync_file_range2
fadvise64 fadvise64_64 arm_fadvise64_64 readahead
shmget shmat shmdt shmctl
semget semop semtimedop semtimedop_time64 semctl
msgget msgsnd msgrcv msgctl
mq_timedsend mq_timedsend_time64
mq_timedreceive mq_timedreceive_time64
io_setup io_submit io_getevents io_pgetevents io_pgetevents_time64 io_cancel io_destroy
io_uring_setup io_uring_enter io_uring_register
mount umount umount2 fsopen fsconfig fsmount fspick move_mount open_tree open_tree_attr mount_setattr
uname olduname oldolduname
"""

CLASSES: tuple[frozenset[str], ...] = tuple(_names(line) for line in _CLASSES.splitlines() if line)

MULTIPLEXED: Mapping[str, frozenset[str]] = {
    "socketcall": _names(
        "socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom "
        "shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg"
    ),
    "ipc": _names("shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl"),
}
"""Calls of 32-bit machines that lead to many others: allowed with any of them."""

WEIGHTY_GROUPS = (
    "@clock",
    "@cpu-emulation",
    "@debug",
    "@module",
    "@mount",
    "@obsolete",
    "@privileged",
    "@raw-io",
    "@reboot",
    "@resources",
    "@swap",
)
"""Groups that a closure does not reach into unless the recorded call itself is in them: each is worth keeping out."""

BASELINE = _names(
    """
    rt_sigaction rt_sigprocmask sigaltstack tgkill kill gettid getpid
    read write readv writev pread64 close lseek fstat newfstatat statx openat open access faccessat faccessat2 readlink
    readlinkat getcwd getdents64 fcntl ioctl dup dup2 dup3
    poll ppoll futex
    mmap munmap mremap madvise mprotect brk
    set_robust_list rseq exit exit_group pipe2 close_range prctl prlimit64
    uname sysinfo getrusage umask getrandom
    sendto
    """
)
"""What error, abort and lazy paths of libc need although recordings rarely show it; ``write`` and ``sendto`` are also
what systemd's own child uses between the filter and execve."""

PROCESS_BASELINE = frozenset({"clone", "clone3", "vfork", "wait4", "waitid"})
"""What is added once any process was made."""

SOCKET_BASELINE = _names("socket connect sendto sendmsg recvfrom recvmsg setsockopt getsockopt getsockname")
"""What is added once any socket was made: syslog and abort messages."""

ARCHITECTURES_OF_64_BITS = frozenset(
    {"x86-64", "arm64", "riscv64", "s390x", "ppc64", "ppc64-le", "loongarch64", "mips64", "mips64-le"}
)
"""Where no call has a name that ends in ``32`` or ``_time64``."""

ENOSYS_NEWCOMERS = (
    "clone3",
    "openat2",
    "faccessat2",
    "statx",
    "close_range",
    "epoll_pwait2",
    "fchmodat2",
    "futex_waitv",
    "pidfd_open",
    "pidfd_send_signal",
    "copy_file_range",
    "io_uring_setup",
    "mseal",
    "map_shadow_stack",
    "rseq",
    "landlock_create_ruleset",
)
"""Calls that programs try and replace by older ones when the kernel says ENOSYS, but not when it says EPERM."""


def closure(recorded: frozenset[str], host: HostFacts) -> frozenset[str]:
    """Return the recorded calls with all members of their classes that the target knows."""
    weighty = [host.syscall_sets.get(group, frozenset()) for group in WEIGHTY_GROUPS]
    closed = set(recorded)
    for group in CLASSES:
        members = group & recorded
        if members:
            entered = [calls for calls in weighty if members & calls]
            closed |= {name for name in group if all(calls in entered for calls in weighty if name in calls)}
    closed |= {name for name, leads_to in MULTIPLEXED.items() if leads_to & recorded}
    return (frozenset(closed) & host.known_calls) | recorded


def needed_calls(recorded: frozenset[str], host: HostFacts, *, native_only: bool = True) -> frozenset[str]:
    """Return what an allow-list has to hold for these recorded calls: their closure and the baseline, as far as the
    target can read the names. What it cannot read is missing, and no allow-list of it can help.

    ``native_only`` says that no other architecture was seen: a 64-bit target then needs no names of 32-bit ones.
    """
    calls = recorded | BASELINE
    if recorded & (PROCESS_BASELINE | {"fork"}):
        calls |= PROCESS_BASELINE
    if "socket" in recorded:
        calls |= SOCKET_BASELINE
    needed = closure(calls, host) & host.known_calls
    if not native_only or host.architecture not in ARCHITECTURES_OF_64_BITS:
        return needed
    return frozenset(name for name in needed if name in recorded or not name.endswith(("32", "_time64")))
