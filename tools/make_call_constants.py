#!/usr/bin/env python3
"""Writes the names of the constants that system calls take as arguments, from this machine's C headers.

The ptrace recorder sees numbers; names come from this file, so that the target needs no headers. Run it on a machine
with clang and linux-libc-dev.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

DESTINATION = Path(__file__).parent.parent / "profiler" / "recorders" / "ptrace_constants.json"
HEADERS = Path("/usr/include")

SOURCES = {
    "open": ("asm-generic/fcntl.h", r"O_[A-Z]+"),
    "at": ("linux/fcntl.h", r"AT_(?:SYMLINK_\w+|EMPTY_PATH|EACCESS|REMOVEDIR|NO_AUTOMOUNT|RECURSIVE)"),
    "fcntl": ("asm-generic/fcntl.h linux/fcntl.h", r"F_(?!LINUX_SPECIFIC_BASE)[A-Z0-9_]+"),
    "rename": ("linux/fs.h", r"RENAME_\w+"),
    "clone": ("linux/sched.h", r"CLONE_(?!ARGS|CLEAR|INTO)\w+"),
    "scheduler": ("linux/sched.h", r"SCHED_(?!FLAG|RESET|FIXED)[A-Z]+"),
    "scheduling": ("linux/sched.h", r"SCHED_FLAG_\w+"),
    "protection": ("asm-generic/mman-common.h", r"PROT_\w+"),
    "map": ("asm-generic/mman-common.h asm-generic/mman.h linux/mman.h", r"MAP_(?!HUGE_|FILE|TYPE)\w+"),
    "mount": ("linux/mount.h", r"MS_(?!MGC|RMT)\w+"),
    "move_mount": ("linux/mount.h", r"MOVE_MOUNT_(?!_)\w+"),
    "clock": ("linux/time.h", r"CLOCK_[A-Z_]+"),
    "timex": ("linux/timex.h", r"ADJ_\w+"),
    "control": ("linux/prctl.h", r"PR_(?:SET|GET|CAP)[A-Z_]+"),
    "ambient": ("linux/prctl.h", r"PR_CAP_AMBIENT_\w+"),
    "seccomp": ("linux/seccomp.h", r"SECCOMP_SET_MODE_\w+|SECCOMP_GET\w+"),
    "seccomp_mode": ("linux/seccomp.h", r"SECCOMP_MODE_\w+"),
    "key": ("linux/keyctl.h", r"KEYCTL_(?!CAPS|SUPPORTS|MOVE_)[A-Z_]+"),
    "trace": ("linux/ptrace.h asm-generic/../asm/ptrace-abi.h", r"PTRACE_(?!O_|EVENT_|SYSCALL_INFO_)[A-Z0-9_]+"),
    "capability": ("linux/capability.h", r"CAP_(?!LAST|VALID|TO_|OPT)[A-Z_]+"),
    "limit": ("asm-generic/resource.h", r"RLIMIT_\w+"),
    "ipc": ("linux/ipc.h", r"IPC_(?:CREAT|EXCL|NOWAIT)"),
    "quota": ("linux/quota.h", r"Q_[A-Z0-9]+"),
    "bpf": ("linux/bpf.h", r"BPF_(?:PROG|MAP|OBJ|BTF|LINK|RAW|TASK|ENABLE|ITER)_(?!TYPE)[A-Z_]+"),
    "bpf_program": ("linux/bpf.h", r"BPF_PROG_TYPE_\w+"),
    "option": ("asm-generic/socket.h", r"SO_[A-Z0-9_]+"),
    "option_ip": ("linux/in.h", r"IP_(?:TRANSPARENT|IPSEC_POLICY|XFRM_POLICY)"),
    "option_ipv6": (
        "linux/in6.h linux/ipv6.h",
        r"IPV6_(?:TRANSPARENT|IPSEC_POLICY|XFRM_POLICY|HOPOPTS|RTHDRDSTOPTS|DSTOPTS)",
    ),
    "option_tcp": ("linux/tcp.h", r"TCP_REPAIR\b"),
    "option_netlink": ("linux/netlink.h", r"NETLINK_(?:ADD|DROP|PKTINFO|BROADCAST|NO_|LISTEN|CAP|EXT|GET)\w+"),
    "route": ("linux/rtnetlink.h", r"RTM_(?:NEW|DEL|GET|SET)\w+"),
    "priority": ("linux/resource.h", r"PRIO_(?:PROCESS|PGRP|USER)"),
    "secure": ("linux/securebits.h", r"SECBIT_\w+"),
    "ioctl": (
        "asm-generic/ioctls.h linux/kd.h linux/vt.h linux/fs.h scsi/sg.h linux/hdreg.h linux/nvme_ioctl.h"
        " linux/dm-ioctl.h",
        r"TIOC[A-Z]+|KD[A-Z]+|VT_[A-Z]+|FIBMAP|FI[A-Z]+|SG_IO|HDIO_DRIVE_[A-Z]+|NVME_IOCTL_[A-Z0-9_]+"
        r"|DM_(?!IOCTL|DIR|DEFERRED|NAME|UUID|MAX|CONTROL|VERSION_|[A-Z_]*FLAG|UEVENT|[A-Z_]*CMD)[A-Z_]+",
    ),
    "inotify": ("linux/inotify.h", r"IN_DONT_FOLLOW|IN_ONLYDIR"),
    "fanotify": ("linux/fanotify.h", r"FAN_MARK_\w+"),
}

GIVEN = {
    "family": {
        int(number): f"AF_{name}".replace("AF_LOCAL", "AF_UNIX")
        for name, number in re.findall(
            r"#define PF_(\w+)\s+(\d+)", (HEADERS / "x86_64-linux-gnu/bits/socket.h").read_text()
        )
        if name != "MAX"
    },
    "shared_memory": {0o1000: "IPC_CREAT", 0o2000: "IPC_EXCL", 0o4000: "SHM_HUGETLB", 0o100000: "SHM_EXEC"},
    "access": {1: "X_OK", 2: "W_OK", 4: "R_OK"},
    "type": {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 4: "SOCK_RDM", 5: "SOCK_SEQPACKET", 10: "SOCK_PACKET"},
    "type_flags": {0o4000: "SOCK_NONBLOCK", 0o2000000: "SOCK_CLOEXEC"},
    "syslog": dict(
        enumerate(
            f"SYSLOG_ACTION_{name}"
            for name in (
                "CLOSE",
                "OPEN",
                "READ",
                "READ_ALL",
                "READ_CLEAR",
                "CLEAR",
                "CONSOLE_OFF",
                "CONSOLE_ON",
                "CONSOLE_LEVEL",
                "SIZE_UNREAD",
                "SIZE_BUFFER",
            )
        )
    ),  # linux/syslog.h of the kernel, which user space does not get
}


def evaluated(headers: list[str], names: list[str]) -> dict[str, int]:
    """Return the values of these names, as the C compiler has them; what is no number is left out."""
    includes = "#include <stddef.h>\n#include <linux/types.h>\n" + "".join(
        f"#include <{header}>\n" for header in headers
    )
    wanted = list(names)
    while wanted:
        source = includes + "".join(f"unsigned long value_{name} = (unsigned long)({name});\n" for name in wanted)
        command = ["clang", "-w", "-x", "c", "-ferror-limit=0", "-S", "-o", "-", "-"]
        made = subprocess.run(command, check=False, input=source, capture_output=True, text=True)
        if made.returncode == 0:
            found = re.findall(r"^value_(\w+):\n\s+\.quad\s+(-?\d+)", made.stdout, re.MULTILINE)
            zero = re.findall(r"^value_(\w+):\n\s+\.zero", made.stdout, re.MULTILINE)
            return {**dict.fromkeys(zero, 0), **{name: int(value) & 0xFFFFFFFF for name, value in found}}
        bad = set(re.findall(r"value_(\w+) =", made.stderr))
        if not bad:
            sys.exit(made.stderr)
        wanted = [name for name in wanted if name not in bad]
    return {}


def table(headers: str, pattern: str) -> dict[int, str]:
    """Return the names of one table by value; of two names for a value the first one in the header counts."""
    paths = headers.split()
    text = "".join((HEADERS / path).read_text() for path in paths if (HEADERS / path).exists())
    paths = [path for path in paths if (HEADERS / path).exists()]
    names = list(dict.fromkeys(re.findall(rf"\b(?:{pattern})\b", text)))
    values = evaluated(paths, names)
    found: dict[int, str] = {}
    for name in names:
        if name in values:
            found.setdefault(values[name], name)
    return found


def main() -> None:
    """Write the file."""
    tables = {name: table(*source) for name, source in SOURCES.items()}
    for name, given in GIVEN.items():
        tables[name] = {int(number): text for number, text in given.items()}
    shown = {name: {str(key): tables[name][key] for key in sorted(tables[name])} for name in sorted(tables)}
    DESTINATION.write_text(json.dumps(shown, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
