"""The probes behind ``unit-tailor doctor``: each tries the thing itself where it can, and leaves nothing behind.

Mounts and network devices are tried in namespaces of their own, which end with the probe.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from policy.capability_names import CAPABILITIES
from profiler import run
from profiler.errors import ToolError
from profiler.host_check import Finding, Purpose
from profiler.machine import Host
from profiler.recorders import strace_command
from profiler.recorders.ebpf import availability as ebpf_availability
from profiler.twin.state import DEFAULT, VARIABLE

NEEDED_CAPABILITIES = (
    *("CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_ADMIN", "CAP_SYS_CHROOT", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN"),
    *("CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_MKNOD"),
)
"""Without these no twin boots and no service of another user can be watched."""

OLDEST_SYSTEMD = 245
NEEDED_SPACE = 1_000_000_000
"""Bytes: the packages of a twin, with apt-get's lists and downloads."""

OVERLAY_SCRIPT = (
    "mount -t tmpfs tmpfs /tmp && cd /tmp && mkdir upper work merged &&"
    " mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work merged && test -e merged/usr"
)


def survey() -> Iterator[Finding]:
    """Yield a finding for each thing that matters, the most important first."""
    for probe in PROBES:
        finding = probe()
        yield replace(finding, remedy="") if finding.ok else finding


def find_rights() -> Finding:
    """Whether this process is root."""
    user = os.geteuid()
    return Finding("root", user == 0, f"user id {user}", "run: sudo unit-tailor doctor")


def find_capabilities() -> Finding:
    """Whether root is root here: in a container it often is not."""
    return judge_capabilities(Path("/proc/self/status").read_text(encoding="utf-8"))


def judge_capabilities(status: str) -> Finding:
    """Return what the text of /proc/PID/status says about the effective capabilities (proc(5))."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    mask = int(match[1], 16) if match else 0
    absent = [name for number, name in enumerate(CAPABILITIES) if not mask >> number & 1]
    missing = [name for name in NEEDED_CAPABILITIES if name in absent]
    if missing:
        remedy = "run as root; in a container: start the container with --privileged"
        return Finding("capabilities", False, f"without {', '.join(missing)}", remedy)
    return Finding("capabilities", True, f"all but {', '.join(absent)}" if absent else "all of them")


def find_strace() -> Finding:
    """Whether the strace recorder can work, as it says itself."""
    answer = strace_command.availability(Host())
    if not answer.available:
        return Finding("strace", False, answer.reason, answer.remedy)
    version = re.search(r"version (\S+)", run.run(["strace", "-V"], check=False).stdout)
    return Finding("strace", True, f"version {version[1] if version else 'unknown'} traces processes")


def find_systemd_tools() -> Finding:
    """Whether systemctl and systemd-analyze are there, and new enough."""
    for program in ("systemctl", "systemd-analyze"):
        if not _installed(program):
            return Finding("systemd", False, f"{program} is not installed", "run: apt-get install systemd")
    return judge_systemd(run.run(["systemctl", "--version"], check=False).stdout)


def judge_systemd(printed: str) -> Finding:
    """Return what the output of ``systemctl --version`` means."""
    match = re.match(r"systemd (\d+)", printed)
    if match is None:
        return Finding("systemd", False, "systemctl does not tell its version", "run: apt-get install systemd")
    version = int(match[1])
    words = printed.splitlines()[1:2]
    without = [word[1:] for word in (words[0].split() if words else []) if word in {"-SECCOMP", "-BPF_FRAMEWORK"}]
    reason = f"version {version}" + (f", built without {' and '.join(without)}" if without else "")
    remedy = f"unit-tailor knows systemd {OLDEST_SYSTEMD} and later: use Debian 12 or newer"
    return Finding("systemd", version >= OLDEST_SYSTEMD, reason, remedy)


def find_running_systemd() -> Finding:
    """Whether systemd is PID 1."""
    first = _read("/proc/1/comm") or "unknown"
    return Finding(
        "systemd as PID 1",
        Host.has_systemd(),
        f"PID 1 is {first}",
        "nothing to do: services are studied in a twin, in which systemd is PID 1",
        Purpose.HOST,
    )


def find_nspawn() -> Finding:
    """Whether systemd-nspawn, which boots twins, is installed."""
    there = _installed("systemd-nspawn")
    reason = "installed" if there else "not installed"
    return Finding("systemd-nspawn", there, reason, "run: apt-get install systemd-container", Purpose.TWIN)


def find_overlay() -> Finding:
    """Whether an overlay over / can be mounted: it is, in a mount namespace of its own."""
    refusal = _refusal(["unshare", "--mount", "--propagation", "private", "sh", "-c", OVERLAY_SCRIPT])
    remedy = "needs CAP_SYS_ADMIN and overlayfs; run: modprobe overlay; in a container: run it privileged"
    return Finding("overlay mounts", not refusal, refusal or "can be mounted over /", remedy, Purpose.TWIN)


def find_network() -> Finding:
    """Whether a network of its own with a pair of virtual devices can be made: it is, and is gone again."""
    refusal = _refusal(["unshare", "--net", "ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"])
    remedy = "needs CAP_NET_ADMIN and iproute2; run: apt-get install iproute2; modprobe veth"
    return Finding("private network", not refusal, refusal or "can be made, with a veth pair", remedy, Purpose.TWIN)


def find_cgroups() -> Finding:
    """Whether control groups of version 2 are mounted and can be changed."""
    return judge_cgroups(_read("/proc/self/mountinfo"), lambda place: os.access(place, os.W_OK))


def judge_cgroups(mountinfo: str, writable: Callable[[str], bool]) -> Finding:
    """Return what the text of /proc/self/mountinfo says about control groups (proc_pid_mountinfo(5))."""
    rows = [line.split() for line in mountinfo.splitlines() if " - cgroup2 " in line]
    places = [row[4] for row in rows if row[3] == "/"]
    if not places:
        remedy = "run: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified"
        return Finding("control groups", False, "version 2 is not mounted", remedy, Purpose.TWIN)
    mode = "unified" if "/sys/fs/cgroup" in places else "hybrid"
    if not any(map(writable, places)):
        remedy = "in a container: run it privileged"
        return Finding("control groups", False, f"{mode}, read-only at {places[0]}", remedy, Purpose.TWIN)
    return Finding("control groups", True, f"{mode}, writable at {places[0]}", purpose=Purpose.TWIN)


def find_space() -> Finding:
    """Whether there is room where twins keep their changes and their packages."""
    place = Path(os.environ.get(VARIABLE) or DEFAULT)
    existing = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    reason = f"{free / 1e9:.1f} GB free at {existing}"
    remedy = f"{NEEDED_SPACE / 1e9:.0f} GB is needed: make room there, or set {VARIABLE} to another directory"
    return Finding("disk space", free >= NEEDED_SPACE, reason, remedy, Purpose.TWIN)


def find_seccomp() -> Finding:
    """Whether the kernel filters system calls, and can log what it filters."""
    actions = _read("/proc/sys/kernel/seccomp/actions_avail").split()
    ok = {"errno", "log", "kill_process"} <= set(actions)
    reason = f"kernel {platform.release()} " + (
        "filters and logs" if ok else "has no filters: SystemCallFilter= is void"
    )
    return Finding("seccomp", ok, reason, "use a kernel with CONFIG_SECCOMP_FILTER=y", Purpose.EXTRA)


def find_apt() -> Finding:
    """Whether packages can be installed into a twin."""
    there = _installed("apt-get")
    reason = "installs packages into twins" if there else "not installed: no packages can be added to a twin"
    return Finding("apt-get", there, reason, "use a Debian or a derivative for --package", Purpose.EXTRA)


def find_btf() -> Finding:
    """Whether the kernel describes its own types, which an eBPF program needs to fit."""
    there = Path("/sys/kernel/btf/vmlinux").exists()
    reason = "the kernel describes its types" if there else "no /sys/kernel/btf/vmlinux"
    return Finding("BTF", there, reason, "use a kernel with CONFIG_DEBUG_INFO_BTF=y", Purpose.EXTRA)


def find_ebpf() -> Finding:
    """Whether the eBPF recorder can work, as it says itself: its programs are tried on the kernel."""
    answer = ebpf_availability.availability()
    if not answer.available:
        return Finding("eBPF recorder", False, answer.reason, answer.remedy, Purpose.EXTRA)
    seen = (
        f"the kernel takes its programs; {answer.lost}" if answer.lost else "the kernel takes its programs, all of them"
    )
    return Finding("eBPF recorder", True, seen, purpose=Purpose.EXTRA)


def find_bcc() -> Finding:
    """Whether Debian's bcc is there; the Python index has something else under that name."""
    place = _module("bcc")
    genuine = place is not None and (place.parent / "libbcc.py").exists()
    reason = (
        "installed" if genuine else "not installed" if place is None else f"{place} is another package of that name"
    )
    return Finding("bcc", genuine, reason, "run: apt-get install python3-bpfcc", Purpose.EXTRA)


def find_python_ptrace() -> Finding:
    """Whether python-ptrace is there."""
    there = _module("ptrace") is not None
    reason = "installed" if there else "not installed"
    return Finding("python-ptrace", there, reason, "run: pipx inject unit-tailor python-ptrace", Purpose.EXTRA)


PROBES: tuple[Callable[[], Finding], ...] = (
    *(find_rights, find_capabilities, find_strace, find_systemd_tools, find_running_systemd),
    *(find_nspawn, find_overlay, find_cgroups, find_network, find_space),
    *(find_seccomp, find_apt, find_btf, find_ebpf, find_bcc, find_python_ptrace),
)


def _installed(program: str) -> bool:
    return shutil.which(program, path=run.environment()["PATH"]) is not None


def _module(name: str) -> Path | None:
    """Return where a module would be imported from, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin) if spec is not None and spec.origin else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _refusal(command: list[str]) -> str:
    """Run a probe; return the last words of its failure, or nothing."""
    try:
        completed = run.run(command, check=False, timeout=20)
    except ToolError as error:
        return error.message
    if completed.status == 0:
        return ""
    said = [line for line in completed.stderr.splitlines() if line.strip() and "dmesg" not in line]
    return said[-1].strip() if said else f"{command[0]} ended with status {completed.status}"
