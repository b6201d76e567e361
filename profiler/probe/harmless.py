"""Arguments with which a system call does nothing: bad descriptors, pointers and flags.

A filter answers before the kernel looks at any of them, so the errno shows whether the call is reachable.
"""

from __future__ import annotations

from collections.abc import Mapping

BAD = -1

NOT_MADE: Mapping[str, str] = {
    "pause": "it waits for ever",
    "sync": "it would write out the disks of this machine",
    "uretprobe": "only the kernel makes it",
    "uprobe": "only the kernel makes it",
}
"""Calls that are not made, and why."""

ARGUMENTS: Mapping[str, tuple[int, ...]] = {
    # Arguments that no filter on arguments refuses, and that do not answer ENOSYS or EPERM.
    "chmod": (1, 0),
    "fchmod": (BAD, 0),
    "fchmodat": (BAD, 1, 0),
    "fchmodat2": (BAD, 1, 0, 0),
    "mkdir": (1, 0),
    "mkdirat": (BAD, 1, 0),
    "mknod": (1, 0, 0),
    "mknodat": (BAD, 1, 0, 0),
    "open": (1, 0, 0),
    "openat": (BAD, 1, 0, 0),
    "creat": (1, 0),
    "mmap": (0, 0, 1, 0x22, BAD, 0),
    "mprotect": (1, 1, 1),
    "pkey_mprotect": (1, 1, 1, BAD),
    "shmat": (BAD, 0, 0),
    "personality": (0,),
    "sched_setscheduler": (BAD, 0, 1),
    "sched_setattr": (BAD, 1, 0),
    "unshare": (1,),
    "clone": (0x800,),
    "clone3": (1, 1),
    "setns": (BAD, 1),
    "socket": (BAD, 0, 0),
    "futex": (1, 0, 0, 0, 0, 0),
    "kill": (1 << 30, 0),
    "tkill": (1 << 30, 0),
    "tgkill": (1 << 30, 1 << 30, 0),
    "prctl": (BAD, 0, 0, 0, 0),
    "keyctl": (0, BAD, 0),
    "umask": (0o22,),
    "alarm": (0,),
    "munlockall": (),
    "mlockall": (0,),
    "brk": (0,),
    "reboot": (1, 2, 3, 0),
    "syslog": (99, 0, 0),
    "iopl": (99,),
    "adjtimex": (1,),
    "settimeofday": (1, 0),
    "clock_settime": (0, 1),
    "clock_adjtime": (0, 1),
    "sethostname": (1, 1),
    "setdomainname": (1, 1),
    "swapon": (1, 0),
    "swapoff": (1,),
    "acct": (1,),
    "ptrace": (BAD, BAD, 0, 0),
    "close_range": (3, 2, 0),
    "set_tid_address": (0,),
    "setfsuid": (BAD,),
    "setfsgid": (BAD,),
    "bpf": (0, 1, 8),
    "msgget": (BAD, 0),
    "execve": (1, 1, 1),
    "sched_yield": (),
    "read": (BAD, 1, 1),
    "write": (BAD, 1, 1),
    "wait4": (BAD, 1, 99, 1),
    "setpriority": (99, 0, 0),
    "mount": (1, 1, 1, 0, 0),
    "rt_sigsuspend": (1, 99),
    "exit": (0,),
    "exit_group": (0,),
}

TWICE = frozenset({"fork", "vfork"})
"""Calls that come back in a child as well."""

APART = frozenset(
    (
        *("fork", "exit", "exit_group", "rt_sigreturn", "setsid", "setpgid"),
        *("vhangup", "set_tid_address", "close_range", "umask", "brk", "alarm"),
    )
)
"""Calls that change the process that makes them."""
