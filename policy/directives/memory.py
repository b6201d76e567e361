"""MemoryDenyWriteExecute= of systemd.exec(5), "Sandboxing"."""

from __future__ import annotations

from typing import ClassVar

from policy.behaviour import Fact, MemoryMapped
from policy.directives.choice import Choice
from policy.host_facts import HostFacts
from policy.sandbox.sandbox import Sandbox


def uses_prctl(host: HostFacts) -> bool:
    """Whether systemd asks the kernel for PR_SET_MDWE (from 254, Linux 6.3) instead of loading a filter."""
    return host.systemd_version >= 254 and host.kernel >= (6, 3)


class MemoryDenyWriteExecute(Choice):
    """Refuses memory that is or becomes executable after it was written.

    Facts are mmap, mprotect and shmat with PROT_EXEC or SHM_EXEC. There are two forms of it: a seccomp filter with
    EPERM, which refuses every mprotect to executable, and from systemd 254 with Linux 6.3 a prctl with EACCES, which
    lets mappings pass that were executable before. What a code generator does only under load cannot be seen.
    """

    since: ClassVar = {"yes": 231}
    manual: ClassVar = "systemd.exec(5), Sandboxing"
    summary: ClassVar = "no memory that is both writable and executable"
    denied_examples: ClassVar = {"yes": Fact(MemoryMapped("mmap-write-execute"))}

    def enforce(self, sandbox: Sandbox) -> None:
        """Load the filter, or ask the kernel."""
        if uses_prctl(sandbox.host):
            sandbox.privileges.executable_memory = (type(self).__name__, self.setting)
        else:
            sandbox.filters.add(type(self).__name__, self.setting, _filter)


def _filter(fact: Fact) -> str:
    return "EPERM" if isinstance(fact.behaviour, MemoryMapped) else ""
