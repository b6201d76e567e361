"""Reads what policy has to know about a machine, from the machine itself: host, or twin.

Works without a running manager: ``systemctl --version`` and ``systemd-analyze syscall-filter`` ask nobody.
"""

from __future__ import annotations

import re

from policy.host_facts import CONTROL_GROUP_PROGRAMS, DEVICE_CONTROL, HostFacts
from policy.shipped_host_facts import expand_sets
from profiler import control_group_programs
from profiler.errors import ToolError
from profiler.machine import Machine

PORT_START = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
SECURITY_MODULES = "/sys/kernel/security/lsm"
DEFAULT_PORT_START = 1024
_BOOTED = "/run/systemd/system"  # sd_booted(3)
_HIERARCHY = "/sys/fs/cgroup"
_HYBRID = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")  # where the manager's own hierarchy is among others
LOADED_AT_RUN_TIME = frozenset({"libbpf"})

# As uname(2) says it, and as systemd does: src/basic/architecture.c of systemd 252.
_ARCHITECTURES = {
    "x86_64": "x86-64",
    "aarch64": "arm64",
    "aarch64_be": "arm64-be",
    "ppc64le": "ppc64-le",
    "ppc64": "ppc64",
    "ppcle": "ppc-le",
    "ppc": "ppc",
    "s390x": "s390x",
    "s390": "s390",
    "riscv64": "riscv64",
    "riscv32": "riscv32",
    "loongarch64": "loongarch64",
    "mips64": "mips64",
    "mips": "mips",
    "sparc64": "sparc64",
    "sparc": "sparc",
    "parisc64": "parisc64",
    "parisc": "parisc",
    "ia64": "ia64",
    "alpha": "alpha",
    "m68k": "m68k",
    "tilegx": "tilegx",
}


def read_host_facts(machine: Machine) -> HostFacts:
    """Return what the machine knows and enforces. Raises ToolError if it has no systemd, or one that talks nonsense."""
    said = machine.run(["systemctl", "--version"]).stdout
    release, hardware = machine.run(["uname", "-rm"]).stdout.split()
    features = parse_features(said)
    return HostFacts(
        systemd_version=parse_version(said),
        kernel=parse_kernel(release),
        architecture=parse_architecture(hardware),
        syscall_sets={} if "-SECCOMP" in features else read_syscall_sets(machine),
        features=features,
        security_modules=parse_security_modules(machine.run(["cat", SECURITY_MODULES], check=False).stdout),
        missing_libraries=parse_missing_libraries(machine.run(["ldconfig", "-p"], check=False).stdout),
        refused=read_refused(machine),
        unprivileged_port_start=_port_start(machine),
    )


def parse_version(said: str) -> int:
    """Return the systemd version from ``systemctl --version``: 255 for ``systemd 255 (255~rc3-2)``.

    Raises ToolError if the text has none.
    """
    match = re.match(r"systemd v?(\d+)", said)
    if not match:
        words = said.strip().split("\n")[0][:80]
        raise ToolError(f"cannot read the version of systemd: systemctl --version says {words!a}")
    return int(match[1])


def parse_features(said: str) -> frozenset[str]:
    """Return the build options from ``systemctl --version``, with their sign: ``+SECCOMP``."""
    return frozenset(re.findall(r"(?<!\S)[+-][A-Z][A-Z0-9_]*(?!\S)", said))


def parse_kernel(release: str) -> tuple[int, int]:
    """Return the kernel version from its release: (6, 1) for ``6.1.0-18-amd64``. Raises ToolError if it has none."""
    match = re.match(r"(\d+)\.(\d+)", release)
    if not match:
        raise ToolError(f"cannot read the version of the kernel: uname -r says {release[:80]!a}")
    return int(match[1]), int(match[2])


def parse_architecture(hardware: str) -> str:
    """Return systemd's name for the machine hardware name of uname(1); an unknown one stays as it is."""
    if re.fullmatch(r"i[3-6]86", hardware):
        return "x86"
    if re.fullmatch(r"arm(?:v\d+\w*)?", hardware):
        return "arm-be" if hardware.endswith("b") else "arm"
    return _ARCHITECTURES.get(hardware, hardware)


def read_syscall_sets(machine: Machine) -> dict[str, frozenset[str]]:
    """Return the machine's system call sets, each fully expanded; ``@known`` is among them from systemd 247 on."""
    said = machine.run(["systemd-analyze", "--no-pager", "syscall-filter"]).stdout
    sets = expand_sets(parse_syscall_sets(said))
    if not sets.get("@default"):
        raise ToolError("cannot read the system call sets: systemd-analyze syscall-filter does not show @default")
    return sets


def parse_syscall_sets(said: str) -> dict[str, frozenset[str]]:
    """Return the sets that ``systemd-analyze syscall-filter`` prints, ``@sets`` in them as they are.

    A set begins with its name at the start of a line; its members are indented; lines with ``#`` are comments (at the
    start of a line they list system calls that are in no set).
    """
    sets: dict[str, set[str]] = {}
    current: set[str] = set()
    for line in said.splitlines():
        word = line.strip()
        if line.startswith("@"):
            current = sets.setdefault(word, set())
        elif not line[:1].isspace():
            current = set()
        elif word and not word.startswith("#"):
            current.add(word)
    return {name: frozenset(members) for name, members in sets.items()}


def parse_security_modules(said: str) -> frozenset[str] | None:
    """Return the kernel's security modules from ``/sys/kernel/security/lsm``: ``yama,bpf``; None if unknown."""
    return frozenset(said.strip().split(",")) if said.strip() else None


def parse_missing_libraries(said: str) -> frozenset[str]:
    """Return which libraries that systemd loads with dlopen(3) are not in the list of ``ldconfig -p``.

    systemd looks for libbpf.so.1, and for libbpf.so.0 besides or, before 251, only (``bpf-dlopen.c``). Where there is
    no list, nothing is known to be missing.
    """
    names = set(re.findall(r"^\s+(\S+)\.so\.[01] ", said, re.MULTILINE))
    return LOADED_AT_RUN_TIME - names if names else frozenset()


def read_refused(machine: Machine) -> dict[str, str]:
    """Return which mechanisms systemd cannot use there, each with why; none where another program is PID 1."""
    asked = ["stat", "--file-system", "--format=%n %T", _BOOTED, _HIERARCHY, *_HYBRID]
    return parse_refused(machine.run(asked, check=False).stdout, control_group_programs.refusal())


def parse_refused(file_systems: str, programs: str) -> dict[str, str]:
    """Return the same for the lines of stat(1) with ``%n %T``, and why the kernel takes no ``programs``.

    systemd puts its programs on control groups of version 2, its own hybrid hierarchy included; devices it controls by
    them only where everything is of version 2, else by the controller of version 1 (``cg_unified_controller``,
    ``cg_all_unified``; ``bpf-devices.c``).
    """
    types = dict(line.split(" ", 1) for line in file_systems.splitlines())
    if _BOOTED not in types:
        return {}
    second = {place for place, kind in types.items() if kind == "cgroup2fs"}
    if not second & {_HIERARCHY, *_HYBRID}:
        return {CONTROL_GROUP_PROGRAMS: "control groups of version 2 are not mounted"}
    if not programs:
        return {}
    return {CONTROL_GROUP_PROGRAMS: programs} | ({DEVICE_CONTROL: programs} if _HIERARCHY in second else {})


def parse_port_start(said: str) -> int:
    """Return the first port that needs no capability; kernels before 4.11 have no such setting, and start at 1024."""
    return int(said) if said.strip().isdecimal() else DEFAULT_PORT_START


def _port_start(machine: Machine) -> int:
    # Read inside the machine, because the value belongs to its network namespace.
    return parse_port_start(machine.run(["cat", PORT_START], check=False).stdout)
