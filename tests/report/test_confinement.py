"""What is measured of a running process is what systemd was told to do to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from profiler.machine import Machine
from profiler.twin import Twin
from tests.report.confinement import Confinement, confinement
from tests.report.kernel_filter import ALLOW, answer
from tests.twin_fixtures import TwinWith


@contextmanager
def running(machine: Machine, *settings: str) -> Iterator[Confinement]:
    """Yield the confinement of a process that sleeps under these settings."""
    name = "tailor-confined.service"
    options = [f"--property={setting}" for setting in ("Type=exec", *settings)]
    machine.run(["systemd-run", "--quiet", "--collect", f"--unit={name}", *options, "--", "sleep", "600"])
    try:
        pid = machine.run(["systemctl", "show", "-P", "MainPID", name]).stdout
        yield confinement(machine, int(pid))
    finally:
        machine.run(["systemctl", "stop", name])


def test_a_process_without_settings_may_do_everything(twin_with: TwinWith) -> None:
    with running(twin_with()) as found:
        assert {"mkdir", "setuid", "reboot", "bpf"} <= found.system_calls
        assert {"CAP_SYS_ADMIN", "CAP_SETUID", "CAP_NET_ADMIN"} <= found.capabilities


def test_calls_are_those_of_the_filter(twin_with: TwinWith) -> None:
    with running(twin_with(), "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged link") as f:
        assert {"read", "mkdir", "socket"} <= f.system_calls
        assert not {"setuid", "mount", "bpf", "link"} & f.system_calls
    with running(
        twin_with(), "SystemCallFilter=~mkdir", "RestrictAddressFamilies=AF_UNIX", "RestrictRealtime=yes"
    ) as f:
        assert "mkdir" not in f.system_calls
        assert {"socket", "sched_setscheduler", "mkdirat"} <= f.system_calls, "their arguments decide"


def test_capabilities_are_those_of_the_bound(twin_with: TwinWith) -> None:
    with running(twin_with(), "CapabilityBoundingSet=CAP_CHOWN CAP_BPF") as found:
        assert found.capabilities == {"CAP_CHOWN", "CAP_BPF"}


def test_writable_directories_are_counted(fresh_twin: Twin) -> None:
    machine = fresh_twin
    machine.run(["mkdir", "-p", "/srv/tailor-count/a/b", "/srv/tailor-count/c"])
    try:
        with running(machine, "ProtectSystem=strict", "ReadWritePaths=/srv/tailor-count") as with_them:
            pass
        with running(machine, "ProtectSystem=strict") as without:
            pass
        with running(machine, "ProtectSystem=strict", "ReadWritePaths=/srv/tailor-count", "User=nobody") as nobody:
            pass
    finally:
        machine.run(["rm", "-r", "/srv/tailor-count"])
    assert with_them.writable_directories - without.writable_directories == 4
    assert nobody.writable_directories == 0


def test_an_instruction_that_seccomp_does_not_have_is_refused() -> None:
    assert answer(((0x06, 0, 0, ALLOW),), 0) == ALLOW
    with pytest.raises(ValueError, match="no such operation"):
        answer(((0x34, 0, 0, 1), (0x06, 0, 0, ALLOW)), 0)
