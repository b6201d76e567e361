"""The floor against systemd-analyze's own numbers: a drop-in that leaves just that open has just that level."""

from __future__ import annotations

import pytest

from policy.behaviour import Behaviour, CapabilityUsed, Fact, PrivilegeGained, SocketAddress, SocketOpened, SystemCall
from policy.exposure_floor import floor
from policy.host_facts import HostFacts
from policy.unit_settings import UnitSettings
from profiler.machine import Machine
from profiler.unit.exposure import exposure
from tests.twin_fixtures import TwinWith

TIGHT = """
UMask=0077
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
KeyringMode=private
RemoveIPC=yes
SystemCallArchitectures=native
"""
ENOUGH = "read write execve"
INTERNET = SocketOpened("AF_INET", "SOCK_STREAM")
FAR = SocketAddress("accept", "AF_INET", "SOCK_STREAM", "192.0.2.1", 1234)


def used(*capabilities: str) -> tuple[Behaviour, ...]:
    return tuple(CapabilityUsed(capability, "a test") for capability in capabilities)


CASES = {
    "nothing": ((), ""),
    "a network": (
        (INTERNET, FAR),
        "RestrictAddressFamilies=AF_INET\nPrivateUsers=yes\nCapabilityBoundingSet=",
    ),
    "a low port": (
        (INTERNET, FAR, *used("CAP_NET_BIND_SERVICE")),
        "RestrictAddressFamilies=AF_INET\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE",
    ),
    "workers": (
        (
            INTERNET,
            FAR,
            SocketOpened("AF_UNIX", "SOCK_STREAM"),
            *used("CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID"),
            SystemCall("setuid"),
        ),
        "RestrictAddressFamilies=AF_INET AF_UNIX\n"
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID\nSystemCallFilter=setuid",
    ),
}
OFFLINE = (
    "PrivateNetwork=yes\nPrivateUsers=yes\nIPAddressDeny=any\nRestrictAddressFamilies=none\nCapabilityBoundingSet="
)
SETS = {"@privileged": frozenset({"setuid", "chroot"}), "@default": frozenset({"read"})}


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_systemd_says_of_a_drop_in_that_leaves_just_that_open(twin_with: TwinWith, case: str) -> None:
    behaviours, lines = CASES[case]
    facts = [Fact(behaviour) for behaviour in behaviours]

    computed = floor(facts, UnitSettings(name="tailor-floor.service"), HostFacts(252, syscall_sets=SETS))

    assert computed.level == said(twin_with(), lines or OFFLINE), computed.because


def said(machine: Machine, lines: str) -> float:
    """Return what systemd says of a service of root's with these settings."""
    return level_of(machine, f"{TIGHT}SystemCallFilter={ENOUGH}\n{lines}")


def level_of(machine: Machine, lines: str) -> float:
    """Return what systemd says of a service with these settings and no others."""
    path = machine.path("/run/systemd/system/tailor-floor.service")
    path.write_text(f"[Service]\nExecStart=/bin/true\n{lines}\n")
    try:
        machine.run(["systemctl", "daemon-reload"])
        return exposure(machine, "tailor-floor.service")
    finally:
        path.unlink()
        machine.run(["systemctl", "daemon-reload"])


def test_what_set_uid_programs_gain_takes_every_filter_from_a_service_with_a_user(twin_with: TwinWith) -> None:
    """Up to systemd 254; without that, the floor would be out of reach."""
    facts = [Fact(PrivilegeGained("/usr/bin/sudo", "set-uid")), *map(Fact, used("CAP_SETUID"))]
    unit = UnitSettings(name="tailor-floor.service", user="daemon")
    filters = ("Syst", "Restr", "Lock", "MemoryD", "NoNew", "PrivateD", "ProtectC", "ProtectH", "ProtectK")
    words = [
        line for line in TIGHT.split() if not line.startswith(filters) or line.startswith(("ProtectCo", "ProtectHom"))
    ]
    words += ["User=daemon", "CapabilityBoundingSet=CAP_SETUID", "IPAddressDeny=any", "PrivateNetwork=yes"]
    words += ["DevicePolicy=closed", "DeviceAllow=char-rtc r"]

    assert floor(facts, unit, HostFacts(252)).level == level_of(twin_with(), "\n".join(words))
    assert floor(facts, unit, HostFacts(255)).level < 1.5


def test_what_runs_outside_of_the_sandbox_costs_nothing() -> None:
    chown = CapabilityUsed("CAP_CHOWN", "chown")
    none, prepared = (), [Fact(chown, exec_line="+ExecStartPre")]
    unit = UnitSettings(user="daemon")

    assert floor(prepared, unit, HostFacts(252)) == floor(none, unit, HostFacts(252))
    assert floor([Fact(chown)], unit, HostFacts(252)).level > floor(none, unit, HostFacts(252)).level
