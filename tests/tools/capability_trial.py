"""Records a program that needs three capabilities, and says what was seen; for tools/try_kernel.sh.

Call: ``python -m tests.tools.capability_trial [LOADER...]``. Exits with 0 if each loader (both, if none is named) sees
exactly these capabilities, and nothing is lost.
"""

from __future__ import annotations

import platform
import sys

from policy.behaviour import CapabilityUsed
from profiler.engines.base import Assignment
from profiler.engines.ebpf import EbpfWatch
from profiler.machine import Host
from profiler.normalise.attribution import Scope
from profiler.recorders.ebpf.availability import availability
from profiler.recorders.ebpf.loading import Loader, wanted
from profiler.unit.life import PhaseClock

PROGRAM = """
import os, socket
os.chown("/run", 1, 1)
socket.socket().bind(("127.0.0.1", 80))
os.setuid(5)
"""
NEEDED = {"CAP_CHOWN", "CAP_NET_BIND_SERVICE", "CAP_SETUID"}


def _seen(loader: Loader) -> bool:
    wanted.set(loader)
    answer = availability(needs_groups=False)
    print(f"{platform.release()}, {loader}: {answer}", flush=True)
    command = (sys.executable, "-I", "-S", "-c", PROGRAM)
    with EbpfWatch(Assignment(Host(), Scope(), PhaseClock(), command=command)) as watch:
        status = watch.wait()
    lost = [losses.counts for losses in watch.losses if losses.counts]
    used = {fact.behaviour.capability for fact in watch.facts() if isinstance(fact.behaviour, CapabilityUsed)}
    print(f"{loader}: status {status}, {len(watch.facts())} facts, lost {lost}, used {sorted(used)}", flush=True)
    return answer.available and not lost and not status and used == NEEDED


def main() -> int:
    """Try each loader, and return the exit status."""
    loaders = [Loader(word) for word in sys.argv[1:]] or [Loader.LIBBPF, Loader.BCC]
    return 0 if all([_seen(loader) for loader in loaders]) else 1


if __name__ == "__main__":
    sys.exit(main())
