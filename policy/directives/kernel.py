"""The directives of systemd.exec(5), "Sandboxing", that keep a service away from the kernel's own controls.

Tables of paths: the ``protect_*_table`` arrays in systemd's ``src/core/namespace.c``; sets of calls:
``syscall_filter_sets`` in ``src/shared/seccomp-util.c``, asked from the target where it tells them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.behaviour import Access, ClockUsed, Fact, FileKind, PathUse, SystemCall
from policy.directives.base import Evidence
from policy.directives.choice import Choice
from policy.host_facts import HostFacts
from policy.level import Level
from policy.sandbox.devices import DeviceRule
from policy.sandbox.mount_entry import Mode, MountEntry
from policy.sandbox.mount_table import UNSEEN
from policy.sandbox.read_only import HAPPENED
from policy.sandbox.sandbox import Sandbox

MANUAL = "systemd.exec(5), Sandboxing"

_MODULE_CALLS = frozenset({"delete_module", "finit_module", "init_module"})
_CLOCK_CALLS = frozenset(
    {"adjtimex", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64", "settimeofday", "stime"}
)
_HOST_NAME_CALLS = frozenset({"sethostname", "setdomainname"})

PROC_OPTIONS_KERNEL = (5, 8)
"""The first kernel that mounts several /proc with options of their own."""

MEMORY_PRESSURE_SINCE = 254
"""From here on systemd leaves the unit's own memory.pressure writable (systemd.resource-control(5))."""

SUBSET_WITH_OTHERS_SINCE = 250
"""Before, the mounts of ProtectKernelTunables= and ProtectKernelLogs= fail on a /proc without their paths."""


@dataclass(frozen=True)
class KernelChoice(Choice, abstract=True):
    """Shared by this section: entries that are ignored where the path is missing."""

    manual: ClassVar = MANUAL
    shows_own_trees: ClassVar[bool] = False
    """Whether it implies MountAPIVFS=."""

    def mount(self, sandbox: Sandbox, mode: Mode, *paths: str) -> None:
        """Add entries of one mode for these paths."""
        name = type(self).__name__
        sandbox.mounts.add(*(MountEntry(path, mode, name, self.setting, ignore_missing=True) for path in paths))

    def separate(self, sandbox: Sandbox) -> None:
        """Ask for a private mount namespace, where it takes that with /proc, /sys and /dev of its own."""
        name = type(self).__name__
        if self.shows_own_trees:
            sandbox.mounts.separate_with_own_trees(name, self.setting, sandbox.host.systemd_version)
        else:
            sandbox.mounts.separate(name, self.setting)

    def deny_set(self, sandbox: Sandbox, name: str, fallback: frozenset[str]) -> None:
        """Answer EPERM to a set of system calls, as the target knows it."""
        calls = sandbox.host.syscall_sets.get(name) or fallback
        sandbox.filters.deny_calls(type(self).__name__, self.setting, calls)

    def drop(self, sandbox: Sandbox, *capabilities: str) -> None:
        """Take capabilities out of the bounding set."""
        sandbox.capabilities.drop(type(self).__name__, self.setting, frozenset(capabilities))


@dataclass(frozen=True)
class ProtectKernelTunables(KernelChoice):
    """Makes /proc/sys, /sys and their like read-only and hides kallsyms and kcore.

    Facts: uses of these paths, and _sysctl. Not judged: mounts that the host has below /proc and that systemd does
    not repeat in the new /proc.
    """

    since: ClassVar = {"yes": 232}
    shows_own_trees: ClassVar = True
    summary: ClassVar = "write-protects /proc/sys, /sys and other switches of the kernel"
    denied_examples: ClassVar = {
        "yes": Fact(PathUse("/proc/sys/net/core/somaxconn", Access.WRITE, FileKind.REGULAR)),
    }

    def enforce(self, sandbox: Sandbox) -> None:
        """Add the table of ``protect_kernel_tunables_proc_table`` and ``..._sys_table``, and the filter."""
        self.separate(sandbox)
        names = "acpi apm asound bus fs irq latency_stats mtrr scsi sys sysrq-trigger timer_stats"
        self.mount(sandbox, Mode.READ_ONLY, *(f"/proc/{name}" for name in names.split()))
        self.mount(sandbox, Mode.INACCESSIBLE, "/proc/kallsyms", "/proc/kcore")
        self.mount(sandbox, Mode.READ_ONLY, "/sys", "/sys/fs/bpf", "/sys/kernel/debug", "/sys/kernel/tracing")
        self.mount(sandbox, Mode.IMPLICIT_READ_WRITE, "/sys/fs/cgroup", "/sys/fs/selinux")
        sandbox.filters.deny_calls(type(self).__name__, self.setting, frozenset({"_sysctl"}))


@dataclass(frozen=True)
class ProtectKernelModules(KernelChoice):
    """Takes away the loading of kernel modules and hides /usr/lib/modules.

    Facts: the module calls, CAP_SYS_MODULE, uses below /usr/lib/modules. Modules that the kernel loads by itself are
    not affected.
    """

    since: ClassVar = {"yes": 232}
    summary: ClassVar = "takes away loading and unloading of kernel modules"
    denied_examples: ClassVar = {"yes": Fact(SystemCall("finit_module"))}

    def enforce(self, sandbox: Sandbox) -> None:
        """Hide the modules, load the filter, drop the capability."""
        self.separate(sandbox)
        self.mount(sandbox, Mode.INACCESSIBLE, "/usr/lib/modules")
        self.deny_set(sandbox, "@module", _MODULE_CALLS)
        self.drop(sandbox, "CAP_SYS_MODULE")


@dataclass(frozen=True)
class ProtectKernelLogs(KernelChoice):
    """Takes away the kernel's log: /dev/kmsg, /proc/kmsg and syslog(2).

    Facts: uses of both paths, syslog, CAP_SYSLOG.
    """

    since: ClassVar = {"yes": 244}
    summary: ClassVar = "takes away reading and writing of the kernel's log"
    denied_examples: ClassVar = {"yes": Fact(SystemCall("syslog"))}

    def enforce(self, sandbox: Sandbox) -> None:
        """Hide both files, load the filter, drop the capability."""
        self.separate(sandbox)
        self.mount(sandbox, Mode.INACCESSIBLE, "/proc/kmsg", "/dev/kmsg")
        sandbox.filters.deny_calls(type(self).__name__, self.setting, frozenset({"syslog"}))
        self.drop(sandbox, "CAP_SYSLOG")


@dataclass(frozen=True)
class ProtectControlGroups(KernelChoice):
    """Makes /sys/fs/cgroup read-only.

    Facts: writes below it. ``private`` and ``strict`` add a cgroup namespace, in which the paths of cgroups change, so
    ``strict`` is proposed only to services that look at no cgroup, and ``private``, which leaves the tree writable,
    to none.
    """

    since: ClassVar = {"yes": 232, "private": 257, "strict": 257}
    order: ClassVar = ("no", "private", "yes", "strict")
    ordered: ClassVar = False
    levels: ClassVar = "compatible proposes yes only"
    shows_own_trees: ClassVar = True
    summary: ClassVar = "write-protects the tree of control groups"
    _write: ClassVar = Fact(PathUse("/sys/fs/cgroup/system.slice/cgroup.procs", Access.WRITE, FileKind.REGULAR))
    denied_examples: ClassVar = {"yes": _write, "private": _write, "strict": _write}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose strict to services that look at no cgroup, then yes."""
        if not evidence.start_up_observed:
            return []
        looks = evidence.level is Level.COMPATIBLE or any(map(_looks_at_cgroups, evidence.of(PathUse)))
        words = ("yes",) if looks or evidence.uses_rings else ("strict", "yes")
        return [cls(word) for word in words if word in cls.known_words(evidence.host)]

    def enforce(self, sandbox: Sandbox) -> None:
        """Make the tree read-only, or show a tree of the service's own, whose top is the service's cgroup."""
        self.separate(sandbox)
        mode = Mode.READ_ONLY if self.value == "yes" else Mode.EMPTY_DIRECTORY
        blame = type(self).__name__, self.setting
        sandbox.mounts.add(
            MountEntry("/sys/fs/cgroup", mode, *blame, ignore_missing=True, read_only=self.value == "strict")
        )
        if sandbox.host.systemd_version >= MEMORY_PRESSURE_SINCE:
            own = f"/sys/fs/cgroup/system.slice/{sandbox.unit.name}"
            self.mount(sandbox, Mode.READ_WRITE, f"{own}/memory.pressure")


def _looks_at_cgroups(fact: Fact) -> bool:
    use = fact.behaviour
    if not isinstance(use, PathUse):
        return False
    return use.path.startswith("/sys/fs/cgroup") or (
        use.path.startswith("/proc/") and use.path.endswith(("/cgroup", "/cgroups", "/mountinfo", "/mounts"))
    )


@dataclass(frozen=True)
class ProtectProc(KernelChoice):
    """Hides the directories of other users' processes in /proc.

    Facts: uses below ``/proc/other`` and listings of /proc. Processes in the group root see everything with
    ``invisible`` and ``noaccess``; user 0 stands for that group here. Other processes of the same user would stay
    visible, but a fact does not tell them from those of other users.
    """

    since: ClassVar = {"noaccess": 247, "invisible": 247, "ptraceable": 247}
    order: ClassVar = ("default", "noaccess", "ptraceable", "invisible")
    ordered: ClassVar = False
    levels: ClassVar = "strict also tries ptraceable"
    shows_own_trees: ClassVar = True
    summary: ClassVar = "hides the processes of other users in /proc"
    _foreign: ClassVar = Fact(PathUse("/proc/other/cmdline", Access.READ, FileKind.REGULAR), user=65534)
    denied_examples: ClassVar = {"noaccess": _foreign, "invisible": _foreign, "ptraceable": _foreign}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose invisible, then noaccess, where only the contents are refused.

        To a service that looks at no process but its own one, not even at those that it made, ``ptraceable`` first if
        the level is strict: it also hides processes from root.
        """
        if not evidence.start_up_observed or not mounts_own_proc(evidence.host):
            return []
        looks = evidence.level is not Level.STRICT or any(map(_looks_at_processes, evidence.of(PathUse)))
        words = ("invisible", "noaccess") if looks else ("ptraceable", "invisible", "noaccess")
        return [cls(word) for word in words if word in cls.known_words(evidence.host)]

    @classmethod
    def unenforced(cls, host: HostFacts) -> str:
        """Add kernels that cannot mount /proc with options; systemd goes on without."""
        return super().unenforced(host) or _cannot_mount_proc(host)

    def enforce(self, sandbox: Sandbox) -> None:
        """Mount /proc with ``hidepid``."""
        self.separate(sandbox)
        sandbox.mounts.processes.visibility = self.value
        sandbox.mounts.processes.visibility_blame = (type(self).__name__, self.setting)


def _looks_at_processes(fact: Fact) -> bool:
    use = fact.behaviour
    return isinstance(use, PathUse) and (
        use.path == "/proc" or use.path.startswith(("/proc/own", "/proc/other", "/proc/1"))
    )


@dataclass(frozen=True)
class ProcSubset(KernelChoice):
    """Leaves only the directories of processes in /proc.

    Facts: uses of everything else in /proc, look-ups included, and of links such as /proc/mounts. Programs fall back
    without a word when meminfo or cpuinfo is missing; only the look-up shows it.
    """

    since: ClassVar = {"pid": 247}
    order: ClassVar = ("all", "pid")
    levels: ClassVar = "not at compatible"
    shows_own_trees: ClassVar = True
    summary: ClassVar = "hides everything in /proc except processes"
    denied_examples: ClassVar = {"pid": Fact(PathUse("/proc/meminfo", Access.READ, FileKind.REGULAR))}

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose pid where it goes together with the directives that mount below /proc.

        Not at the level compatible: libraries read meminfo and cpuinfo on rare paths, and fall back without a word.
        """
        host = evidence.host
        usable = (
            evidence.level is not Level.COMPATIBLE
            and mounts_own_proc(host)
            and host.systemd_version >= SUBSET_WITH_OTHERS_SINCE
        )
        return super().candidates(evidence) if usable else []

    @classmethod
    def unenforced(cls, host: HostFacts) -> str:
        """Add kernels that cannot mount /proc with options; systemd goes on without."""
        return super().unenforced(host) or _cannot_mount_proc(host)

    def enforce(self, sandbox: Sandbox) -> None:
        """Mount /proc with ``subset=pid``."""
        self.separate(sandbox)
        sandbox.mounts.processes.subset_blame = (type(self).__name__, self.setting)


@dataclass(frozen=True)
class ProtectClock(KernelChoice):
    """Takes away setting and tuning of the clocks, alarms that wake the machine, and the real-time clock.

    Facts: the calls of @clock, also those that only read (adjtimex), ``*_ALARM`` clocks, CAP_SYS_TIME and
    CAP_WAKE_ALARM, writes to /dev/rtc where a device list is on.
    """

    since: ClassVar = {"yes": 245}
    summary: ClassVar = "takes away setting of the clock"
    denied_examples: ClassVar = {"yes": Fact(SystemCall("clock_settime"))}

    def enforce(self, sandbox: Sandbox) -> None:
        """Load the filter and drop the capabilities. Up to 251 the device list is switched on as well."""
        self.deny_set(sandbox, "@clock", _CLOCK_CALLS)
        sandbox.filters.add(type(self).__name__, self.setting, _refuses_alarms)
        self.drop(sandbox, "CAP_SYS_TIME", "CAP_WAKE_ALARM")
        rule = DeviceRule("char-rtc", "r")
        if sandbox.host.systemd_version < 252:
            sandbox.devices.allow(type(self).__name__, self.setting, rule)
        else:
            sandbox.devices.allow_if_restricted(rule)


def _refuses_alarms(fact: Fact) -> str:
    """EPERM for what needs CAP_WAKE_ALARM: no filter does this, but the missing capability has the same effect."""
    match fact.behaviour:
        case ClockUsed(call=call, clock=clock) if clock.endswith("_ALARM") or call in _CLOCK_CALLS:
            return "EPERM"
    return ""


@dataclass(frozen=True)
class PrivateBPF(KernelChoice):
    """Gives the service a file system of its own for BPF objects, in place of /sys/fs/bpf.

    Facts: uses below /sys/fs/bpf. bpf(2) itself stays.
    """

    since: ClassVar = {"yes": 258}
    shows_own_trees: ClassVar = True
    summary: ClassVar = "hides the BPF objects of others in /sys/fs/bpf"
    denied_examples: ClassVar = {"yes": Fact(PathUse("/sys/fs/bpf/tc", Access.READ, FileKind.DIRECTORY))}

    def enforce(self, sandbox: Sandbox) -> None:
        """Mount an empty bpffs."""
        self.separate(sandbox)
        self.mount(sandbox, Mode.TEMPORARY, "/sys/fs/bpf")


@dataclass(frozen=True)
class ProtectHostname(KernelChoice):
    """Gives the service a host name of its own that it cannot change.

    Facts: sethostname and setdomainname, writes below /proc/sys/kernel. A service that must notice later changes of
    the host name cannot be recognised. ``private`` (from 258) lets the service change its own copy.
    """

    since: ClassVar = {"yes": 242, "private": 258}
    order: ClassVar = ("no", "private", "yes")
    summary: ClassVar = "takes away setting of the host name"
    denied_examples: ClassVar = {"yes": Fact(SystemCall("sethostname")), "private": Fact(SystemCall("sethostname"))}

    @classmethod
    def normal_form(cls, word: str) -> str:
        """Leave out the host name that may follow the mode."""
        return super().normal_form(word.partition(":")[0])

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose yes."""
        return [cls("yes")] if evidence.start_up_observed else []

    def enforce(self, sandbox: Sandbox) -> None:
        """Load the filter; the files in /proc are covered only if there is a private mount namespace anyway.

        With ``private`` the calls succeed without effect on the host, which counts as a denial just as well.
        """
        if self.value == "yes":
            sandbox.filters.deny_calls(type(self).__name__, self.setting, _HOST_NAME_CALLS)
            self.mount(sandbox, Mode.READ_ONLY, "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname")
        else:
            sandbox.filters.add(type(self).__name__, self.setting, _keeps_host_name_to_itself)


def _keeps_host_name_to_itself(fact: Fact) -> str:
    is_set = isinstance(fact.behaviour, SystemCall) and fact.behaviour.name in _HOST_NAME_CALLS
    return UNSEEN if is_set and fact.outcome in HAPPENED else ""


def _cannot_mount_proc(host: HostFacts) -> str:
    return "" if mounts_own_proc(host) else f"Linux {'.'.join(map(str, host.kernel))} cannot mount /proc so"


def mounts_own_proc(host: HostFacts) -> bool:
    """Whether the target's kernel can mount /proc with options of its own for one service."""
    return host.kernel >= PROC_OPTIONS_KERNEL
