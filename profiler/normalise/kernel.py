"""Calls that concern the kernel or the whole machine: clocks, scheduling, personality, keys, signals, devices."""

from __future__ import annotations

from policy.behaviour import (
    Access,
    ClockUsed,
    KeyringUsed,
    PersonalityChanged,
    SchedulingSet,
    SignalSent,
)
from profiler.normalise import arguments
from profiler.normalise.path_uses import needs_access_to, use
from profiler.normalise.process_descriptors import process_of
from profiler.normalise.sighting import Sighting, handles
from profiler.recorders.base import Struct

_PERSONALITIES = {"PER_LINUX": 0, "PER_LINUX32": 8}
_PERSONALITY_FLAGS = {
    "UNAME26": 0x0020000,
    "ADDR_NO_RANDOMIZE": 0x0040000,
    "FDPIC_FUNCPTRS": 0x0080000,
    "MMAP_PAGE_ZERO": 0x0100000,
    "ADDR_COMPAT_LAYOUT": 0x0200000,
    "READ_IMPLIES_EXEC": 0x0400000,
    "ADDR_LIMIT_32BIT": 0x0800000,
    "SHORT_INODE": 0x1000000,
    "WHOLE_SECONDS": 0x2000000,
    "STICKY_TIMEOUTS": 0x4000000,
    "ADDR_LIMIT_3GB": 0x8000000,
}  # linux/personality.h
_TRACING = frozenset({"PTRACE_TRACEME", "PTRACE_ATTACH", "PTRACE_SEIZE"})
_SYSLOG_FREE = frozenset({"SYSLOG_ACTION_READ_ALL", "SYSLOG_ACTION_SIZE_BUFFER"})


@handles("settimeofday", "clock_settime", "clock_settime64", "stime")
def _set_clock(sighting: Sighting) -> None:
    clock = arguments.word(sighting.argument(0)) if "clock" in sighting.call.name else "CLOCK_REALTIME"
    sighting.emit(ClockUsed(sighting.call.name, clock))
    sighting.needs("CAP_SYS_TIME", sighting.call.name)


@handles("adjtimex", "clock_adjtime", "clock_adjtime64")
def _tune_clock(sighting: Sighting) -> None:
    at = 0 if sighting.call.name == "adjtimex" else 1
    sighting.emit(ClockUsed(sighting.call.name, arguments.word(sighting.argument(0)) if at else "CLOCK_REALTIME"))
    modes = arguments.field(sighting.argument(at), "modes")
    if modes not in {0, None} and arguments.word(modes) != "ADJ_OFFSET_SS_READ":
        sighting.needs("CAP_SYS_TIME", f"{sighting.call.name} with modes")


@handles("timer_create", "timerfd_create")
def _timer(sighting: Sighting) -> None:
    clock = arguments.word(sighting.argument(0))
    if clock.endswith("_ALARM"):
        sighting.emit(ClockUsed(sighting.call.name, clock))
        sighting.needs("CAP_WAKE_ALARM", f"{sighting.call.name}({clock})")


@handles("personality")
def _personality(sighting: Sighting) -> None:
    value = sighting.argument(0)
    if not isinstance(value, int):
        names = arguments.flags(value)
        value = sum(_PERSONALITIES.get(name, 0) | _PERSONALITY_FLAGS.get(name, 0) for name in names)
    sighting.emit(PersonalityChanged(value & 0xFFFFFFFF))


@handles("sched_setscheduler", "sched_setattr")
def _scheduling(sighting: Sighting) -> None:
    given = sighting.argument(1)
    attributes = given if isinstance(given, Struct) else None
    names = arguments.flags(arguments.field(attributes, "sched_policy") if attributes else given)
    reset = "SCHED_RESET_ON_FORK" in names
    if attributes is not None:
        reset = reset or "SCHED_FLAG_RESET_ON_FORK" in arguments.flags(attributes.fields.get("sched_flags"))
    policy = next((name for name in sorted(names) if name != "SCHED_RESET_ON_FORK"), "SCHED_OTHER")
    sighting.emit(SchedulingSet(sighting.call.name, policy, reset))
    granted = bool(sighting.process.limits.get("RLIMIT_RTPRIO", 0)) and policy != "SCHED_DEADLINE"
    if policy in {"SCHED_FIFO", "SCHED_RR", "SCHED_DEADLINE"} and not granted:
        sighting.needs("CAP_SYS_NICE", f"{sighting.call.name}({policy})")


@handles("syslog")
def _kernel_log(sighting: Sighting) -> None:
    free = arguments.word(sighting.argument(0)) in _SYSLOG_FREE
    if not free or sighting.ledger.objects.setting("kernel/dmesg_restrict", 1):
        sighting.needs_one(("CAP_SYSLOG", "CAP_SYS_ADMIN"), f"syslog({arguments.word(sighting.argument(0))})")


@handles("keyctl")
def _keyring(sighting: Sighting) -> None:
    sighting.emit(KeyringUsed("keyctl", arguments.word(sighting.argument(0))))


@handles("add_key", "request_key")
def _key_call(sighting: Sighting) -> None:
    sighting.emit(KeyringUsed(sighting.call.name))


@handles("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")
def _signal(sighting: Sighting) -> None:
    through_descriptor = sighting.call.name == "pidfd_send_signal"
    pid = process_of(sighting, 0) if through_descriptor else arguments.number(sighting.argument(0))
    if pid is None:
        _signal_unknown(sighting)
        return
    if pid <= 0:
        _signal_group(sighting, pid)
        return
    caller, processes = sighting.process.credentials.user, sighting.ledger.processes
    target = processes.lately(pid)
    if target is not None and target.studied:
        theirs = (target.credentials.user.real, target.credentials.user.saved)
        own = True
    else:
        status = sighting.ledger.objects.process(pid)
        user = status.credentials.user if status is not None else sighting.ledger.users_before.get(pid)
        if user is None:
            _signal_unknown(sighting)
            return
        theirs = (user.real, user.saved)
        own = False
    # kill_ok_by_cred() of kernel/signal.c: the caller's effective or real uid is the target's saved or real one.
    foreign = not {caller.effective, caller.real} & set(theirs)
    sighting.emit(SignalSent("own" if own else "other", foreign))
    if foreign:
        sighting.needs("CAP_KILL", f"{sighting.call.name} to a process of user {theirs[0]}")


def _signal_unknown(sighting: Sighting) -> None:
    # Nobody knows whose the process is or was: a caller that may signal everybody's may have had to.
    foreign = sighting.succeeded and sighting.process.credentials.holds("CAP_KILL")
    sighting.emit(SignalSent("other", foreign))
    if foreign:
        sighting.needs("CAP_KILL", f"{sighting.call.name} (unknown owner)")
        sighting.ledger.notes.add("unknown owner", sighting.evidence())


def _signal_group(sighting: Sighting, pid: int) -> None:
    # To a group a signal succeeds if one member may be signalled. Only the service's own members are known.
    caller = sighting.process.credentials.user
    members = [process.credentials.user for process in sighting.ledger.processes if process.studied]
    foreign = any(not {caller.effective, caller.real} & {user.real, user.saved} for user in members)
    sighting.emit(SignalSent("process-group", foreign))
    if foreign:
        sighting.needs("CAP_KILL", f"{sighting.call.name} to {'every process' if pid == -1 else 'a process group'}")


@handles("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "get_robust_list")
def _other_process(sighting: Sighting) -> None:
    name = sighting.call.name
    if name == "ptrace":
        request = arguments.word(sighting.argument(0))
        if sighting.traced and sighting.outcome == "EPERM" and request in _TRACING:
            sighting.lose("ptrace refused because the service was traced already (record it with another engine)")
        if request in {"PTRACE_ATTACH", "PTRACE_SEIZE"}:
            needs_access_to(sighting, arguments.number(sighting.argument(1)), request)
    elif name == "pidfd_getfd":
        sighting.needs("CAP_SYS_PTRACE", "pidfd_getfd (unknown owner)")
    elif arguments.number(sighting.argument(0)):
        needs_access_to(sighting, arguments.number(sighting.argument(0)), name)


@handles("acct", "swapon", "swapoff", "quotactl")
def _file_of_the_kernel(sighting: Sighting) -> None:
    name = sighting.call.name
    place = sighting.place(None, 1 if name == "quotactl" else 0)
    use(sighting, place, {"acct": Access.WRITE, "swapon": Access.READ_WRITE}.get(name, Access.LOOKUP))
    if name == "acct":
        sighting.needs("CAP_SYS_PACCT", "acct")
    elif name != "quotactl" or "Q_GETQUOTA" not in str(sighting.argument(0)):
        sighting.needs("CAP_SYS_ADMIN", name)
