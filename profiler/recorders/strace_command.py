"""The strace command line, and whether it can work on a machine."""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from profiler.errors import PermissionRefused, ToolError
from profiler.machine import Machine
from profiler.recorders.base import Availability

OLDEST = (5, 19)
"""The first strace that marks deleted files outside the brackets, where no file name can look like the mark (its NEWS
file). Debian 12 has 6.1."""

# Calls of which the name and the result say everything: their arguments are numbers, addresses and the contents of
# buffers. Printed raw, strace neither reads the buffers nor asks the kernel what the descriptors are, so that contents
# never reach the trace and it costs less. Paths, socket addresses and flags stay decoded. "?" in front of a name lets a
# strace pass that does not know it.
_RAW = (
    *("read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2"),
    *("getrandom", "futex", "futex_waitv", "nanosleep", "clock_nanosleep", "gettimeofday", "clock_gettime", "times"),
    *("poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2", "getrusage", "sysinfo"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "brk", "munmap", "madvise", "sched_yield"),
)

# Calls that fill a structure nobody asks for: what it says of a file is looked up where it is needed.
_NOT_FOLLOWED = (
    *("stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "stat64", "lstat64", "fstat64"),
    *("fstatat64", "statfs64", "fstatfs64", "uname", "rt_sigtimedwait", "wait4", "waitid", "getitimer", "setitimer"),
)

_ARCHITECTURES = {
    "x86_64": "x86-64",
    "aarch64": "arm64",
    "s390x": "s390x",
    "ppc64le": "ppc64-le",
    "riscv64": "riscv64",
    "armv7l": "arm",
    "i686": "x86",
}
_CAP_SYS_PTRACE = 19  # linux/capability.h
_SUDO = "run it with sudo; in a container, start the container with --cap-add SYS_PTRACE"


def arguments(output: str) -> list[str]:
    """Return the strace command up to what it traces; it writes to the path ``output`` (strace(1))."""
    return [
        *("strace", "-f"),  # every process that a traced one creates, from its first instruction
        "-y",  # what each descriptor refers to
        "-xx",  # all strings and decorations in hexadecimal: no name can forge or damage a line
        "-ttt",  # seconds since the epoch, with microseconds
        *("-s", "32"),  # data is of no interest, xattr and file system names fit; paths are never cut by this
        *("-a", "1"),  # no padding in front of results
        # No chatter about attaching, but "runs in 32 bit mode", "exited" and "superseded by execve" are needed; plain
        # -q would drop the first. Newer versions may add kinds to "all", so the one kind is named.
        *("-e", "quiet=attach"),
        # Without a signal, strace also keeps quiet about processes that it killed. These two kill nobody and are
        # frequent: children ending, and the scheduler of Go programs.
        *("-e", "signal=!SIGCHLD,SIGURG"),
        *("-e", "raw=" + ",".join(f"?{name}" for name in _RAW)),
        *("-e", "verbose=!" + ",".join(f"?{name}" for name in _NOT_FOLLOWED)),
        *("-o", output),
    ]


def native_architecture() -> str:
    """Return this machine's architecture as systemd spells it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def tracers(machine: Machine, pid: int) -> list[int]:
    """Return the tracer of each thread of a process (0: none) by the machine's own ids; empty if it is gone.

    Raises PermissionError if it may not be looked at.
    """
    found = []
    for thread in _threads(machine, pid):
        with contextlib.suppress(OSError):  # the thread has just ended
            status = (thread / "status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("TracerPid:"))
            found.append(int(line.split()[1]))
    return found


def _threads(machine: Machine, pid: int) -> list[Path]:
    # Not by a pattern: from Python 3.13 on, glob() of pathlib takes what it may not read for empty.
    try:
        return list(machine.path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []


def refuse_traced(machine: Machine, pids: Sequence[int]) -> None:
    """Raise ToolError for a process that is gone or that somebody traces: a process has one tracer (ptrace(2))."""
    for pid in pids:
        try:
            found = tracers(machine, pid)
        except PermissionError:
            raise PermissionRefused(
                f"may not look at process {pid} of {machine.name}: permission denied", hint=_SUDO
            ) from None
        if not found:
            raise ToolError(f"cannot trace process {pid} of {machine.name}: no such process")
        if any(found):
            raise ToolError(
                f"cannot trace process {pid} of {machine.name}: process {max(found)} traces it already",
                hint="end that debugger or tracer first",
            )


def availability(machine: Machine, pids: Sequence[int] = (1,)) -> Availability:
    """Return whether strace can trace these processes of the machine (none: only commands that it starts itself)."""
    for check in (_installed, _yama, _capable if pids else _nothing, _traces):
        answer = check(machine)
        if not answer.available:
            return answer
    return Availability(True)


def _nothing(_: Machine) -> Availability:
    return Availability(True)


def _installed(machine: Machine) -> Availability:
    try:
        printed = machine.run(["strace", "-V"], check=False).stdout
    except ToolError:
        printed = ""
    match = re.search(r"version (\d+)\.(\d+)", printed)
    if match is None:
        return Availability(False, "strace is not installed", "run: apt-get install strace")
    version = (int(match[1]), int(match[2]))
    if version < OLDEST:
        found, needed = (".".join(map(str, numbers)) for numbers in (version, OLDEST))
        return Availability(False, f"strace {found} is too old", f"install strace {needed} or newer")
    return Availability(True)


def _yama(machine: Machine) -> Availability:
    # Documentation/admin-guide/LSM/Yama.rst: 3 refuses all tracing, for root as well, and cannot be lowered.
    try:
        scope = machine.path("/proc/sys/kernel/yama/ptrace_scope").read_text()
    except OSError:  # a kernel without Yama
        return Availability(True)
    if scope.strip() == "3":
        return Availability(
            False,
            "kernel.yama.ptrace_scope is 3: nothing may be traced until the next boot",
            "remove the setting from /etc/sysctl.conf and /etc/sysctl.d, then reboot",
        )
    return Availability(True)


def may_trace_others() -> bool:
    """Whether we have CAP_SYS_PTRACE: without it only our own processes can be traced, and no set-uid program."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return match is not None and bool(int(match[1], 16) >> _CAP_SYS_PTRACE & 1)


def _capable(_: Machine) -> Availability:
    if may_trace_others():
        return Availability(True)
    return Availability(False, "this process lacks CAP_SYS_PTRACE, so it cannot trace the processes of others", _SUDO)


def _traces(machine: Machine) -> Availability:
    # The proof: a seccomp filter or a security module can refuse what all the above allows.
    probe = ["strace", "-qq", "-e", "trace=none", "-o", "/dev/null", "--", "true"]
    try:
        completed = machine.run(probe, check=False, timeout=20)
    except ToolError as error:
        return Availability(False, error.message, error.hint)
    if completed.status == 0:
        return Availability(True)
    said = completed.stderr.strip().splitlines()[-1:] or [f"exit status {completed.status}"]
    return Availability(
        False,
        f"strace cannot trace here: {said[0].removeprefix('strace: ')}",
        "in a container, start the container with --cap-add SYS_PTRACE and a seccomp profile that allows ptrace",
    )
