"""Calls on where processes and their memory are: processors, memory nodes, and faults handled by themselves.

sched_setaffinity(2), migrate_pages(2), move_pages(2), process_madvise(2), userfaultfd(2), mq_unlink(3).
"""

from __future__ import annotations

import os

from policy.behaviour import IpcUsed
from profiler.normalise import arguments
from profiler.normalise.path_uses import needs_access_to
from profiler.normalise.sighting import Sighting, handles

_MOVE_ALL = "MPOL_MF_MOVE_ALL"
_MOVE_ALL_BIT = 4  # linux/mempolicy.h
_USER_MODE_ONLY = "UFFD_USER_MODE_ONLY"


@handles("sched_setaffinity", "sched_setparam")
def _of_a_process(sighting: Sighting) -> None:
    if _is_foreign(sighting, arguments.number(sighting.argument(0))):
        sighting.needs("CAP_SYS_NICE", f"{sighting.call.name} of a process of another user")


@handles("migrate_pages", "move_pages")
def _move_pages(sighting: Sighting) -> None:
    pid = arguments.number(sighting.argument(0))
    if pid:
        needs_access_to(sighting, pid, sighting.call.name)
    if _is_foreign(sighting, pid) if sighting.call.name == "migrate_pages" else _moves_all(sighting, 5):
        sighting.needs("CAP_SYS_NICE", f"{sighting.call.name} of pages of others")


@handles("mbind")
def _bind_memory(sighting: Sighting) -> None:
    if _moves_all(sighting, 5):
        sighting.needs("CAP_SYS_NICE", f"mbind({_MOVE_ALL})")


@handles("process_madvise")
def _advise(sighting: Sighting) -> None:
    sighting.needs("CAP_SYS_NICE", "process_madvise (unknown owner)")


@handles("userfaultfd")
def _faults(sighting: Sighting) -> None:
    given = sighting.argument(0)
    restricted = not sighting.ledger.objects.setting("vm/unprivileged_userfaultfd", 0)
    user_mode = _USER_MODE_ONLY in arguments.flags(given) or arguments.number(given) & 1
    if restricted and not user_mode:
        sighting.needs("CAP_SYS_PTRACE", "userfaultfd for faults in the kernel as well")


@handles("mq_unlink")
def _remove_queue(sighting: Sighting) -> None:
    name = sighting.argument(0)
    if isinstance(name, bytes):
        known = ("mqueue", os.fsdecode(name))
        sighting.emit(IpcUsed(*known, known not in sighting.ledger.created_ipc))


def _moves_all(sighting: Sighting, position: int) -> bool:
    given = sighting.argument(position)
    return _MOVE_ALL in arguments.flags(given) or bool(arguments.number(given) & _MOVE_ALL_BIT)


def _is_foreign(sighting: Sighting, pid: int) -> bool:
    # check_same_owner() of kernel/sched/syscalls.c: the caller's effective uid is the target's effective or real one.
    if pid in {0, sighting.process.pid, sighting.process.leader}:
        return False
    target = sighting.ledger.processes.get(pid)
    status = sighting.ledger.objects.process(pid) if target is None else None
    credentials = target.credentials if target is not None else status.credentials if status is not None else None
    if credentials is None:
        return False
    return sighting.process.credentials.user.effective not in {credentials.user.effective, credentials.user.real}
