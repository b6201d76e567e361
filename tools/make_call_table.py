#!/usr/bin/env python3
"""Writes docs/system-calls.md: what becomes of every system call of x86-64. Run it after adding a handler."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from profiler.normalise.handlers import HANDLERS  # noqa: E402
from profiler.normalise.recording import NEEDED_CALLS  # noqa: E402
from profiler.recorders.ebpf.descriptors import numbers  # noqa: E402

DESTINATION = ROOT / "docs" / "system-calls.md"
HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")

NO_MEANING = {
    "reads, writes or waits on descriptors: what may be done with them was decided when they were opened": """
        read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 sendfile splice tee vmsplice
        copy_file_range close close_range lseek fstat fstatfs getdents getdents64 flistxattr ftruncate
        fallocate flock fsync fdatasync sync sync_file_range syncfs readahead fadvise64 cachestat poll ppoll select
        pselect6 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
        inotify_rm_watch signalfd signalfd4 pipe pipe2 io_setup
        io_destroy io_getevents io_pgetevents io_submit io_cancel timerfd_settime timerfd_gettime mq_timedsend
        mq_timedreceive mq_notify mq_getsetattr shutdown getsockname getpeername""",
    "the memory of the process itself, never made executable by it": """
        brk munmap mremap msync mincore madvise munlock munlockall remap_file_pages shmdt
        pkey_alloc pkey_free set_mempolicy get_mempolicy set_mempolicy_home_node map_shadow_stack mseal membarrier
        process_mrelease""",
    "signals, timers and waiting of the process itself": """
        rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause nanosleep
        clock_nanosleep getitimer setitimer alarm wait4 waitid exit exit_group futex futex_wait futex_wake futex_waitv
        futex_requeue set_robust_list rseq restart_syscall sched_yield timer_settime timer_gettime timer_getoverrun
        timer_delete """,
    "asks, and changes nothing": """
        getpid gettid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getresuid getresgid getgroups capget
        getcwd getrusage times time gettimeofday clock_gettime clock_getres sysinfo uname ustat sysfs getcpu getrandom
        getpriority ioprio_get sched_getparam sched_getscheduler sched_getaffinity sched_getattr
        sched_get_priority_max sched_get_priority_min sched_rr_get_interval get_thread_area statmount listmount
        lsm_get_self_attr lsm_list_modules""",
    "threads, sessions and registers of the process itself": """
        setsid setpgid set_tid_address set_thread_area modify_ldt arch_prctl""",
    "makes the process's own rights smaller": """
        landlock_create_ruleset landlock_add_rule lsm_set_self_attr""",
    "an io_uring: what happens inside is no call; its use keeps every directive open that could deny it": """
        io_uring_enter io_uring_register""",
    "not in the kernel any more: always ENOSYS": """
        _sysctl get_kernel_syms query_module getpmsg putpmsg afs_syscall tuxcall security vserver""",
}
"""Calls of which only the name counts (SystemCallFilter= judges every call by its name), by the reason for it."""

INTRODUCTION = """\
# What becomes of each system call

Written by `tools/make_call_table.py`; a test holds it complete against the kernel's list of x86-64.

Every call of a service becomes a fact with its name, its architecture and its outcome: `SystemCallFilter=` and
`SystemCallArchitectures=` are decided by those. Beyond that a call is

- *handled*: its arguments are understood, because a directive can deny it by them or by a capability that it needs;
- *no policy meaning*: no directive looks at more than its name, for the reason given below;
- *not yet*: its arguments could matter and are not understood.
"""


def kernel_calls() -> dict[str, int]:
    """Return the numbers of all calls by name: those of this machine's headers, and the newer ones that we know."""
    known = {name: number for number, name in numbers()["x86-64"].items()}
    text = HEADER.read_text(encoding="ascii") if HEADER.exists() else ""
    return known | {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}


def reasons() -> dict[str, str]:
    """Return the reason for each call without a meaning. Raises ValueError for one with two."""
    found: dict[str, str] = {}
    for reason, names in NO_MEANING.items():
        for name in names.split():
            if name in found or name in NEEDED_CALLS:
                raise ValueError(f"{name} is explained twice")
            found[name] = reason
    return found


def not_yet() -> list[str]:
    """Return the calls that nobody looks at although they could matter."""
    return sorted(set(kernel_calls()) - NEEDED_CALLS - set(reasons()))


def render() -> str:
    """Return the page."""
    explained = reasons()
    groups = list(NO_MEANING)
    lines = [INTRODUCTION, "Reasons why only the name of a call matters:", ""]
    lines += [f"{groups.index(reason) + 1}. {reason}" for reason in groups]
    calls = kernel_calls()
    left = not_yet()
    handled = [name for name in calls if name in NEEDED_CALLS]
    lines += ["", f"{len(calls)} calls: {len(handled)} handled, {len(calls) - len(handled) - len(left)} without a"]
    lines += [f"meaning beyond their name, {len(left)} not yet.", "", "| number | call | |", "|--:|---|---|"]
    for name, number in sorted(calls.items(), key=lambda item: item[1]):
        if name in explained:
            state = f"no policy meaning ({groups.index(explained[name]) + 1})"
        elif name in NEEDED_CALLS:
            state = f"handled: `{_module(name)}`"
        else:
            state = "**not yet**"
        lines.append(f"| {number} | `{name}` | {state} |")
    return "\n".join(lines) + "\n"


def _module(name: str) -> str:
    handler = HANDLERS.get(name)
    return (handler.__module__ if handler is not None else "profiler.normalise.tracking").rpartition(".")[2]


if __name__ == "__main__":
    DESTINATION.write_text(render(), encoding="utf-8")
