"""How systemd-nspawn is called, and what is put into the twin's tree before it boots."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from profiler.twin import inside

TARGET = "unit-tailor-twin.target"
TARGET_FILE = """\
# Made by unit-tailor: the state a twin boots into. Nothing is started but what services count on.
[Unit]
Description=A twin, ready for the service under study
Requires=sysinit.target systemd-journald.service
Wants=dbus.socket
After=sysinit.target systemd-journald.service dbus.socket
AllowIsolate=yes
"""
JOURNAL_FILE = """\
# Made by unit-tailor: nothing of a twin outlives it, and no message is dropped.
[Journal]
Storage=volatile
RateLimitIntervalSec=0
ForwardToSyslog=no
"""

FIRST_PROGRAM = """\
renice 0 $$ >/dev/null 2>&1
umount --recursive --lazy /sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs /sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup
for systemd in /usr/lib/systemd/systemd /lib/systemd/systemd; do
    if [ -x "$systemd" ]; then
        command -v setpriv >/dev/null && exec setpriv --pdeathsig KILL -- "$systemd" "$@"
        exec "$systemd" "$@"
    fi
done
echo "there is no systemd in the twin" >&2
exit 127
"""
"""What runs before systemd as PID 1.

A machine's PID 1 has the nice value 0: from another, services would need CAP_SYS_NICE to go back to it. nspawn shows a
part of /sys only, where services count on all of it. And nspawn's own PR_SET_PDEATHSIG does not reach systemd (measured
with 252): without setpriv a twin would outlive an nspawn that is killed.
"""

MASKED = (
    # These change the kernel, which the twin shares with the host.
    "systemd-modules-load.service",
    "modprobe@.service",
    "systemd-sysctl.service",
    "systemd-binfmt.service",
    "systemd-random-seed.service",
    "systemd-pstore.service",
    # These are for real hardware, or slow and without use in a machine that is thrown away.
    "kmod-static-nodes.service",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-machine-id-commit.service",
    "systemd-repart.service",
    "systemd-timesyncd.service",
    "systemd-update-done.service",
    "ldconfig.service",
    "console-getty.service",
)

DEVICES = ("/dev/fuse",)
"""Device nodes of the host that daemons count on and nspawn does not make; they must exist on the host."""

WRITABLE = {
    # bpf(2), ptrace(2), perf_event_open(2) and others as on a real machine: systemd in the twin attaches programs.
    "SYSTEMD_SECCOMP": "0",
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    # The network's settings are the twin's own and writable; the rest of /proc/sys and /sys is the host's.
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables that nspawn needs (systemd's docs/ENVIRONMENT.md)."""
    return {**WRITABLE, **(extra or {})}


def furnish(merged: Path) -> str:
    """Write into the twin's tree what its systemd needs, and return its new machine id. Raises OSError."""
    machine_id = secrets.token_hex(16)
    inside.write(merged, "/etc/machine-id", machine_id + "\n", 0o444)
    inside.write(merged, f"/etc/systemd/system/{TARGET}", TARGET_FILE)
    inside.write(merged, "/etc/systemd/journald.conf.d/zz-unit-tailor.conf", JOURNAL_FILE)
    # Images of containers forbid services to be started or signalled: the twin is a machine on which they may be.
    inside.remove(merged, "/usr/sbin/policy-rc.d")
    return machine_id


def boot_command(merged: Path, name: str, machine_id: str, network: str, *, visible: Sequence[Path] = ()) -> list[str]:
    """Return the command line that boots a systemd in the tree at ``merged``; what is ``visible`` is bound into it."""
    return [
        *_common(merged, name),
        "--console=read-only",
        f"--uuid={machine_id}",
        f"--network-namespace-path={network}",
        "--notify-ready=yes",
        "--setenv=SYSTEMD_LOG_SECCOMP=1",
        *(f"--bind-ro={bound(place)}" for place in visible),
        *(f"--bind={device}" for device in DEVICES if os.path.exists(device)),  # noqa: PTH110
        "--",
        "/bin/sh",
        "-c",
        FIRST_PROGRAM,
        "systemd",
        f"--unit={TARGET}",
        # In a container systemd and its generators read these arguments as the kernel's command line.
        "fstab=no",
        *(f"systemd.mask={unit}" for unit in MASKED),
    ]


def bound(place: Path) -> str:
    """Return a path as ``--bind-ro=`` takes it (systemd-nspawn(1): a colon is escaped with a backslash)."""
    return str(place).replace("\\", "\\\\").replace(":", "\\:")


def program_command(merged: Path, name: str, arguments: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """Return the command line that runs one program in the tree, on the host's network and without booting."""
    return [*_common(merged, name), "--console=pipe", "--as-pid2", *options, "--", *arguments]


def _common(merged: Path, name: str) -> list[str]:
    return [
        "systemd-nspawn",
        "--quiet",
        f"--directory={merged}",
        f"--machine={name}",
        f"--hostname={os.uname().nodename}",
        "--settings=no",
        "--keep-unit",
        "--register=no",
        "--capability=all",
        "--link-journal=no",
        "--timezone=off",
    ]
