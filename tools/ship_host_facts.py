"""Writes the table of this machine's systemd for ``policy/data``: run it where that version is installed.

.venv/bin/python tools/ship_host_facts.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from profiler import host
from profiler.machine import Host

DATA = Path(__file__).resolve().parent.parent / "policy" / "data"
PROGRAM = "/lib/systemd/systemd"


def service_settings(items: str) -> list[str]:
    """Return the names below [Service] in the output of ``systemd --dump-configuration-items``."""
    section = re.search(r"^\[Service\]\n(.*?)(?=^\[|\Z)", items, re.DOTALL | re.MULTILINE)
    assert section is not None
    return sorted({line.partition("=")[0] for line in section[1].splitlines() if "=" in line})


def distribution_kernel(machine: Host) -> list[int]:
    """Return the version of the kernel that this Debian boots, major and minor, as ``apt-get update`` left it."""
    said = machine.run(["apt-cache", "show", "linux-image-amd64"]).stdout
    found = [[int(part) for part in match] for match in re.findall(r"^Version: (\d+)\.(\d+)", said, re.MULTILINE)]
    return max(found)


def table() -> dict[str, object]:
    """Return everything that ``policy.shipped_host_facts`` wants to know about the systemd of this machine."""
    machine = Host()
    said = machine.run(["systemctl", "--version"]).stdout
    facts = host.read_host_facts(machine)
    nested = host.parse_syscall_sets(machine.run(["systemd-analyze", "--no-pager", "syscall-filter"]).stdout)
    return {
        "made_with": said.splitlines()[0],
        "kernel": distribution_kernel(machine),  # not what happens to run where this table is made
        "architecture": facts.architecture,
        "features": sorted(facts.features),
        "service_settings": service_settings(machine.run([PROGRAM, "--dump-configuration-items"]).stdout),
        "syscall_sets": {name: sorted(members) for name, members in sorted(nested.items())},
    }


def main() -> None:
    """Write the table."""
    contents = table()
    version = host.parse_version(str(contents["made_with"]))
    DATA.mkdir(exist_ok=True)
    path = DATA / f"systemd_{version}.json"
    path.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
