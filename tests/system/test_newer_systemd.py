"""Recording under newer systemds, which start programs another way: what happens before is not the service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from policy.behaviour import CapabilityUsed, PathUse, SystemCall
from profiler import twin
from profiler.engines.choice import Engine
from profiler.errors import ToolError
from profiler.record import record_unit
from profiler.unit.time_limits import watchdog_in_force
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.attendance import record_attended
from tests.conformance import images
from tests.requirements import require

pytestmark = pytest.mark.long  # the images take a minute each to make
NAME = "tailor-plain.service"
UNIT = """\
[Service]
Type=exec
User=nobody
ExecStartPre=/bin/echo prepared
ExecStart=/bin/sleep 600
ExecReload=/bin/date
"""
REPORTING = "tailor-reporting.service"
REPORTING_UNIT = """\
[Service]
Type=notify
NotifyAccess=all
WatchdogSec=10
TimeoutStartSec=40
ExecStart=/bin/sh -c 'systemd-notify --ready; while :; do systemd-notify WATCHDOG=1; sleep 1; done'
"""
SHOW = f"systemctl show --property=TimeoutStartUSec,WatchdogUSec -- {REPORTING} > /run/tailor-seen"
SET_UP = {"add_key", "keyctl", "setresuid", "setresgid", "setgroups", "capset", "mount", "umount2", "setsockopt"}
"""What only systemd's own child calls: the service is nobody from its beginning, and makes nothing."""


@pytest.fixture(scope="module", params=[image for image in images.IMAGES if image.suite], ids=lambda image: image.suite)
def machine(request: pytest.FixtureRequest) -> Iterator[twin.Twin]:
    try:
        root = images.ensure(request.param.suite)
    except ToolError as error:
        require(False, error.message)
    with twin.up(image=root) as booted:
        for name, text in {NAME: UNIT, REPORTING: REPORTING_UNIT}.items():
            booted.path(f"/etc/systemd/system/{name}").write_text(text)
        booted.run(["systemctl", "daemon-reload"])
        yield booted


@pytest.mark.parametrize("engine", [Engine.EBPF, Engine.STRACE])
def test_what_the_manager_does_before_a_program_is_not_the_service(machine: twin.Twin, engine: Engine) -> None:
    unit = Unit.load(machine, NAME)
    profile = record_unit(unit, serving_for=1.0, engine=engine).profile
    assert (profile.header.unobserved, profile.header.losses) == ((), ())
    assert {fact.exec_line for fact in profile.facts} == {"ExecStartPre", "ExecStart", "ExecReload"}
    assert {fact.user for fact in profile.facts} == {65534}
    called = {fact.behaviour.name for fact in profile.facts if isinstance(fact.behaviour, SystemCall)}
    assert called & SET_UP == set()
    assert {"execve", "clock_nanosleep"} <= called
    assert not any(isinstance(fact.behaviour, CapabilityUsed) for fact in profile.facts)
    paths = {fact.behaviour.path for fact in profile.facts if isinstance(fact.behaviour, PathUse)}
    assert not any("systemd" in path for path in paths), paths


@pytest.mark.parametrize("attach", [False, True])
def test_a_slow_recorder_gives_head_room_and_takes_it_back(machine: twin.Twin, attach: bool) -> None:
    unit = Unit.load(machine, REPORTING)
    unit.systemctl.change("restart", unit.name)
    record_attended(unit, workload=Workload(SHOW), engine=Engine.STRACE, attach=attach)
    seen = machine.path("/run/tailor-seen").read_text()
    assert "WatchdogUSec=5min 10s\n" in seen
    assert ("TimeoutStartUSec=5min 40s\n" in seen) == (not attach)
    assert watchdog_in_force(unit) == 10_000_000
    assert unit.systemctl.show(unit.name, ["TimeoutStartUSec", "DropInPaths", "ActiveState"]) == {
        "TimeoutStartUSec": "40s",
        "DropInPaths": "",
        "ActiveState": "active",
    }
