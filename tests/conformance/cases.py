"""What is tried: every value of every directive that the systemd at hand knows, samples of lists, and combinations."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from policy.capability_names import CAPABILITIES, knows
from policy.directives.base import all_directives
from policy.directives.choice import Choice
from policy.directives.namespaces import known_kinds
from policy.host_facts import HostFacts
from policy.settings import Assignment
from policy.system_call_list import deny_list_form, group_form, whole_group_form
from tests.conformance.probe_kind import TESTER
from tests.conformance.tree import PLACES


@dataclass(frozen=True)
class Case:
    """Settings to try, under the directive that they are about.

    ``raw``: only probes that make no other calls; ``only_paths``: only those of the file system.
    """

    directive: str
    settings: tuple[Assignment, ...]
    raw: bool = False
    only_paths: bool = False
    users: tuple[int, ...] = (0, TESTER)

    @property
    def about_paths(self) -> bool:
        """Whether a directive is among the settings that mounts something."""
        return any(name.endswith("Paths") or name in MOUNTING for name, _ in self.settings)

    @property
    def label(self) -> str:
        """The settings in one line."""
        return " ".join(f"{name}={value}" for name, value in self.settings)


MOUNTING = frozenset(
    {"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "TemporaryFileSystem", "PrivateMounts"}
    | {"ProtectKernelTunables", "ProtectProc", "UMask", "PrivateUsers"}
)

P = "/srv/probe"

SAMPLES: Mapping[str, Sequence[Sequence[Assignment]]] = {
    "ReadWritePaths": [
        [("ProtectSystem", "strict"), ("ReadWritePaths", P)],
        [("ProtectSystem", "strict"), ("ReadWritePaths", f"{P}/inner {P}/own /var/lib/probe")],
        [("ProtectSystem", "strict"), ("ReadWritePaths", f"{P}/file {P}/victim -/nowhere")],
        [("ProtectSystem", "strict"), ("ReadWritePaths", "/srv /opt /etc /run /tmp")],
        [("ProtectSystem", "full"), ("ReadWritePaths", "/etc /usr/share/probe")],
        [("ProtectSystem", "full"), ("ReadWritePaths", "/etc/probe")],
        [("ProtectHome", "read-only"), ("ReadWritePaths", "/home /root/probe")],
        [("ProtectHome", "yes"), ("ReadWritePaths", "/home/probe")],
        [("ReadWritePaths", P)],
    ],
    "ReadOnlyPaths": [
        [("ReadOnlyPaths", P)],
        [("ReadOnlyPaths", "/")],
        [("ReadOnlyPaths", f"{P}/inner {P}/own {P}/file /home /tmp")],
        [("ReadOnlyPaths", "/srv"), ("ReadWritePaths", P)],
        [("ReadOnlyPaths", P), ("ReadWritePaths", P)],
        [("ReadOnlyPaths", P), ("ReadWritePaths", f"{P}/inner {P}/own/inner")],
        [("ReadOnlyPaths", "/proc /sys /dev")],
        [("ReadOnlyPaths", "/var /dev/shm")],
        [("ProtectSystem", "strict"), ("ProtectKernelTunables", "yes"), ("ReadOnlyPaths", "/run")],
        [
            ("ProtectSystem", "strict"),
            ("ProtectKernelTunables", "yes"),
            ("ReadWritePaths", "/run"),
            ("ReadOnlyPaths", "-/run/probe -/run/systemd"),
        ],
    ],
    "InaccessiblePaths": [
        [("InaccessiblePaths", P)],
        [("InaccessiblePaths", f"{P}/inner {P}/own/inner {P}/file {P}/own/file /tmp")],
        [("InaccessiblePaths", "/home /run/user /mnt")],
        [("InaccessiblePaths", "/srv"), ("ReadWritePaths", P)],
        [("InaccessiblePaths", "/srv"), ("BindPaths", P)],
        [("InaccessiblePaths", "/dev/probe-fuse /dev/probe-loop /proc/meminfo -/nowhere")],
        [("InaccessiblePaths", f"{P}/fifo {P}/own/fifo {P}/socket {P}/own/socket /opt/probe/tool")],
        [("InaccessiblePaths", P), ("CapabilityBoundingSet", "~CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH")],
    ],
    "NoExecPaths": [
        [("NoExecPaths", P)],
        [("NoExecPaths", "/srv /opt /home")],
        [("NoExecPaths", f"{P}/tool")],
        [("NoExecPaths", "/var"), ("ReadOnlyPaths", "/var/lib/probe")],
    ],
    "ExecPaths": [
        [("NoExecPaths", P), ("ExecPaths", f"{P}/tool")],
        [("NoExecPaths", "/srv /opt"), ("ExecPaths", P)],
        [("ExecPaths", P)],
        [("NoExecPaths", "/"), ("ExecPaths", "/usr /opt/probe")],
    ],
    "TemporaryFileSystem": [
        [("TemporaryFileSystem", "/srv")],
        [("TemporaryFileSystem", "/srv:ro")],
        [("TemporaryFileSystem", f"{P}:ro,mode=0700 /opt:mode=0700")],
        [("TemporaryFileSystem", "/srv:ro"), ("BindPaths", P)],
        [("TemporaryFileSystem", "/var/lib:ro"), ("BindReadOnlyPaths", "/var/lib/probe/own")],
        [("TemporaryFileSystem", "/tmp /var/tmp")],
        [("TemporaryFileSystem", "/home:ro"), ("ProtectSystem", "strict")],
    ],
    "BindPaths": [
        [("BindPaths", P)],
        [("ProtectSystem", "strict"), ("BindPaths", f"{P} /var/lib/probe/own")],
        [("ProtectHome", "tmpfs"), ("BindPaths", "/home/probe /root/probe/own")],
        [("ProtectHome", "yes"), ("BindPaths", "/home/probe")],
        [("BindPaths", f"{P}/inner -/nowhere")],
    ],
    "BindReadOnlyPaths": [
        [("BindReadOnlyPaths", P)],
        [("BindReadOnlyPaths", f"{P}/file {P}/own/inner")],
        [("ProtectHome", "tmpfs"), ("BindReadOnlyPaths", "/home/probe")],
        [("BindReadOnlyPaths", P), ("ReadWritePaths", f"{P}/inner")],
    ],
    "DeviceAllow": [
        [("DeviceAllow", "/dev/null rw")],
        [("DeviceAllow", "/dev/fuse rw")],
        [("DeviceAllow", "/dev/fuse r")],
        [("DeviceAllow", "char-mem rm"), ("DevicePolicy", "strict")],
        [("DeviceAllow", "block-loop rw"), ("DevicePolicy", "closed")],
        [("DeviceAllow", "char-* r"), ("DevicePolicy", "strict")],
        [("DeviceAllow", "/dev/null rwm"), ("DevicePolicy", "strict")],
        [("DevicePolicy", "strict")],
        [("DeviceAllow", "block-loop m"), ("DeviceAllow", "/dev/probe-log r")],
        [("PrivateDevices", "yes"), ("DeviceAllow", "/dev/fuse rw")],
    ],
    "RestrictAddressFamilies": [
        [("RestrictAddressFamilies", value)]
        for value in (
            "none",
            "AF_UNIX",
            "AF_INET AF_INET6",
            "AF_UNIX AF_NETLINK AF_PACKET",
            "~AF_PACKET",
            "~AF_INET AF_INET6",
            "~AF_UNIX",
            "~AF_NETLINK AF_ALG",
            "AF_VSOCK AF_BLUETOOTH",
        )
    ],
    "IPAddressDeny": [
        [("IPAddressDeny", "any")],
        [("IPAddressDeny", "localhost")],
        [("IPAddressDeny", "192.0.2.0/24")],
        [("IPAddressDeny", "192.0.2.1 ::1")],
        [("IPAddressDeny", "2001:db8::/32 127.0.0.1")],
    ],
    "IPAddressAllow": [
        [("IPAddressDeny", "any"), ("IPAddressAllow", "localhost")],
        [("IPAddressDeny", "any"), ("IPAddressAllow", "192.0.2.1")],
        [("IPAddressDeny", "localhost"), ("IPAddressAllow", "127.0.0.1")],
        [("IPAddressAllow", "localhost")],
    ],
    "SocketBindDeny": [
        [("SocketBindDeny", value)] for value in ("any", "tcp", "udp", "ipv4", "ipv6:tcp", "8080", "tcp:8000-8090")
    ],
    "SocketBindAllow": [
        [("SocketBindDeny", "any"), ("SocketBindAllow", value)]
        for value in ("tcp:8080", "udp", "ipv4:tcp:1-65535", "ipv6", "9000", "any")
    ],
    "RestrictNetworkInterfaces": [
        [("RestrictNetworkInterfaces", value)] for value in ("lo", "~lo", "eth0", "~eth0", "lo eth0")
    ],
    "UMask": [[("UMask", "0077")], [("UMask", "0022")]],
    "AmbientCapabilities": [
        [("AmbientCapabilities", "CAP_NET_RAW")],
        [("AmbientCapabilities", "CAP_SYS_ADMIN CAP_CHOWN")],
    ],
    "SystemCallErrorNumber": [
        [("SystemCallFilter", "~acct swapon"), ("SystemCallErrorNumber", value)]
        for value in ("EPERM", "EACCES", "ENOSYS", "38", "kill")
    ],
    "SystemCallArchitectures": [[("SystemCallArchitectures", value)] for value in ("native", "native x86", "x86-64")],
}
"""Values of the directives whose values are lists, and of those that mean nothing alone."""

CANNOT_START: Mapping[str, str] = {
    "~@file-system": "no program can be loaded without openat and fstat",
    "~@basic-io": "no program can be loaded without read and close",
    "~@known": "nothing is left",
    "~@default": "nothing can be executed",
    "~@process": "the actor cannot be started without execve's relatives",
    "~@system-service": "no program can be started without what @default does not have",
}
"""Filters under which the actor cannot run, so that they are tried only as far as it gets."""


NEEDS_MORE: Mapping[tuple[str, str], str] = {
    ("PrivateUsers", "managed"): "it takes systemd-nsresourced and files that belong to the users it gives out",
}
"""Values that do not do what they say in a small system, with what is missing."""


def single_cases(host: HostFacts) -> Iterator[Case]:
    """Yield the cases for each directive, in the order of the registry."""
    for name, kind in all_directives().items():
        if min(kind.since.values()) > host.systemd_version:
            continue
        if issubclass(kind, Choice):
            for word in kind.known_words(host):
                if word != kind.default() and (name, word) not in NEEDS_MORE:
                    yield Case(name, ((name, word),))
        for settings in SAMPLES.get(name, ()):
            yield Case(name, tuple(settings))
        yield from _generated(name, host)


def _generated(name: str, host: HostFacts) -> Iterator[Case]:
    match name:
        case "CapabilityBoundingSet":
            values = [f"~{capability}" for capability in CAPABILITIES if knows(capability, host.systemd_version)]
            values += ["", "CAP_NET_RAW CAP_CHOWN", "~CAP_BPF CAP_PERFMON CAP_CHECKPOINT_RESTORE CAP_SYS_ADMIN"]
            values += ["~CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH"]
            # Who has no capabilities loses none; the lists that keep few are tried by both users all the same.
            yield from (
                Case(name, ((name, value),), users=(0,) if _is_single(value) else (0, TESTER)) for value in values
            )
        case "RestrictNamespaces":
            kinds = sorted(known_kinds(host))
            values = ["yes", "no", *kinds, *(f"~{kind}" for kind in kinds), "mnt net", "~user mnt"]
            yield from (Case(name, ((name, value),), raw=False) for value in values)
        case "SystemCallFilter":
            yield from _filters(host)
        case _ if name not in SAMPLES and not issubclass(all_directives()[name], Choice):
            # A list that nobody has written samples for: what it says it must deny.
            yield from (Case(name, ((name, value),)) for value in all_directives()[name].denied_examples)


def _is_single(value: str) -> bool:
    return value.startswith("~") and " " not in value


def _filters(host: HostFacts) -> Iterator[Case]:
    name = "SystemCallFilter"
    for group in sorted(host.syscall_sets):
        value = f"~{group}"
        if value not in CANNOT_START:
            yield Case(name, ((name, value), ("SystemCallErrorNumber", "EPERM")), raw=True)
    for values in (
        ("@system-service",),
        ("@system-service", "~@privileged @resources"),
        ("~@clock",),
        ("~@mount @swap @reboot",),
        ("~@keyring:EACCES @aio:kill",),
        ("~personality:ENOENT uname",),
        ("@system-service", "~clone3:ENOSYS memfd_create:EACCES"),
        ("@system-service", "~uname", "mount"),
        ("@system-service", "~uname:EACCES mount:ENOENT"),
    ):
        yield Case(name, tuple((name, value) for value in values), raw=True)
    for answer in ("EPERM", "ENOSYS", "kill"):  # a rule that says what the whole list says: not every version starts
        settings = ((name, "@system-service"), (name, f"~uname:{answer}"), ("SystemCallErrorNumber", answer))
        yield Case(name, settings, raw=True)
    for form in (group_form, whole_group_form, deny_list_form):
        lines = form(frozenset({"mount", "chown"}), host)
        yield Case(name, (*((name, line) for line in lines), ("SystemCallErrorNumber", "EPERM")), raw=True)


def combinations(number: int, seed: int) -> Iterator[Case]:
    """Yield random combinations of the directives about paths, by turns for each user: the same for the same seed."""
    dice = random.Random(seed)
    for index in range(number):
        user = (0, TESTER)[index % 2]
        settings = tuple(_combination(dice))
        over_a_file = any(name == "TemporaryFileSystem" and "/file" in value for name, value in settings)
        if not over_a_file:  # that fails: a tmpfs is mounted over directories
            yield Case("combinations of paths", settings, only_paths=True, users=(user,))


def _combination(dice: random.Random) -> Iterator[Assignment]:
    for name, values, chance in (
        ("ProtectSystem", ("yes", "full", "strict", "strict"), 0.6),
        ("ProtectHome", ("yes", "read-only", "tmpfs"), 0.4),
        ("PrivateTmp", ("yes",), 0.3),
        ("PrivateDevices", ("yes",), 0.1),
        ("ProtectKernelTunables", ("yes",), 0.1),
        ("ProtectProc", ("invisible",), 0.05),
    ):
        if dice.random() < chance:
            yield name, dice.choice(values)
    for name, chance, most in (
        ("ReadWritePaths", 0.7, 4),
        ("ReadOnlyPaths", 0.5, 3),
        ("InaccessiblePaths", 0.3, 2),
        ("NoExecPaths", 0.15, 2),
        ("ExecPaths", 0.1, 2),
        ("TemporaryFileSystem", 0.2, 1),
        ("BindPaths", 0.2, 2),
        ("BindReadOnlyPaths", 0.1, 1),
    ):
        if dice.random() < chance:
            paths = [_path(dice) for _ in range(dice.randint(1, most))]
            if name == "TemporaryFileSystem":
                yield name, " ".join(f"{path}{dice.choice(('', ':ro'))}" for path in paths)
            else:
                yield name, " ".join(dict.fromkeys(f"{dice.choice(('', '-'))}{path}" for path in paths))


def _path(dice: random.Random) -> str:
    place = dice.choice(PLACES)
    choice = dice.random()
    if choice < 0.25:
        parent = place.rpartition("/")[0]
        return parent if parent not in {"/usr/share", "/run", "/etc", "/var/lib"} else place
    if choice < 0.6:
        return place
    return place + dice.choice(
        ("/inner", "/own", "/own/inner", "/file", "/own/file", "/empty", "/own/empty", "/inner/file")
    )
