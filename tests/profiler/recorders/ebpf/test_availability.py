"""Where the eBPF recorder cannot work it says why, and what to type."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from profiler.engines.base import Assignment
from profiler.engines.choice import REGISTRY, Engine, choose, select
from profiler.machine import Host
from profiler.normalise.attribution import Scope
from profiler.recorders.base import Availability
from profiler.recorders.ebpf import control_groups
from profiler.recorders.ebpf.availability import availability
from profiler.unit.life import PhaseClock
from tests.requirements import require

ROOT = Path(__file__).parents[4]
ASK = """
from profiler.recorders.ebpf.availability import availability
answer = availability(needs_groups=False)
print(answer.available, answer.reason, answer.remedy, sep="|")
"""
CHOOSE = """
from profiler.engines.base import Assignment
from profiler.engines.choice import Engine, choose
from profiler.machine import Host
from profiler.normalise.attribution import Scope
from profiler.unit.life import PhaseClock
said = []
watch = choose(Engine.AUTO, Assignment(Host(), Scope(), PhaseClock(), command=("true",)), said.append)
print(watch.name, *said, sep="|")
"""


def _without(capabilities: str, code: str) -> list[str]:
    words = ["setpriv", "--inh-caps", "-all", "--bounding-set", capabilities, sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip().split("|")


def test_it_is_available_here() -> None:
    assert availability(needs_groups=False).available


def test_bpf_and_perfmon_are_enough() -> None:
    available, reason, _ = _without("-sys_admin", ASK)
    assert available == "True", reason


def test_missing_rights_are_named_with_a_remedy() -> None:
    available, reason, remedy = _without("-sys_admin,-bpf,-perfmon", ASK)
    assert available == "False"
    assert "EPERM" in reason
    assert "--engine strace" in remedy


def test_auto_says_what_it_cannot_use_and_goes_on() -> None:
    name, said = _without("-sys_admin,-bpf,-perfmon", CHOOSE)
    assert name == "strace"
    assert "ebpf cannot be used" in said
    assert "EPERM" in said


def test_where_version_2_is_mounted_is_read_from_the_mount_table() -> None:
    hybrid = "30 29 0:26 / /sys/fs/cgroup/unified rw shared:2 - cgroup2 cgroup2 rw\n"
    part = "30 29 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert control_groups.mount_point(hybrid) == Path("/sys/fs/cgroup/unified")
    assert control_groups.mount_point(part) is None
    require(Path("/proc/self/cgroup").exists(), "no control groups")
    assert control_groups.group_of(1).startswith("/")


def test_auto_leaves_what_would_lose_something_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    poor = replace(REGISTRY[Engine.EBPF], available=lambda _assignment: Availability(True, lost="no capabilities"))
    monkeypatch.setitem(REGISTRY, Engine.EBPF, poor)
    assignment = Assignment(Host(), Scope(), PhaseClock(), command=("true",))
    said: list[str] = []
    assert choose(Engine.AUTO, assignment, said.append).name == "strace"
    assert "ebpf would lose something: no capabilities; recording with strace" in said
    said.clear()
    assert choose(Engine.EBPF, assignment, said.append).name == "ebpf"
    assert said == ["ebpf loses something here: no capabilities"]


def test_a_service_for_which_pam_opens_a_session_is_left_to_others() -> None:
    assignment = Assignment(Host(), Scope(), PhaseClock(), "/system.slice/x.service", in_session=True)
    said: list[str] = []
    assert select(Engine.AUTO, assignment, said.append) is Engine.STRACE
    assert any("PAMName=" in line for line in said)
    watch = choose(Engine.EBPF, assignment)
    with watch:
        pass
    assert any("record it with another engine" in kind for losses in watch.losses for kind in losses.counts)
