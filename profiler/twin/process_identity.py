"""A process that cannot be mistaken for a later one with the same number: pid, start time and boot."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessIdentity:
    """``start`` is in clock ticks since boot, field 22 of /proc/PID/stat (proc_pid_stat(5))."""

    pid: int
    start: int
    boot: str

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return identify(self.pid) == self

    def end(self, seconds: float, number: int = signal.SIGKILL) -> bool:
        """Send a signal to this very process; return whether it is gone within ``seconds``.

        Raises PermissionError if it belongs to somebody else.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.is_alive():
                return True
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
            return bool(select.select([descriptor], [], [], seconds)[0])
        finally:
            os.close(descriptor)


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a running process, None if there is none with that number or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return ProcessIdentity(pid, int(fields[19]), boot_identifier())


def own() -> ProcessIdentity:
    """Return the identity of this process."""
    found = identify(os.getpid())
    if found is None:
        raise RuntimeError("/proc does not show this process: it is of another pid namespace")
    return found


def boot_identifier() -> str:
    """Return the random identifier of this boot of the kernel (proc_sys_kernel(5), random)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
