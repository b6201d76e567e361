"""The exposure level against systemd-analyze's own numbers, and what of it each setting costs."""

from __future__ import annotations

import pytest

from policy.exposure import Exposure, assess
from policy.host_facts import HostFacts
from policy.settings import parse_settings
from policy.shipped_host_facts import for_version
from policy.unit_settings import UnitSettings
from profiler.host import read_host_facts
from profiler.unit.exposure import exposure
from profiler.unit.unit import Unit
from tests.twin_fixtures import TwinWith

UNITS = {
    "bare": "",
    "not-root": "User=daemon\nSupplementaryGroups=audio\nUMask=0027\nNotifyAccess=all\nDelegate=yes",
    "dynamic": "DynamicUser=yes\nProtectClock=yes\nAmbientCapabilities=CAP_NET_RAW\nUMask=0037",
    "early": "PrivateTmp=yes\nProtectHome=tmpfs\nKeyringMode=shared\n[Unit]\nDefaultDependencies=no",
    "words": "ProtectHome=read-only\nProtectSystem=full\nProtectProc=noaccess\nProcSubset=pid\nPrivateMounts=yes",
    "devices": "PrivateDevices=yes\nIPAddressDeny=any\nIPAddressAllow=localhost\nRestrictNamespaces=~user net",
    "device-list": "DevicePolicy=closed\nDeviceAllow=/dev/kmsg r\nIPAddressDeny=any\nIPAddressAllow=192.0.2.0/24\n"
    "SystemCallArchitectures=native\nProtectHostname=yes",
    "allow-list": "SystemCallFilter=@system-service\nSystemCallFilter=~@resources\nSystemCallFilter=sched_setattr\n"
    "RestrictAddressFamilies=AF_INET AF_UNIX AF_VSOCK\nCapabilityBoundingSet=CAP_SETUID CAP_CHOWN",
    "answers": "SystemCallFilter=@system-service\nSystemCallFilter=~@resources:EPERM @privileged:EPERM ptrace:ENOSYS",
    "deny-list": "SystemCallFilter=~@clock @mount reboot\nRestrictAddressFamilies=~AF_PACKET AF_ALG\n"
    "ProtectKernelModules=yes\nProtectKernelLogs=yes\nCapabilityBoundingSet=~CAP_SYS_ADMIN CAP_KILL",
    "tight": "User=daemon\nPrivateNetwork=yes\nPrivateUsers=yes\nPrivateDevices=yes\nPrivateTmp=yes\n"
    "ProtectSystem=strict\nProtectHome=yes\nProtectControlGroups=yes\nProtectKernelTunables=yes\n"
    "ProtectKernelModules=yes\nProtectKernelLogs=yes\nProtectClock=yes\nProtectProc=invisible\n"
    "LockPersonality=yes\nMemoryDenyWriteExecute=yes\nNoNewPrivileges=yes\nRestrictRealtime=yes\n"
    "RestrictSUIDSGID=yes\nRestrictNamespaces=yes\nRemoveIPC=yes\nUMask=0077\nCapabilityBoundingSet=\n"
    "SystemCallFilter=read write execve\nRestrictAddressFamilies=none\nIPAddressDeny=any",
}
"""Settings that touch each item of the table in each of its ways."""


def test_the_level_is_the_one_that_systemd_prints(twin_with: TwinWith) -> None:
    machine = twin_with()
    host = read_host_facts(machine)
    directory = machine.path("/run/systemd/system")
    for name, lines in UNITS.items():
        (directory / f"tailor-{name}.service").write_text(f"[Service]\nExecStart=/bin/true\n{lines}\n")
    try:
        machine.run(["systemctl", "daemon-reload"])
        for name in UNITS:
            unit = Unit.load(machine, f"tailor-{name}.service")
            assert level_of(unit.settings(), host).level == exposure(machine, unit.name), name
    finally:
        for name in UNITS:
            (directory / f"tailor-{name}.service").unlink()
        machine.run(["systemctl", "daemon-reload"])


def level_of(unit: UnitSettings, host: HostFacts) -> Exposure:
    return assess(parse_settings(unit.assignments, host), host, unit)


@pytest.mark.parametrize(("version", "total"), [(245, 55125), (247, 56135), (255, 56160), (262, 56160)])
def test_the_sum_of_all_weights_for_a_service_of_roots(version: int, total: int) -> None:
    assert level_of(UnitSettings(), for_version(version)).total == total


def test_an_item_is_about_one_directive_and_names_the_elements_that_cost_it() -> None:
    unit = UnitSettings(assignments=(("CapabilityBoundingSet", "CAP_SETUID CAP_SETGID"),))
    found = level_of(unit, for_version(252))
    paid = [item for item in found.of("CapabilityBoundingSet") if item.paid]
    assert [(item.weight, item.paid, sorted(item.elements)) for item in paid] == [
        (1500, 1500, ["CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"])
    ]
    assert found.share(1500) == pytest.approx(0.267, abs=0.001)
    assert found.of("ReadWritePaths") == ()


def test_what_the_target_does_not_enforce_counts_as_missing() -> None:
    unit = UnitSettings(assignments=(("ProtectProc", "invisible"), ("SystemCallArchitectures", "native")))
    without = HostFacts(252, kernel=(5, 4), features=frozenset({"-SECCOMP"}))
    found = level_of(unit, without)
    assert [item.paid for item in (*found.of("ProtectProc"), *found.of("SystemCallArchitectures"))] == [1000, 1000]
