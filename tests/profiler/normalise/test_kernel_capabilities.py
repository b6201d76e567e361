"""Capabilities that the kernel's checks showed as needed, against the kernel: what the same program fails without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from policy.behaviour import CapabilityUsed, Known
from profiler.normalise.kernel_capabilities import asker, cheapest, decides
from profiler.normalise.kernel_records import NO_CHECKS
from profiler.recorders.ebpf.loading import CAPABILITY_FUNCTION, CAPABILITY_TRACEPOINT
from tests.profiler.normalise.kernel_recordings import record_in_kernel
from tests.profiler.normalise.test_capabilities import CASES, PRELUDE, Case, decoy, own_capabilities, prepare
from tests.requirements import require

SPECULATIVE = (
    decoy(
        "capset that adds nothing to the inheritable set",
        "header = struct.pack('=Ii', 0x20080522, 0); own = ctypes.create_string_buffer(24)\n"
        "check(libc.capget(header, own)); check(libc.capset(header, own))",
    ),
    decoy("network settings", 'open("/proc/sys/net/ipv4/ip_forward").read()'),
    decoy("the largest process number", 'open("/proc/sys/kernel/pid_max").read()'),
    decoy("setting a network variable", 'open("/proc/sys/net/ipv4/ip_forward", "r+").close()'),
)
"""Checks that the kernel makes, and that decide nothing; only who sees them can be misled."""


@pytest.mark.parametrize("case", (*CASES, *SPECULATIVE), ids=lambda case: case.name)
def test_agrees_with_the_kernel(case: Case, tmp_path: Path) -> None:
    lacking = case.needs - own_capabilities()
    require(os.geteuid() == 0 and not lacking, f"needs root with {' '.join(sorted(lacking)) or 'all capabilities'}")
    recording = record_in_kernel(PRELUDE + case.program, str(prepare(tmp_path / "recorded")))
    assert recording.status == 0
    assert recording.losses == {}
    assert recording.capabilities == case.needs
    used = [fact for fact in recording.facts if isinstance(fact.behaviour, CapabilityUsed)]
    assert all(fact.known is Known.OBSERVED or "capset" in str(fact.behaviour) for fact in used)


def test_the_asker_is_the_first_function_behind_the_check() -> None:
    stack = ["bpf_prog_12_on_capable", "bpf_trace_run5", "cap_capable", "security_capable", "ns_capable", "__inet_bind"]
    assert asker([*stack, "inet_bind", "__sys_bind"]) == "__inet_bind"
    assert asker(["", "", ""]) == ""
    assert asker(["bpf_prog", "cap_capable"]) == ""
    assert asker(["bpf_prog", "cap_capable", "cap_vm_enough_memory"]) == "cap_vm_enough_memory"


@pytest.mark.parametrize(
    ("capability", "function", "call", "mode", "expected"),
    [
        ("CAP_SYS_ADMIN", "cap_vm_enough_memory", "brk", 0, False),
        ("CAP_SYS_ADMIN", "__vm_enough_memory", "mmap", 0, False),
        ("CAP_SYS_ADMIN", "ext4_xattr_trusted_list", "listxattr", 0, False),
        ("CAP_SYS_ADMIN", "do_seccomp", "prctl", 0, True),
        ("CAP_SYS_ADMIN", "", "brk", 0, True),
        ("CAP_FSETID", "setattr_prepare", "chmod", 0o755, False),
        ("CAP_FSETID", "setattr_prepare", "chmod", 0o2755, True),
        ("CAP_FSETID", "file_remove_privs_flags", "write", 0o2755, False),
        ("CAP_CHOWN", "setattr_prepare", "chown", 0, True),
        ("CAP_NET_ADMIN", "inet_diag_dump_icsk", "sendto", 0, False),
    ],
)
def test_only_what_decides_something_counts(
    capability: str, function: str, call: str, mode: int, expected: bool
) -> None:
    assert decides(capability, function, call, (0, mode, mode, mode, 0, 0)) is expected


def test_a_socket_is_trusted_for_vmware_only() -> None:
    question = ("CAP_NET_ADMIN", "__vsock_create", "socket", (40, 1, 0))

    assert not decides(*question, present=lambda _name: False)
    assert decides(*question, present=lambda name: name.startswith("vmci_transport_"))


def test_of_two_capabilities_the_lesser_counts_if_it_was_held() -> None:
    assert cheapest("CAP_SYS_ADMIN", "ioprio_check_cap", {"CAP_SYS_ADMIN", "CAP_SYS_NICE"}) == "CAP_SYS_NICE"
    assert cheapest("CAP_SYS_ADMIN", "ioprio_check_cap", {"CAP_SYS_ADMIN"}) == "CAP_SYS_ADMIN"
    assert cheapest("CAP_SYS_ADMIN", "do_mount", {"CAP_SYS_ADMIN", "CAP_SYS_NICE"}) == "CAP_SYS_ADMIN"


def test_where_checks_are_not_shown_all_that_was_held_counts() -> None:
    require(os.geteuid() == 0, "only root holds capabilities")
    hooks = frozenset({CAPABILITY_TRACEPOINT, CAPABILITY_FUNCTION})
    recording = record_in_kernel("", missing=hooks)
    used = {fact.behaviour.capability: fact for fact in recording.facts if isinstance(fact.behaviour, CapabilityUsed)}
    assert set(used) == own_capabilities()
    assert {fact.known for fact in used.values()} == {Known.INFERRED}
    assert NO_CHECKS in recording.notes
