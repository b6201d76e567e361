"""open() and its kin, and mapping files: what a file was opened for."""

from __future__ import annotations

import re
import stat

from policy.behaviour import Access, CapabilityUsed, FileKind, Known, SpecialModeSet
from profiler.normalise import arguments, nameless
from profiler.normalise.byte_paths import is_file
from profiler.normalise.path_uses import demand, use
from profiler.normalise.paths import Resolved
from profiler.normalise.permissions import READ, WRITE
from profiler.normalise.sighting import Sighting, handles
from profiler.recorders.base import Value

_SET_ID = stat.S_ISUID | stat.S_ISGID
_ACCESS = {"O_WRONLY": Access.WRITE, "O_RDWR": Access.READ_WRITE}

_PRIVILEGED = {
    b"/dev/mem": (("CAP_SYS_RAWIO",), ""),
    b"/dev/kmem": (("CAP_SYS_RAWIO",), ""),
    b"/dev/port": (("CAP_SYS_RAWIO",), ""),
    b"/dev/ppp": (("CAP_NET_ADMIN",), ""),
    b"/proc/kcore": (("CAP_SYS_RAWIO",), ""),
    b"/proc/kmsg": (("CAP_SYSLOG", "CAP_SYS_ADMIN"), ""),
    b"/dev/kmsg": (("CAP_SYSLOG", "CAP_SYS_ADMIN"), "kernel/dmesg_restrict"),
}  # what opening them for reading needs besides their mode (drivers/char/mem.c, ppp_open, fs/proc, kernel/printk)

_MODEL_REGISTERS = re.compile(rb"/dev/cpu/[0-9]+/msr")
_OF_A_PROCESSOR = (("CAP_SYS_RAWIO",), "")  # msr_open in arch/x86/kernel/msr.c

_KERNEL_LOG = b"/proc/kmsg"
# systemd-nspawn mounts a pipe over it that everybody may open; a real machine and a fresh /proc want CAP_SYSLOG.

_PRIVILEGED_WRITES = {
    b"/oom_score_adj": "CAP_SYS_RESOURCE",  # to lower it; what was written is not looked at
    b"/oom_adj": "CAP_SYS_RESOURCE",
    b"/wake_lock": "CAP_BLOCK_SUSPEND",
    b"/wake_unlock": "CAP_BLOCK_SUSPEND",
    b"/ns_last_pid": "CAP_CHECKPOINT_RESTORE",
}


@handles("open", "creat")
def _open(sighting: Sighting) -> None:
    if sighting.call.name == "creat":
        opened(sighting, None, 0, frozenset({"O_WRONLY", "O_CREAT", "O_TRUNC"}), sighting.argument(1))
    else:
        opened(sighting, None, 0, arguments.flags(sighting.argument(1)), sighting.argument(2))


@handles("openat")
def _openat(sighting: Sighting) -> None:
    opened(sighting, 0, 1, arguments.flags(sighting.argument(2)), sighting.argument(3))


@handles("openat2")
def _openat2(sighting: Sighting) -> None:
    how = sighting.argument(2)
    opened(sighting, 0, 1, arguments.flags(arguments.field(how, "flags")), arguments.field(how, "mode"))


@handles("open_by_handle_at")
def _open_by_handle(sighting: Sighting) -> None:
    sighting.needs("CAP_DAC_READ_SEARCH", "open_by_handle_at")
    target = sighting.call.result_target
    if target is not None and target.target is not None and is_file(target.target):
        place = sighting.ledger.paths.at(sighting.process, target.target)
        use(sighting, place, _access(arguments.flags(sighting.argument(2))), fresh=True)


def opened(sighting: Sighting, directory: int | None, path: int, flags: frozenset[str], mode_value: Value) -> None:
    """Record what an open was for. ``directory`` and ``path`` are positions of arguments."""
    target = sighting.call.result_target if sighting.succeeded else None
    found = target.target if target is not None and target.target is not None and is_file(target.target) else None
    exclusive = {"O_CREAT", "O_EXCL"} <= flags
    follow = "O_NOFOLLOW" not in flags and not exclusive
    if "O_TMPFILE" in flags:
        _temporary(sighting, directory, path, arguments.mode(mode_value))
        return
    place = sighting.place(directory, path, follow, found)
    if place is None:
        return
    if "O_PATH" in flags:
        use(sighting, place, Access.LOOKUP)
        return
    if "O_CREAT" in flags:
        _special_mode(sighting, arguments.mode(mode_value))
        if _creating(sighting, place, flags, arguments.mode(mode_value), exclusive):
            return
    use(sighting, place, _access(flags))
    _truncating(sighting, place, flags)
    _privileged_files(sighting, place, flags)


def _access(flags: frozenset[str]) -> Access:
    return next((access for name, access in _ACCESS.items() if name in flags), Access.READ)


def _creating(sighting: Sighting, place: Resolved, flags: frozenset[str], mode: int, exclusive: bool) -> bool:
    # Whether all has been said: the open created the file, or failed. Otherwise it goes on as an ordinary open.
    if not sighting.succeeded:
        use(sighting, place, Access.CREATE, kind=FileKind.REGULAR)
        return True
    ownership = sighting.ledger.ownership
    created = True if exclusive else ownership.was_created(sighting.process, place, sighting.call.time)
    if created is None:
        sighting.ledger.notes.add("created or opened, cannot be told", sighting.evidence())
        use(sighting, place, Access.CREATE, kind=FileKind.REGULAR)
        return False
    if created:
        use(sighting, place, Access.CREATE, kind=FileKind.REGULAR)
        ownership.created(sighting.process, place.real, stat.S_IFREG | stat.S_IMODE(mode), sighting.call.time)
        use(sighting, place, Access.READ_WRITE if "O_RDWR" in flags else Access.WRITE, fresh=True)
    return created


def _temporary(sighting: Sighting, directory: int | None, path: int, mode: int) -> None:
    # A file without a name: it is made in the directory, and the directory must be writable as for a name.
    _special_mode(sighting, mode)
    place = sighting.place(directory, path)
    if place is None:
        return
    use(sighting, nameless.made_in(sighting.ledger, place), Access.CREATE, kind=FileKind.REGULAR)


def _special_mode(sighting: Sighting, mode: int) -> None:
    if mode & _SET_ID:
        sighting.emit(SpecialModeSet(sighting.call.name, stat.S_IMODE(mode)))


def _truncating(sighting: Sighting, place: Resolved, flags: frozenset[str]) -> None:
    # O_TRUNC asks for write permission even on O_RDONLY (may_open, handle_truncate).
    if "O_TRUNC" in flags and not flags & {"O_WRONLY", "O_RDWR"}:
        use(sighting, place, Access.TRUNCATE)
    if sighting.succeeded and "O_NOATIME" in flags:
        owner = sighting.ledger.ownership.during(sighting.process, place.real, sighting.call.time)
        if owner is not None and owner.user != sighting.process.credentials.user.file_system:
            sighting.needs("CAP_FOWNER", f"{sighting.call.name} with O_NOATIME of a file of user {owner.user}")


def _privileged_files(sighting: Sighting, place: Resolved, flags: frozenset[str]) -> None:
    _contained_kernel_log(sighting, place)
    special = _PRIVILEGED.get(place.real) or (_OF_A_PROCESSOR if _MODEL_REGISTERS.fullmatch(place.real) else None)
    writing = bool(flags & {"O_WRONLY", "O_RDWR"})
    if special is not None and not (special[1] and "O_WRONLY" in flags):
        names, setting = special
        if not setting or sighting.ledger.objects.setting(setting, 1):
            sighting.needs_one(names, f"opening {place.path}")
    if writing and place.real.startswith((b"/proc/", b"/sys/power/")):
        name = place.real[place.real.rindex(b"/") :]
        if name in _PRIVILEGED_WRITES:
            sighting.needs(_PRIVILEGED_WRITES[name], f"writing {name.decode()[1:]} (what was written is not recorded)")


def _contained_kernel_log(sighting: Sighting, place: Resolved) -> None:
    if place.real != _KERNEL_LOG or not sighting.succeeded:
        return
    if sighting.ledger.ownership.kind(sighting.process, place.real)[0] is FileKind.FIFO:
        reason = "opening /proc/kmsg, which is an empty pipe in this container only"
        sighting.emit(CapabilityUsed("CAP_SYSLOG", reason), known=Known.INFERRED)


@handles("fcntl", "fcntl64")
def _fcntl(sighting: Sighting) -> None:
    operation = arguments.word(sighting.argument(1))
    if operation == "F_SETLEASE":
        real = sighting.target(0)
        owner = (
            sighting.ledger.ownership.during(sighting.process, real, sighting.call.time) if real is not None else None
        )
        if owner is None or owner.user != sighting.process.credentials.user.file_system:
            sighting.needs("CAP_LEASE", "fcntl(F_SETLEASE) of another user's file")


@handles("truncate", "truncate64")
def _truncate(sighting: Sighting) -> None:
    use(sighting, sighting.place(None, 0), Access.TRUNCATE)


@handles("access", "faccessat", "faccessat2")
def _access_check(sighting: Sighting) -> None:
    at = 1 if sighting.call.name != "access" else 0
    wanted = arguments.flags(sighting.argument(at + 1))
    follow = "AT_SYMLINK_NOFOLLOW" not in arguments.flags(sighting.argument(at + 2))
    place = sighting.place(0 if at else None, at, follow)
    if place is None:
        return
    use(sighting, place, Access.WRITE_PROBE if "W_OK" in wanted else Access.LOOKUP)
    if sighting.succeeded and "R_OK" in wanted:
        demand(sighting, place.real, READ | (WRITE if "W_OK" in wanted else 0))
