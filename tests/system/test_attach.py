"""Recording a service that runs: nothing is restarted, and what is not known is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from policy.behaviour import Access, Known, PathUse, Phase, SocketAddress, SystemCall
from profiler.engines.choice import Engine
from profiler.errors import ToolError
from profiler.record import Recorded, record_running, record_unit
from profiler.recorders.ebpf.availability import availability
from profiler.twin import Twin
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from tests.requirements import require
from tests.twin_fixtures import TwinWith

USE = "curl -s -o /dev/null http://127.0.0.1/; curl -s -o /dev/null http://127.0.0.1/no-such-page"


@pytest.fixture(scope="module")
def machine(twin_with: TwinWith) -> Iterator[Twin]:
    answer = availability()
    require(answer.available, f"the eBPF recorder cannot work here: {answer.reason}")
    twin = twin_with("nginx", "curl", "logrotate")
    twin.run(["systemctl", "restart", "nginx"])
    yield twin
    twin.run(["systemctl", "stop", "nginx"])


@pytest.fixture(scope="module")
def pids(machine: Twin) -> set[str]:
    return _processes(machine)


@pytest.fixture(scope="module")
def attached(machine: Twin, pids: set[str]) -> Recorded:
    assert len(pids) > 1
    return record_running(Unit.load(machine, "nginx"), workload=Workload(USE), engine=Engine.EBPF)


def _processes(machine: Twin) -> set[str]:
    group = machine.run(["systemctl", "show", "-p", "ControlGroup", "--value", "nginx"]).stdout.strip()
    return set(machine.run(["cat", f"/sys/fs/cgroup{group}/cgroup.procs"]).stdout.split())


def test_the_processes_stay_what_they_are(machine: Twin, pids: set[str], attached: Recorded) -> None:
    assert attached.lived.health.problem == ""
    assert _processes(machine) == pids


def test_start_up_is_not_claimed(attached: Recorded) -> None:
    header = attached.profile.header
    assert header.phases == {Phase.SERVING}
    assert not header.start_up_observed
    assert {"ExecReload", "ExecStop", "ExecStartPre"} <= set(header.unobserved)
    assert header.losses == ()


def test_what_it_does_is_observed(attached: Recorded) -> None:
    seen = {fact.behaviour for fact in attached.profile.facts if fact.known is Known.OBSERVED}
    assert any(isinstance(one, PathUse) and one.path == "/var/www/html/no-such-page" for one in seen)
    assert SystemCall("epoll_wait") in seen


def test_what_it_brings_along_is_inferred(attached: Recorded) -> None:
    inferred = {fact.behaviour for fact in attached.profile.facts if fact.known is Known.INFERRED}
    uses = {(one.path, one.access) for one in inferred if isinstance(one, PathUse)}
    assert ("/var/log/nginx/access.log", Access.WRITE) in uses
    assert ("/usr/sbin/nginx", Access.EXECUTE) in uses
    assert any(path.endswith("/libc.so.6") and access is Access.MAP_EXECUTE for path, access in uses)
    assert SystemCall("rt_sigsuspend") in inferred  # the master waits in it, and is never woken here
    assert any(isinstance(one, SocketAddress) and (one.operation, one.port) == ("bind", 80) for one in inferred)


def test_a_service_that_does_not_run_cannot_be_attached_to(machine: Twin) -> None:
    machine.run(["systemctl", "stop", "nginx"])
    with pytest.raises(ToolError, match="not running"):
        record_running(Unit.load(machine, "nginx"), workload=Workload("true"))
    machine.run(["systemctl", "start", "nginx"])


def test_a_restart_while_it_is_watched_is_followed(machine: Twin) -> None:
    recorded = record_running(
        Unit.load(machine, "nginx"), workload=Workload(f"systemctl restart nginx; {USE}"), engine=Engine.EBPF
    )
    lines = {fact.exec_line for fact in recorded.profile.facts}
    assert {"ExecStartPre", "ExecStart", "ExecStop"} <= lines
    full = record_unit(Unit.load(machine, "nginx"), workload=Workload(USE), engine=Engine.EBPF)
    binds = {fact.behaviour for fact in full.profile.facts if isinstance(fact.behaviour, SocketAddress)}
    assert binds <= {fact.behaviour for fact in recorded.profile.facts} | {None}
