"""Memory that becomes executable, and memory that is locked."""

from __future__ import annotations

from policy.behaviour import Access, MemoryMapped
from profiler.normalise import arguments
from profiler.normalise.ipc import attached
from profiler.normalise.path_uses import use
from profiler.normalise.sighting import Sighting, handles

_DEFAULT_LOCK_LIMIT = 8 * 1024 * 1024  # RLIMIT_MEMLOCK of Linux 5.16 and of systemd's default, in bytes


@handles("mmap", "mmap2")
def _map(sighting: Sighting) -> None:
    protection = arguments.flags(sighting.argument(2))
    given = arguments.flags(sighting.argument(3))
    ranges = sighting.process.memory
    length = arguments.number(sighting.argument(1))
    address = sighting.call.result
    if address is not None and sighting.succeeded and length > 0:
        if "PROT_EXEC" in protection:
            ranges.add(address, length)
        else:
            ranges.remove(address, length)
    if "MAP_LOCKED" in given:
        _locked(sighting, length, "mmap(MAP_LOCKED)")
    if "PROT_EXEC" not in protection:
        return
    if "PROT_WRITE" in protection:
        sighting.emit(MemoryMapped("mmap-write-execute"))
    if "MAP_ANONYMOUS" not in given:
        real = sighting.target(4)
        if real is not None:
            use(sighting, sighting.ledger.paths.at(sighting.process, real), Access.MAP_EXECUTE)


@handles("mprotect", "pkey_mprotect")
def _protect(sighting: Sighting) -> None:
    protection = arguments.flags(sighting.argument(2))
    start, length = arguments.number(sighting.argument(0)), arguments.number(sighting.argument(1))
    ranges = sighting.process.memory
    if "PROT_EXEC" in protection:
        kept = ranges.covers(start, length)
        sighting.emit(MemoryMapped("mprotect-keep-execute" if kept else "mprotect-execute"))
    if not sighting.succeeded or length <= 0:
        return
    if "PROT_EXEC" in protection:
        ranges.add(start, length)
    else:
        ranges.remove(start, length)


@handles("shmat")
def _attach(sighting: Sighting) -> None:
    attached(sighting)
    if "SHM_EXEC" in arguments.flags(sighting.argument(2)):
        sighting.emit(MemoryMapped("shmat-execute"))


@handles("mlock", "mlock2")
def _lock(sighting: Sighting) -> None:
    _locked(sighting, arguments.number(sighting.argument(1)), sighting.call.name)


@handles("mlockall")
def _lock_all(sighting: Sighting) -> None:
    # The whole address space counts, and nobody knows its size here: more than any usual limit.
    limit = sighting.process.limits.get("RLIMIT_MEMLOCK", _DEFAULT_LOCK_LIMIT)
    if limit < 2**63:
        sighting.needs("CAP_IPC_LOCK", "mlockall (the size of the process is not known)")


def _locked(sighting: Sighting, length: int, what: str) -> None:
    limit = sighting.process.limits.get("RLIMIT_MEMLOCK", _DEFAULT_LOCK_LIMIT)
    if not sighting.succeeded:
        return
    total = sighting.process.memory.lock(length)
    if total > limit:
        sighting.needs("CAP_IPC_LOCK", f"{what} above the limit of {limit} bytes")
