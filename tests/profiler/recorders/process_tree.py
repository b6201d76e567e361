"""A machine for tests that cannot have a twin: a PID namespace of its own with a shell as PID 1."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from profiler.machine import Machine
from tests.requirements import require

BUSY = "while :; do sleep 0.02; done"
"""A PID 1 that starts a process every now and then."""

LIVES_IN_VFORK = """exec /usr/bin/python3 -ISc '
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
stack = ctypes.create_string_buffer(1 << 16)
top = ctypes.c_void_p((ctypes.addressof(stack) + (1 << 16)) & ~15)
while True:
    child = libc.clone(libc.sleep, top, 0x4100 | signal.SIGCHLD, ctypes.c_void_p(2))  # CLONE_VM | CLONE_VFORK
    _, status = os.waitpid(child, 0)
    os.path.exists(f"/round/{status}")
    os.sched_yield()
    if status:
        sys.exit(f"a child ended with {status}")
'"""
"""A PID 1 that is inside vfork() for two seconds at a time, and ends as soon as one of its children comes to harm."""


class ProcessTree(Machine):
    """The namespaces of a process that ``unshare`` started."""

    name = "a tree of processes"

    def __init__(self, init: int) -> None:
        self.init = init

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.init}/root")

    def command(self, arguments: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(self.init), "-m", "-p", "--", *arguments]

    def is_running(self) -> bool:
        """Whether PID 1 of the tree still runs (and does not merely exist as a zombie)."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.init}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
        return False


@contextlib.contextmanager
def process_tree(script: str = BUSY) -> Iterator[ProcessTree]:
    """Yield a tree whose PID 1 runs this shell script; it is gone afterwards."""
    require(os.geteuid() == 0, "namespaces need root")
    command = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script]
    unshare = subprocess.Popen(command)
    try:
        yield ProcessTree(_init_of(unshare.pid))
    finally:
        unshare.kill()
        unshare.wait()


def _init_of(unshare: int) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        children = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
        # unshare's child mounts /proc before it becomes another program.
        if children and Path(f"/proc/{children[0]}/comm").read_text() != "unshare\n":
            return int(children[0])
        time.sleep(0.01)
    raise AssertionError("unshare did not start")
