"""What a process cannot get any more: privileges from execve, memory that is made executable (prctl(2))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from policy.behaviour import OK, UNKNOWN, Fact, MemoryMapped, PrivilegeGained
from policy.sandbox.denial import Denial

NO_TRANSITION = "no_new_privs: the program runs, but gains no privileges"


@dataclass
class Privileges:
    """Whether new privileges are off, and the setting that switched them off.

    ``implied_by`` is asked for the settings that imply it: systemd sets no_new_privs for services with User= that
    have any seccomp filter (``exec_child`` in systemd's ``execute.c`` up to 254, ``exec-invoke.c`` later).
    """

    no_new_privileges: tuple[str, str] | None = None
    executable_memory: tuple[str, str] | None = None  # PR_SET_MDWE
    implied_by: Callable[[], tuple[str, str] | None] = field(default=lambda: None)

    def judge(self, fact: Fact) -> Denial | None:
        """Deny privileges gained by execve, and memory that becomes executable after it could be written."""
        match fact.behaviour:
            case PrivilegeGained() if fact.outcome in {OK, UNKNOWN}:
                return self._judge_gain(fact)
            case MemoryMapped(how=how) if self.executable_memory and how != "mprotect-keep-execute":
                # ``map_deny_write_exec`` in the kernel's include/linux/mman.h.
                return Denial(fact, *self.executable_memory, "EACCES") if fact.outcome != "EACCES" else None
        return None

    def _judge_gain(self, fact: Fact) -> Denial | None:
        # The call succeeds all the same, so the outcome names the loss as EPERM.
        if self.no_new_privileges:
            return Denial(fact, *self.no_new_privileges, "EPERM", NO_TRANSITION)
        implied_by = self.implied_by()
        note = f"{NO_TRANSITION} (implied, because the unit has User= and this filter)"
        return Denial(fact, *implied_by, "EPERM", note) if implied_by else None
