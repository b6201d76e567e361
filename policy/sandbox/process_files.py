"""/proc as a service sees it: which processes are visible, and whether anything else is there.

Source: ``has_pid_permissions``, ``proc_pid_permission``, ``proc_pid_lookup`` in the kernel's ``fs/proc``; proc(5),
``hidepid`` and ``subset``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from policy.behaviour import Access, PathUse
from policy.sandbox.hidden import FEWER
from policy.sandbox.read_only import BEFORE_LOOKUP, HAPPENED

_OTHER = "/proc/other"
_PROCESS = re.compile(r"/proc/(self|thread-self|own|other|[0-9]+)(/|\Z)")


@dataclass
class ProcessFiles:
    """How /proc is mounted: ``visibility`` is the value of ProtectProc=, ``only_processes`` that ProcSubset=pid is on.

    Each comes with the directive and the setting to blame.
    """

    visibility: str = "default"
    visibility_blame: tuple[str, str] = ("", "")
    subset_blame: tuple[str, str] | None = None

    def outcome(self, use: PathUse, outcome: str, *, is_root: bool, may_trace: bool) -> tuple[str, tuple[str, str]]:
        """Return the outcome of a use, and whom to blame if it differs from the recorded one.

        ``is_root`` stands for the group 0 as well: who is in it sees all processes with hidepid 1 and 2.
        """
        if outcome in BEFORE_LOOKUP:
            return outcome, ("", "")
        if self.subset_blame and any(_is_no_process(path) for path in (use.path, use.through) if path):
            return "ENOENT", self.subset_blame
        if self.visibility == "default":
            return outcome, ("", "")
        sees_all = may_trace if self.visibility == "ptraceable" else is_root
        if sees_all:
            return outcome, ("", "")
        return self._with_processes_hidden(use, outcome), self.visibility_blame

    def _with_processes_hidden(self, use: PathUse, outcome: str) -> str:
        if use.path == "/proc" and use.access is Access.READ and outcome in HAPPENED:
            return FEWER if self.visibility != "noaccess" else outcome
        if not (use.path == _OTHER or use.path.startswith(_OTHER + "/")):
            return outcome
        if self.visibility != "noaccess":
            return "ENOENT"
        return "EPERM" if use.path != _OTHER or use.access is Access.READ else outcome


def _is_no_process(path: str) -> bool:
    """Whether the path is in /proc, but is neither /proc itself nor belongs to a process."""
    return path.startswith("/proc/") and not _PROCESS.match(path)
