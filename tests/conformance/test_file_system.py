"""The mount table, /proc and device control against a real systemd: the errno that the model says is what happens."""

from __future__ import annotations

import re

import pytest

from policy.host_facts import HostFacts
from policy.settings import Assignment
from profiler.machine import Machine
from profiler.twin import Twin
from tests.conformance.operations import (
    ACROSS,
    DEVICES,
    KERNEL,
    PREPARE,
    PROCESSES,
    SYSTEM,
    TREE,
    everything_in,
    home_operations,
    names_taken_in,
    temporary_operations,
)
from tests.conformance.sandboxed_probe import Operation, SandboxedProbe

USERS = {"root": ("", 0), "daemon": ("daemon", 1)}
NO_PERMISSION_OVERRIDE = ("CapabilityBoundingSet", "~CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH")
HOMES = [*home_operations("/home"), *home_operations("/root")]
TEMPORARY = [*temporary_operations("/tmp"), *temporary_operations("/var/tmp")]
ONE, TWO, THREE = f"{TREE}/one", f"{TREE}/two", f"{TREE}/three"
STRICT = ("ProtectSystem", "strict")


def _host_of(machine: Machine) -> HostFacts:
    version = re.search(r"systemd (\d+)", machine.run(["systemctl", "--version"]).stdout)
    kernel = re.match(r"(\d+)\.(\d+)", machine.run(["uname", "-r"]).stdout)
    assert version and kernel
    return HostFacts(int(version[1]), (int(kernel[1]), int(kernel[2])))


@pytest.fixture(scope="module")
def probe(session_twin: Twin) -> SandboxedProbe:
    return SandboxedProbe(session_twin, _host_of(session_twin), PREPARE)


CASES: dict[str, tuple[list[Assignment], list[Operation]]] = {
    "strict": ([STRICT], [*everything_in(ONE), *names_taken_in(TWO), *SYSTEM]),
    "full": ([("ProtectSystem", "full")], SYSTEM),
    "yes": ([("ProtectSystem", "yes")], SYSTEM),
    "no namespace at all": ([("ProtectHostname", "yes")], [*SYSTEM, *everything_in(ONE)]),
    "entries under strict": (
        [STRICT, ("ReadWritePaths", f"{ONE} {TWO} -{TREE}/missing {TREE}/file")],
        [*everything_in(ONE), *names_taken_in(ONE), *everything_in(THREE)],
    ),
    "borders under strict": ([STRICT, ("ReadWritePaths", f"{ONE} {TWO} {TREE}/file")], ACROSS),
    "one entry above them all": ([STRICT, ("ReadWritePaths", TREE)], ACROSS),
    "borders of read-only paths": ([("ReadOnlyPaths", THREE), ("ReadWritePaths", f"{ONE} {TWO}")], ACROSS),
    "writable below read-only": (
        [("ReadOnlyPaths", ONE), ("ReadWritePaths", f"{ONE}/directory")],
        [*everything_in(ONE), *names_taken_in(ONE), Operation("create", f"{ONE}/directory/new")],
    ),
    "inaccessible directory": ([("InaccessiblePaths", ONE)], everything_in(ONE)),
    "inaccessible file": (
        [("InaccessiblePaths", f"{TREE}/file")],
        [
            Operation(verb, f"{TREE}/file")
            for verb in ("read", "write", "read-write", "truncate", "chmod", "writable", "unlink", "execute")
        ],
    ),
    "nothing below what is inaccessible": (
        [("InaccessiblePaths", TREE), ("ReadWritePaths", ONE), ("BindPaths", TWO)],
        [Operation("read", f"{ONE}/a"), Operation("create", f"{TWO}/new")],
    ),
    "read-only tmpfs": ([("TemporaryFileSystem", f"{ONE}:ro")], everything_in(ONE)),
    "tmpfs with binds": (
        [("TemporaryFileSystem", TREE), ("BindPaths", ONE), ("BindReadOnlyPaths", f"{TWO}/directory")],
        [
            *everything_in(ONE),
            Operation("lookup", TWO),
            Operation("read", TWO),
            Operation("lookup", f"{THREE}/a"),
            Operation("read", f"{TWO}/directory/inner"),
            Operation("write", f"{TWO}/directory/inner"),
            Operation("create", f"{TWO}/new"),
            Operation("create", f"{TREE}/new"),
            Operation("unlink", f"{TWO}/a"),
        ],
    ),
    "home yes": ([("ProtectHome", "yes")], HOMES),
    "home tmpfs": ([("ProtectHome", "tmpfs")], HOMES),
    "home read-only": ([("ProtectHome", "read-only")], HOMES),
    "home read-only with an exception": (
        [("ProtectHome", "read-only"), ("ReadWritePaths", "/home/probe")],
        home_operations("/home"),
    ),
    "the stricter of two on one path": (
        [("ProtectHome", "read-only"), ("ProtectSystem", "full"), ("ReadWritePaths", "/home /etc")],
        [Operation("create", "/home/probe-new"), Operation("create", "/etc/probe-new")],
    ),
    "private tmp": ([("PrivateTmp", "yes")], TEMPORARY),
    "private tmp under strict": ([("PrivateTmp", "yes"), STRICT], TEMPORARY),
    "through a symlink": (
        [STRICT, ("ReadWritePaths", "/var/run")],
        [Operation("create", "/run/probe-new"), Operation("create", "/var/probe-new")],
    ),
    "root itself cannot be listed": ([STRICT, ("ReadWritePaths", "/")], SYSTEM),
    "execution below": (
        [("NoExecPaths", TREE), ("ExecPaths", TWO), ("ReadWritePaths", THREE)],
        [
            Operation(verb, f"{base}/program")
            for base in (ONE, TWO, THREE)
            for verb in ("execute", "map-execute", "write")
        ],
    ),
    "processes invisible": ([("ProtectProc", "invisible")], PROCESSES),
    "processes noaccess": ([("ProtectProc", "noaccess")], PROCESSES),
    "processes ptraceable": ([("ProtectProc", "ptraceable")], PROCESSES),
    "only processes": ([("ProcSubset", "pid")], PROCESSES),
    "tunables": ([("ProtectKernelTunables", "yes")], KERNEL),
    "control groups": ([("ProtectControlGroups", "yes")], KERNEL[3:]),
    "private devices": ([("PrivateDevices", "yes")], DEVICES),
    "devices closed": ([("DevicePolicy", "closed")], DEVICES),
    "devices strict": ([("DevicePolicy", "strict")], DEVICES),
    "devices listed": ([("DeviceAllow", "/dev/fuse r"), ("DeviceAllow", "block-* m")], DEVICES),
}

_SEARCH = re.compile(r"/root/")
# A directory that may not be searched and one that may not be written both say EACCES: not told apart in a fact.


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("case", CASES)
def test_model_agrees_with_systemd(probe: SandboxedProbe, case: str, user: str) -> None:
    settings, operations = CASES[case]
    name, number = USERS[user]
    if number:
        operations = [operation for operation in operations if not _SEARCH.match(operation.path)]
    assert list(probe.disagreements(settings, operations, user=name, number=number)) == []


@pytest.mark.parametrize("value", ["yes", "tmpfs", "read-only"])
def test_root_without_the_capabilities_that_override_permissions(probe: SandboxedProbe, value: str) -> None:
    settings = [("ProtectHome", value), NO_PERMISSION_OVERRIDE]
    assert list(probe.disagreements(settings, HOMES)) == []


def test_processes_hidden_from_root_that_may_not_trace(probe: SandboxedProbe) -> None:
    settings = [("ProtectProc", "ptraceable"), ("CapabilityBoundingSet", "~CAP_SYS_PTRACE")]
    assert list(probe.disagreements(settings, PROCESSES)) == []


def test_a_writable_hole_by_exec_paths(probe: SandboxedProbe) -> None:
    """An ExecPaths= entry under ProtectSystem=strict is a mount that nobody makes read-only."""
    settings = [STRICT, ("ExecPaths", "/usr")]
    operations = [Operation("write", "/usr/probe-file"), Operation("create", "/usr/probe-new")]
    assert list(probe.disagreements(settings, operations)) == []
    assert probe.outcomes(settings, operations) == ["ok", "ok"]
