"""A real unit under a real systemd: attribution, Exec lines, phases, and what systemd itself did stays out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from policy.behaviour import Access, CapabilityUsed, Fact, FileKind, Mounted, NamespaceUsed, PathUse, Phase
from policy.unit_settings import ExecLine
from profiler.machine import Machine
from profiler.normalise.attribution import Scope
from profiler.normalise.baseline import Baseline
from profiler.normalise.objects import MachineObjects
from profiler.normalise.recording import NEEDED_CALLS, Normaliser
from profiler.recorders.strace import StraceRecorder
from tests.twin_fixtures import TwinWith

UNIT = "normalise-probe.service"
OTHER = "normalise-stranger.service"
TEXT = """
[Service]
Type=notify
NotifyAccess=all
User=daemon
PrivateTmp=yes
RuntimeDirectory=probe
WorkingDirectory=/etc
ExecStartPre=+/bin/sh -c 'cat /etc/hostname; chown daemon /run/probe'
ExecStart=/bin/sh -c 'echo x > /tmp/own; rm /tmp/own; cat passwd; systemd-notify --ready; \\
 trap "cat /etc/reloaded" HUP; while :; do sleep 0.2; done'
ExecReload=/bin/kill -HUP $MAINPID
ExecStopPost=/bin/sh -c 'test -e /run/probe/x'
"""
STRANGER = "[Service]\nType=oneshot\nExecStart=/bin/cat /etc/issue\n"
LINES = (
    ExecLine("ExecStartPre", "+", "/bin/sh"),
    ExecLine("ExecStart", "", "/bin/sh"),
    ExecLine("ExecReload", "", "/bin/kill"),
    ExecLine("ExecStopPost", "", "/bin/sh"),
)


@contextmanager
def installed(machine: Machine) -> Iterator[None]:
    places = {machine.path(f"/run/systemd/system/{name}"): text for name, text in ((UNIT, TEXT), (OTHER, STRANGER))}
    for place, text in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    machine.run(["systemctl", "daemon-reload"])
    try:
        yield
    finally:
        machine.run(["systemctl", "stop", UNIT, OTHER], check=False)
        for place in places:
            place.unlink()
        machine.run(["systemctl", "daemon-reload"])


@pytest.fixture(scope="module")
def facts(twin_with: TwinWith) -> tuple[Fact, ...]:
    """The facts of one life of the unit: start, reload, stop; another unit ran meanwhile."""
    machine = twin_with()
    began: list[tuple[float, Phase]] = []
    normaliser = Normaliser(
        Scope(UNIT, "", LINES),
        MachineObjects(machine),
        started=time.time(),
        phase_at=lambda moment: next((phase for since, phase in reversed(began) if since <= moment), Phase.START_UP),
        baseline=Baseline.of(os.fsencode(machine.root), most_seconds=1.0),
    )
    with installed(machine):
        with StraceRecorder(machine, normaliser.feed, decode=NEEDED_CALLS) as recorder:
            machine.run(["systemctl", "start", UNIT])
            began.append((time.time(), Phase.SERVING))
            machine.run(["systemctl", "start", OTHER])
            began.append((time.time(), Phase.RELOAD))
            machine.run(["systemctl", "reload", UNIT])
            time.sleep(0.6)
            began.append((time.time(), Phase.STOP))
            machine.run(["systemctl", "stop", UNIT])
        assert recorder.losses.counts == {}
    normaliser.finish()
    assert normaliser.losses.counts == {}
    return normaliser.facts()


def uses(facts: tuple[Fact, ...], path: str, access: Access) -> set[tuple[str, Phase, int, str]]:
    """Line, phase, user and outcome of each use of a path."""
    return {
        (fact.exec_line, fact.phase, fact.user, fact.outcome)
        for fact in facts
        if isinstance(fact.behaviour, PathUse) and fact.behaviour.path == path and fact.behaviour.access is access
    }


def test_each_line_and_phase(facts: tuple[Fact, ...]) -> None:
    assert uses(facts, "/etc/hostname", Access.READ) == {("+ExecStartPre", Phase.START_UP, 0, "ok")}
    assert uses(facts, "/etc/passwd", Access.READ) >= {("ExecStart", Phase.START_UP, 1, "ok")}
    assert uses(facts, "/etc/reloaded", Access.READ) == {("ExecStart", Phase.RELOAD, 1, "ENOENT")}
    assert uses(facts, "/run/probe/x", Access.LOOKUP) == {("ExecStopPost", Phase.STOP, 1, "ENOENT")}
    assert {fact.exec_line for fact in facts} == {line.prefixes + line.kind for line in LINES}
    assert {fact.exec_line for fact in facts if fact.phase is Phase.RELOAD} == {"ExecStart", "ExecReload"}


def test_other_units_and_the_manager_stay_out(facts: tuple[Fact, ...]) -> None:
    assert uses(facts, "/etc/issue", Access.READ) == set()
    assert {type(fact.behaviour) for fact in facts} & {Mounted} == set()
    assert {fact.behaviour for fact in facts if isinstance(fact.behaviour, NamespaceUsed)} <= {
        NamespaceUsed("clone3", ())
    }
    opened = {fact.behaviour.path for fact in facts if isinstance(fact.behaviour, PathUse)}
    assert not any(path.startswith("/sys/fs/cgroup") for path in opened)


def test_credentials_that_systemd_gave(facts: tuple[Fact, ...]) -> None:
    """Only the line with ``+`` runs as root, and only it needs a capability."""
    used = {(fact.exec_line, fact.behaviour.capability) for fact in facts if isinstance(fact.behaviour, CapabilityUsed)}
    assert used == {("+ExecStartPre", "CAP_CHOWN")}


def test_private_tmp_is_the_services_own(facts: tuple[Fact, ...]) -> None:
    assert uses(facts, "/tmp/own", Access.CREATE) == {("ExecStart", Phase.START_UP, 1, "ok")}
    deleted = {
        fact.behaviour for fact in facts if isinstance(fact.behaviour, PathUse) and fact.behaviour.path == "/tmp/own"
    }
    assert {use.created_by_service for use in deleted if use.access is Access.DELETE} == {True}


def test_the_services_own_mount_namespace_is_looked_into(facts: tuple[Fact, ...]) -> None:
    """What was called by a path and what was opened are the same objects there, and can be looked at."""
    executed = {
        (fact.behaviour.path, fact.behaviour.kind, fact.behaviour.through)
        for fact in facts
        if isinstance(fact.behaviour, PathUse) and fact.behaviour.access is Access.EXECUTE
    }
    assert ("/usr/bin/dash", FileKind.REGULAR, "/bin/sh") in executed
    assert {kind for _, kind, _ in executed} == {FileKind.REGULAR}
