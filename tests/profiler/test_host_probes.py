"""The probes against the real machine, and against machines that lack something because it was taken away."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from profiler import host_probes
from profiler.host_check import Finding
from tests.requirements import require

COMMAND = str(Path(sys.prefix) / "bin" / "unit-tailor")


def doctor(*wrapper: str, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run ``unit-tailor doctor`` inside ``wrapper``; return its exit status and its findings by name."""
    done = subprocess.run(
        [*wrapper, COMMAND, "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["possible"] is (done.returncode == 0)
    return done.returncode, {finding["name"]: finding for finding in report["findings"]}


def require_root() -> None:
    """Skip unless this is root with the rights to take rights away."""
    require(os.geteuid() == 0, "needs root: rights and programs are taken away in namespaces")


def hidden(program: str) -> list[str]:
    """Return a wrapper in whose mount namespace a program cannot be executed."""
    path = shutil.which(program)
    assert path is not None
    script = f'mount --bind /dev/null {path} && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def test_every_probe_has_an_answer_and_every_gap_a_remedy() -> None:
    findings = list(host_probes.survey())
    assert len(findings) == len(host_probes.PROBES)
    assert len({finding.name for finding in findings}) == len(findings)
    for finding in findings:
        assert finding.reason
        assert bool(finding.remedy) is not finding.ok, f"{finding.name}: {finding.remedy}"


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    """Only what a probe could leave is looked for: other mounts and links may come and go meanwhile."""
    status, _ = doctor(UNIT_TAILOR_STATE=str(tmp_path / "state"))
    assert status in {0, 1}
    assert " /tmp/merged " not in Path("/proc/self/mounts").read_text()
    assert "probe0" not in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert list(tmp_path.iterdir()) == []


def test_an_ordinary_user_is_told_what_is_missing() -> None:
    require_root()
    # May read everything, as the checkout can be in a private directory, and nothing else.
    reading = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
    status, findings = doctor("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *reading)
    assert status == 1
    for name in ("root", "capabilities", "strace", "overlay mounts", "control groups", "private network"):
        assert not findings[name]["ok"], name
    assert findings["root"]["remedy"] == "run: sudo unit-tailor doctor"
    assert findings["systemd"]["ok"]


def test_root_without_capabilities_is_not_taken_for_root() -> None:
    require_root()
    status, findings = doctor("setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-sys_admin,-net_admin")
    assert status == 1
    assert findings["root"]["ok"]
    assert findings["capabilities"]["reason"] == "without CAP_SYS_ADMIN, CAP_NET_ADMIN"
    assert "privileged" in findings["capabilities"]["remedy"]
    for name in ("overlay mounts", "private network"):
        assert "Operation not permitted" in findings[name]["reason"]


@pytest.mark.parametrize(
    ("program", "name", "package"),
    [
        ("systemd-nspawn", "systemd-nspawn", "systemd-container"),
        ("systemd-analyze", "systemd", "systemd"),
        ("ip", "private network", "iproute2"),
    ],
)
def test_a_missing_program_is_named_with_its_package(program: str, name: str, package: str) -> None:
    require_root()
    _, findings = doctor(*hidden(program))
    assert not findings[name]["ok"]
    assert f"apt-get install {package}" in findings[name]["remedy"]


def test_a_missing_strace_makes_the_main_job_impossible() -> None:
    require_root()
    status, findings = doctor(*hidden("strace"))
    assert status == 1
    assert not findings["strace"]["ok"]
    assert findings["strace"]["remedy"]


def test_a_small_disk_is_noticed(tmp_path: Path) -> None:
    require_root()
    script = 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"'
    _, findings = doctor(
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(tmp_path)),
        UNIT_TAILOR_STATE=str(tmp_path / "not" / "yet" / "made"),
    )
    assert not findings["disk space"]["ok"]
    assert str(tmp_path) in findings["disk space"]["reason"]


def test_read_only_control_groups_are_noticed() -> None:
    require_root()
    place = host_probes.find_cgroups().reason.partition(" at ")[2]
    require(bool(place), "no control groups of version 2 here")
    script = f'mount --bind {place} {place} && mount -o remount,ro,bind {place} && exec "$@"'
    _, findings = doctor("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
    assert not findings["control groups"]["ok"]
    assert "read-only" in findings["control groups"]["reason"]


@pytest.mark.parametrize(
    ("mountinfo", "ok", "reason"),
    [
        ("30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n", True, "unified, writable at /sys/fs/cgroup"),
        (
            "30 20 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
            "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            True,
            "hybrid, writable at /sys/fs/cgroup/unified",
        ),
        ("30 20 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", False, "version 2 is not mounted"),
        ("30 20 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", False, "version 2 is not mounted"),
    ],
)
def test_kinds_of_control_groups(mountinfo: str, ok: bool, reason: str) -> None:
    finding = host_probes.judge_cgroups(mountinfo, lambda _place: True)
    assert (finding.ok, finding.reason) == (ok, reason)


@pytest.mark.parametrize(
    ("printed", "ok", "reason"),
    [
        (
            "systemd 252 (252.39-1~deb12u2)\n+PAM +SECCOMP -BPF_FRAMEWORK x\n",
            True,
            "version 252, built without BPF_FRAMEWORK",
        ),
        ("systemd 257 (257.9-1)\n+PAM +SECCOMP +BPF_FRAMEWORK\n", True, "version 257"),
        ("systemd 241 (241)\n+PAM -SECCOMP\n", False, "version 241, built without SECCOMP"),
        ("", False, "systemctl does not tell its version"),
    ],
)
def test_versions_of_systemd(printed: str, ok: bool, reason: str) -> None:
    finding = host_probes.judge_systemd(printed)
    assert (finding.ok, finding.reason) == (ok, reason)


def test_capabilities_agree_with_the_kernel() -> None:
    mask = int(re.findall(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())[0], 16)
    finding: Finding = host_probes.find_capabilities()
    assert (finding.reason == "all of them") is (mask == (1 << 41) - 1)
    assert ("CAP_SYS_RESOURCE" in finding.reason) is not bool(mask >> 24 & 1)
