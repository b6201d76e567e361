"""Calls whose success alone says that a capability was used, whatever their arguments; and ioctl().

capabilities(7); the checks in Linux 6.x.
"""

from __future__ import annotations

from policy.behaviour import Access, FileDescriptorUsed
from profiler.normalise import arguments
from profiler.normalise.path_uses import use
from profiler.normalise.sighting import Sighting, handles

_ALWAYS: dict[str, tuple[str, ...]] = {
    "sethostname": ("CAP_SYS_ADMIN",),
    "setdomainname": ("CAP_SYS_ADMIN",),
    "quotactl_fd": ("CAP_SYS_ADMIN",),
    "lookup_dcookie": ("CAP_SYS_ADMIN",),
    "nfsservctl": ("CAP_SYS_ADMIN",),
    "fanotify_init": ("CAP_SYS_ADMIN",),
    "vhangup": ("CAP_SYS_TTY_CONFIG",),
    "init_module": ("CAP_SYS_MODULE",),
    "finit_module": ("CAP_SYS_MODULE",),
    "create_module": ("CAP_SYS_MODULE",),
    "delete_module": ("CAP_SYS_MODULE",),
    "iopl": ("CAP_SYS_RAWIO",),
    "ioperm": ("CAP_SYS_RAWIO",),
    "reboot": ("CAP_SYS_BOOT",),
    "kexec_load": ("CAP_SYS_BOOT",),
    "kexec_file_load": ("CAP_SYS_BOOT",),
    "perf_event_open": ("CAP_PERFMON", "CAP_SYS_ADMIN"),
}

_NETWORK_IOCTLS = (
    "SIOCSI",  # SIOCSIF and SIOCSIW: interfaces, wireless ones too
    "SIOCADDRT",
    "SIOCDELRT",
    "SIOCSARP",
    "SIOCDARP",
    "SIOCBR",
    "SIOCADDMULTI",
    "SIOCDELMULTI",
    "SIOCSHWTSTAMP",
    "SIOCBOND",
    "SIOCGMII",
    "SIOCSMII",
)
_IOCTLS: dict[str, tuple[str, ...]] = {
    "TUNSETIFF": ("CAP_NET_ADMIN",),
    "TIOCSTI": ("CAP_SYS_ADMIN",),
    "TIOCCONS": ("CAP_SYS_ADMIN",),
    "TIOCLINUX": ("CAP_SYS_ADMIN",),
    "TIOCVHANGUP": ("CAP_SYS_ADMIN",),
    "KDSETMODE": ("CAP_SYS_TTY_CONFIG",),
    "KDSKBENT": ("CAP_SYS_TTY_CONFIG",),
    "KDSKBSENT": ("CAP_SYS_TTY_CONFIG",),
    "KDSKBMODE": ("CAP_SYS_TTY_CONFIG",),
    "VT_ACTIVATE": ("CAP_SYS_TTY_CONFIG",),
    "VT_SETMODE": ("CAP_SYS_TTY_CONFIG",),
    "VT_DISALLOCATE": ("CAP_SYS_TTY_CONFIG",),
    "FIBMAP": ("CAP_SYS_RAWIO",),
    "FIFREEZE": ("CAP_SYS_ADMIN",),
    "FITHAW": ("CAP_SYS_ADMIN",),
    "FITRIM": ("CAP_SYS_ADMIN",),
    "BLKROSET": ("CAP_SYS_ADMIN",),
    "BLKRRPART": ("CAP_SYS_ADMIN",),
    "BLKFLSBUF": ("CAP_SYS_ADMIN",),
    "BLKPG": ("CAP_SYS_ADMIN",),
    "LOOP_CTL_ADD": ("CAP_SYS_ADMIN",),
    "LOOP_CTL_REMOVE": ("CAP_SYS_ADMIN",),
    "RTC_SET_TIME": ("CAP_SYS_TIME",),
    "RTC_EPOCH_SET": ("CAP_SYS_TIME",),
    "RNDADDTOENTCNT": ("CAP_SYS_ADMIN",),
    "RNDADDENTROPY": ("CAP_SYS_ADMIN",),
}
# Commands for disks. Each capability is asked for, also where a command would be let through without
# (scsi_cmd_allowed, ata_sas_scsi_ioctl, nvme_cmd_allowed, ctl_ioctl of the device mapper).
_DISK_IOCTLS: dict[str, tuple[str, ...]] = {
    "SG_IO": ("CAP_SYS_RAWIO",),
    "HDIO_DRIVE_": ("CAP_SYS_ADMIN", "CAP_SYS_RAWIO"),
    "NVME_IOCTL_": ("CAP_SYS_ADMIN",),
    "DM_": ("CAP_SYS_ADMIN",),
}
_SHOWN_IOCTLS = ("SIOC", "RTC_", "TUN", "LOOP_", "BLK", "RND", "TIOCSTI", "TIOCCONS", "TIOCLINUX", "FIFREEZE", "FITRIM")
_TRACING = {"BPF_PROG_TYPE_KPROBE", "BPF_PROG_TYPE_TRACEPOINT", "BPF_PROG_TYPE_PERF_EVENT", "BPF_PROG_TYPE_TRACING"} | {
    "BPF_PROG_TYPE_RAW_TRACEPOINT",
    "BPF_PROG_TYPE_LSM",
}


@handles(*_ALWAYS)
def _always(sighting: Sighting) -> None:
    sighting.needs_one(_ALWAYS[sighting.call.name], sighting.call.name)


@handles("ioctl")
def _ioctl(sighting: Sighting) -> None:
    request = arguments.word(sighting.argument(1))
    if request.startswith(_SHOWN_IOCTLS):
        sighting.emit(FileDescriptorUsed(f"ioctl:{request}"))
    if request.startswith(_NETWORK_IOCTLS):
        sighting.needs("CAP_NET_ADMIN", f"ioctl({request})")
    elif request in _IOCTLS:
        sighting.needs_one(_IOCTLS[request], f"ioctl({request})")
    for name, capabilities in _DISK_IOCTLS.items():
        for capability in capabilities if request.startswith(name) else ():
            sighting.needs(capability, f"ioctl({request})")
    if request in {"FS_IOC_SETFLAGS", "FS_IOC32_SETFLAGS", "FS_IOC_FSSETXATTR"}:
        _inode_flags(sighting)


def _inode_flags(sighting: Sighting) -> None:
    real = sighting.target(0)
    if real is not None:
        use(sighting, sighting.ledger.paths.at(sighting.process, real), Access.METADATA)
        owner = sighting.ledger.ownership.during(sighting.process, real, sighting.call.time)
        if owner is not None and owner.user != sighting.process.credentials.user.file_system:
            sighting.needs("CAP_FOWNER", f"ioctl on a file of user {owner.user}")
    if "IMMUTABLE" in str(sighting.argument(2)) or "APPEND" in str(sighting.argument(2)):
        sighting.needs("CAP_LINUX_IMMUTABLE", "ioctl that sets the immutable or append-only flag")


@handles("bpf")
def _bpf(sighting: Sighting) -> None:
    command = arguments.word(sighting.argument(0))
    if command not in {"BPF_PROG_LOAD", "BPF_MAP_CREATE", "BPF_BTF_LOAD", "BPF_LINK_CREATE", "BPF_PROG_ATTACH"}:
        sighting.needs_one(("CAP_BPF", "CAP_SYS_ADMIN"), f"bpf({command})")
        return
    sighting.needs_one(("CAP_BPF", "CAP_SYS_ADMIN"), f"bpf({command})")
    loading = command == "BPF_PROG_LOAD"  # the same bytes mean something else to the other commands
    kind = arguments.word(arguments.field(sighting.argument(1), "prog_type")) if loading else ""
    if kind in _TRACING:
        sighting.needs_one(("CAP_PERFMON", "CAP_SYS_ADMIN"), f"bpf({command}, {kind})")
    elif command in {"BPF_PROG_LOAD", "BPF_PROG_ATTACH", "BPF_LINK_CREATE"} and kind != "BPF_PROG_TYPE_SOCKET_FILTER":
        sighting.needs("CAP_NET_ADMIN", f"bpf({command}, {kind or 'unknown type'})")


@handles("seccomp")
def _seccomp(sighting: Sighting) -> None:
    if arguments.word(sighting.argument(0)) == "SECCOMP_SET_MODE_FILTER":
        filtered(sighting)


@handles("landlock_restrict_self")
def _landlock(sighting: Sighting) -> None:
    filtered(sighting, "landlock")


def filtered(sighting: Sighting, what: str = "seccomp filter") -> None:
    """Record CAP_SYS_ADMIN for a filter that was installed without no_new_privs (seccomp(2), landlock(7))."""
    if not sighting.process.credentials.no_new_privileges:
        sighting.needs("CAP_SYS_ADMIN", f"{what} without no_new_privs")
