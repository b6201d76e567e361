"""no_new_privs: whether execve may give a process what it did not have (prctl(2), PR_SET_NO_NEW_PRIVS)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from policy.behaviour import OK, UNKNOWN, Fact, PrivilegeGained
from policy.sandbox.denial import Denial

NO_TRANSITION = "no_new_privs: the program runs, but gains no privileges"


@dataclass
class Privileges:
    """Whether new privileges are off, and the setting that switched them off.

    ``implied_by`` is asked for the settings that imply it: systemd sets no_new_privs for services with User= that
    have any seccomp filter (``exec_child`` in systemd's ``execute.c`` up to 254, ``exec-invoke.c`` later).
    """

    no_new_privileges: tuple[str, str] | None = None
    implied_by: Callable[[], tuple[str, str] | None] = field(default=lambda: None)

    def judge(self, fact: Fact) -> Denial | None:
        """Deny privileges gained by execve. The call succeeds all the same, so the outcome names the loss as EPERM."""
        if not isinstance(fact.behaviour, PrivilegeGained) or fact.outcome not in {OK, UNKNOWN}:
            return None
        blamed = self.no_new_privileges
        note = NO_TRANSITION
        if blamed is None:
            blamed = self.implied_by()
            note += " (implied, because the unit has User= and this filter)"
        return Denial(fact, *blamed, "EPERM", note) if blamed else None
