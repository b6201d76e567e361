#!/usr/bin/env python3
"""Writes the numbers of system calls and of the ioctls that matter, from this machine's C headers.

The recorder sees numbers; names come from this file, so that the target needs no headers. Run it on a machine with
linux-libc-dev; calls newer than its headers are added from the list below.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

DESTINATION = Path(__file__).parent.parent / "profiler" / "recorders" / "ebpf" / "x86_64.numbers.json"
HEADERS = Path("/usr/include/x86_64-linux-gnu/asm")
ARCHITECTURES = {"x86-64": "unistd_64.h", "x86": "unistd_32.h", "x32": "unistd_x32.h"}

NEWER = {
    451: "cachestat",
    452: "fchmodat2",
    453: "map_shadow_stack",
    454: "futex_wake",
    455: "futex_wait",
    456: "futex_requeue",
    457: "statmount",
    458: "listmount",
    459: "lsm_get_self_attr",
    460: "lsm_set_self_attr",
    461: "lsm_list_modules",
    462: "mseal",
    463: "setxattrat",
    464: "getxattrat",
    465: "listxattrat",
    466: "removexattrat",
    467: "open_tree_attr",
    468: "file_getattr",
    469: "file_setattr",
}  # the same number everywhere since Linux 5.1; scripts/syscall.tbl of Linux 6.17

IOCTL_HEADERS = ("sockios.h", "rtc.h", "if_tun.h", "loop.h", "fs.h", "random.h")
IOCTL = re.compile(r"^#define ((?:SIOC|RTC_|TUN|LOOP_|BLK|RND|FI|FS_IOC)[A-Z0-9_]*) ", re.MULTILINE)
TERMINALS_OWN = {0x541B, 0x5411}  # FIONREAD and TIOCOUTQ, which sockios.h has as SIOCINQ and SIOCOUTQ too
TERMINAL = {"TIOCSTI": 0x5412, "TIOCCONS": 0x541D, "TIOCLINUX": 0x541C}  # asm-generic/ioctls.h


def call_numbers(header: Path) -> dict[str, str]:
    """Return the names by number, without the bit that marks x32."""
    found = re.findall(r"#define __NR_(\w+) (?:\(__X32_SYSCALL_BIT \+ )?(\d+)", header.read_text())
    named = {int(number): name for name, number in found}
    return {str(number): name for number, name in sorted({**NEWER, **named}.items())}


def ioctl_numbers() -> dict[str, str]:
    """Return the names of ioctl requests by number, as the C compiler evaluates them."""
    includes = "".join(f"#include <linux/{name}>\n" for name in IOCTL_HEADERS)
    defined = subprocess.run(["clang", "-E", "-dM", "-"], input=includes, capture_output=True, text=True, check=True)
    names = sorted(set(IOCTL.findall(defined.stdout)))
    source = (
        includes
        + "#include <sys/ioctl.h>\n"
        + "".join(
            f"unsigned long value_{name} = (unsigned long)({name});\n" for name in names if not name.endswith("_")
        )
    )
    assembly = subprocess.run(
        ["clang", "-x", "c", "-S", "-o", "-", "-"], input=source, capture_output=True, text=True, check=False
    )
    if assembly.returncode:
        # Some macros are no numbers: leave out those that the compiler names, and try again.
        bad = set(re.findall(r"value_(\w+) =", assembly.stderr))
        if not bad:
            sys.exit(assembly.stderr)
        source = "\n".join(line for line in source.splitlines() if not any(f"value_{name} " in line for name in bad))
        assembly = subprocess.run(
            ["clang", "-x", "c", "-S", "-o", "-", "-"], input=source + "\n", capture_output=True, text=True, check=True
        )
    found = dict(TERMINAL)
    for name, value in re.findall(r"^value_(\w+):\n\s+\.quad\s+(\d+)", assembly.stdout, re.MULTILINE):
        if int(value) > 0xFF and int(value) not in TERMINALS_OWN:
            found.setdefault(name, int(value) & 0xFFFFFFFF)
    return {str(number): name for name, number in sorted(found.items(), reverse=True)}


def main() -> None:
    """Write the file."""
    tables = {name: call_numbers(HEADERS / header) for name, header in ARCHITECTURES.items()}
    DESTINATION.write_text(json.dumps({**tables, "ioctls": ioctl_numbers()}, indent=0) + "\n")


if __name__ == "__main__":
    main()
