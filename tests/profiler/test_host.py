"""Reading a machine: what systemctl and systemd-analyze say in several versions, and this machine itself."""

from __future__ import annotations

import os
import shutil

import pytest

from policy.host_facts import CONTROL_GROUP_PROGRAMS, DEVICE_CONTROL
from profiler import twin
from profiler.errors import ToolError
from profiler.host import (
    parse_architecture,
    parse_features,
    parse_kernel,
    parse_missing_libraries,
    parse_port_start,
    parse_refused,
    parse_syscall_sets,
    parse_version,
    read_host_facts,
)
from profiler.machine import Host
from tests.requirements import require


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("systemd 252 (252.39-1~deb12u2)\n+PAM +AUDIT", 252),
        ("systemd 255 (255~rc3-2)\n", 255),
        ("systemd 257 (257.13-1~deb13u1)\n", 257),
        ("systemd 245 (245.4-4ubuntu3.24)\n", 245),
        ("systemd 258~rc2 (258~rc2)\n", 258),
        ("systemd 219\n+PAM", 219),
        ("systemd v249 (v249.11)\n", 249),
    ],
)
def test_reads_every_form_of_version(said: str, version: int) -> None:
    assert parse_version(said) == version


@pytest.mark.parametrize("said", ["", "systemd", "Failed to connect\n", "busctl 3"])
def test_says_what_it_cannot_read(said: str) -> None:
    with pytest.raises(ToolError, match="cannot read the version of systemd"):
        parse_version(said)


def test_reads_the_features_only() -> None:
    said = "systemd 252 (252.39-1~deb12u2)\n+PAM -GNUTLS +P11KIT default-hierarchy=unified -BPF_FRAMEWORK\n"
    assert parse_features(said) == {"+PAM", "-GNUTLS", "+P11KIT", "-BPF_FRAMEWORK"}


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.1.0-18-amd64", (6, 1)), ("5.10.0", (5, 10)), ("6.18.44-fc-v669", (6, 18)), ("7.0-rc1", (7, 0))],
)
def test_reads_the_kernel(release: str, version: tuple[int, int]) -> None:
    assert parse_kernel(release) == version


def test_a_kernel_without_version_is_an_error() -> None:
    with pytest.raises(ToolError, match="version of the kernel"):
        parse_kernel("mainline")


@pytest.mark.parametrize(
    ("hardware", "architecture"),
    [
        ("x86_64", "x86-64"),
        ("i686", "x86"),
        ("aarch64", "arm64"),
        ("armv7l", "arm"),
        ("armv7b", "arm-be"),
        ("ppc64le", "ppc64-le"),
        ("s390x", "s390x"),
        ("novel", "novel"),
    ],
)
def test_names_architectures_as_systemd_does(hardware: str, architecture: str) -> None:
    assert parse_architecture(hardware) == architecture


@pytest.mark.parametrize(("said", "port"), [("1024\n", 1024), ("80\n", 80), ("0\n", 0), ("", 1024)])
def test_reads_where_unprivileged_ports_start(said: str, port: int) -> None:
    assert parse_port_start(said) == port


def test_reads_sets_comments_and_ungrouped_calls() -> None:
    said = (
        "@aio\n    # Asynchronous I/O\n    io_setup\n    @deep\n\n@deep\n    # Deep\n    read\n"
        "\n# Ungrouped System Calls (known but not included in any of the groups except @known):\n#   arc_gettls\n"
        "\n# Unlisted System Calls (supported by the local kernel):\n    stray\n"
    )
    assert parse_syscall_sets(said) == {"@aio": frozenset({"io_setup", "@deep"}), "@deep": frozenset({"read"})}


def test_reads_this_machine() -> None:
    require(shutil.which("systemd-analyze") is not None, "systemd is not installed: nothing to read")
    facts = read_host_facts(Host())
    assert facts.systemd_version >= 240
    assert facts.kernel == parse_kernel(os.uname().release)
    assert facts.architecture == parse_architecture(os.uname().machine)
    assert facts.syscall_sets["@system-service"] >= {"read", "openat", "setuid"}
    assert len(facts.syscall_sets.get("@known", ())) > 400 or facts.systemd_version < 247
    assert not any(name.startswith("@") for members in facts.syscall_sets.values() for name in members)
    assert "+SECCOMP" in facts.features
    assert 0 <= facts.unprivileged_port_start <= 65535


LIBRARIES = """\
2 libs found in cache `/etc/ld.so.cache'
\tlibc.so.6 (libc6,x86-64, OS ABI: Linux 3.2.0) => /lib/x86_64-linux-gnu/libc.so.6
\tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1
"""


def test_a_library_that_systemd_would_load_is_missed() -> None:
    found = "\tlibbpf.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libbpf.so.1\n"
    assert parse_missing_libraries(LIBRARIES) == {"libbpf"}
    assert parse_missing_libraries(LIBRARIES + found) == set()
    assert parse_missing_libraries(LIBRARIES + found.replace("so.1", "so.0")) == set()
    assert parse_missing_libraries("") == set(), "no ldconfig, no list: nothing is known to be missing"


def booted(*hierarchies: str) -> str:
    return "".join(f"{line}\n" for line in ("/run/systemd/system tmpfs", *hierarchies))


UNIFIED = booted("/sys/fs/cgroup cgroup2fs")
HYBRID = booted("/sys/fs/cgroup tmpfs", "/sys/fs/cgroup/unified cgroup2fs", "/sys/fs/cgroup/systemd cgroupfs")
LEGACY = booted("/sys/fs/cgroup tmpfs", "/sys/fs/cgroup/systemd cgroupfs")


@pytest.mark.parametrize(
    ("file_systems", "programs", "refused"),
    [
        (UNIFIED, "", set()),
        (UNIFIED, "not permitted", {CONTROL_GROUP_PROGRAMS, DEVICE_CONTROL}),
        (HYBRID, "", set()),
        (HYBRID, "not permitted", {CONTROL_GROUP_PROGRAMS}),
        (LEGACY, "", {CONTROL_GROUP_PROGRAMS}),
        ("/sys/fs/cgroup tmpfs\n", "not permitted", set()),
    ],
    ids=["unified", "unified in a container", "hybrid", "hybrid in a container", "version 1", "no systemd"],
)
def test_what_control_groups_cannot_do_is_known(file_systems: str, programs: str, refused: set[str]) -> None:
    assert parse_refused(file_systems, programs).keys() == refused


def test_a_twin_refuses_nothing(session_twin: twin.Twin) -> None:
    assert read_host_facts(session_twin).refused == {}
