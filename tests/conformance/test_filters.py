"""System call filters, capabilities and no_new_privs: does a probe under a real systemd meet what the model says?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from policy.behaviour import (
    Behaviour,
    CapabilityUsed,
    DeviceNodeMade,
    Fact,
    FileKind,
    MemoryMapped,
    NamespaceUsed,
    PersonalityChanged,
    PrivilegeGained,
    SchedulingSet,
    SocketOpened,
    SpecialModeSet,
    SystemCall,
)
from policy.directives.base import Evidence
from policy.directives.system_calls import SystemCallFilter
from policy.host_facts import HostFacts
from policy.settings import Assignment, build_sandbox, parse_settings
from policy.unit_settings import UnitSettings
from profiler.host import read_host_facts
from profiler.machine import Machine
from tests.policy.services import web_server

PROBE = Path(__file__).with_name("filter_probe.py").read_text(encoding="utf-8")

PREPARE = """
set -e
rm -rf /srv/calls; mkdir -p /srv/calls/new; chmod 755 /srv/calls; chmod 777 /srv/calls/new
install -m 644 /dev/null /srv/calls/own; install -m 600 -o 33 -g 33 /dev/null /srv/calls/private
install -m 4755 /usr/bin/id /srv/calls/id
install -m 755 /bin/grep /srv/calls/capable
python3 -c 'import os; os.setxattr("/srv/calls/capable", "security.capability",
    bytes.fromhex("0100000200200000000000000000000000000000"))'
systemd-run --quiet --collect --unit=calls-target --uid=33 sleep 600
systemctl show --property=MainPID --value calls-target
"""
# The xattr is struct vfs_cap_data (capabilities(7)): version 2, effective, permitted CAP_NET_RAW.

SOCKET = SystemCall("socket")

ALL_USERS: dict[str, tuple[Behaviour, ...]] = {
    "socket AF_UNIX": (SOCKET, SocketOpened("AF_UNIX", "SOCK_STREAM")),
    "socket AF_INET": (SOCKET, SocketOpened("AF_INET", "SOCK_STREAM")),
    "socket AF_INET6": (SOCKET, SocketOpened("AF_INET6", "SOCK_STREAM")),
    "socket AF_NETLINK": (SOCKET, SocketOpened("AF_NETLINK", "SOCK_RAW")),
    "socket AF_PACKET": (SOCKET, SocketOpened("AF_PACKET", "SOCK_RAW"), CapabilityUsed("CAP_NET_RAW", "")),
    "unshare user": (SystemCall("unshare"), NamespaceUsed("unshare", ("user",))),
    "unshare net": (SystemCall("unshare"), NamespaceUsed("unshare", ("net",)), CapabilityUsed("CAP_SYS_ADMIN", "")),
    "unshare mnt": (SystemCall("unshare"), NamespaceUsed("unshare", ("mnt",)), CapabilityUsed("CAP_SYS_ADMIN", "")),
    "unshare uts": (SystemCall("unshare"), NamespaceUsed("unshare", ("uts",)), CapabilityUsed("CAP_SYS_ADMIN", "")),
    "unshare time": (SystemCall("unshare"), NamespaceUsed("unshare", ("time",)), CapabilityUsed("CAP_SYS_ADMIN", "")),
    "unshare nothing": (SystemCall("unshare"),),
    "setns anything": (SystemCall("setns"), NamespaceUsed("setns"), CapabilityUsed("CAP_SYS_ADMIN", "")),
    "setns uts": (SystemCall("setns"), NamespaceUsed("setns", ("uts",)), CapabilityUsed("CAP_SYS_ADMIN", "")),
    "clone3 uts": (SystemCall("clone3"), NamespaceUsed("clone3", ("uts",)), CapabilityUsed("CAP_SYS_ADMIN", "")),
    "personality 0": (SystemCall("personality"), PersonalityChanged(0)),
    "personality query": (SystemCall("personality"), PersonalityChanged(0xFFFFFFFF)),
    "personality other": (SystemCall("personality"), PersonalityChanged(0x0040000)),
    "mmap write execute": (SystemCall("mmap"), MemoryMapped("mmap-write-execute")),
    "mprotect execute": (SystemCall("mprotect"), MemoryMapped("mprotect-execute")),
    "mprotect keep execute": (SystemCall("mprotect"), MemoryMapped("mprotect-keep-execute")),
    "schedule fifo": (
        SystemCall("sched_setscheduler"),
        SchedulingSet("sched_setscheduler", "SCHED_FIFO"),
        CapabilityUsed("CAP_SYS_NICE", ""),
    ),
    "schedule other": (SystemCall("sched_setscheduler"), SchedulingSet("sched_setscheduler", "SCHED_OTHER")),
    "schedule batch": (SystemCall("sched_setscheduler"), SchedulingSet("sched_setscheduler", "SCHED_BATCH")),
    "schedule other, reset on fork": (
        SystemCall("sched_setscheduler"),
        SchedulingSet("sched_setscheduler", "SCHED_OTHER", True),
    ),
    "schedule by attributes fifo": (
        SystemCall("sched_setattr"),
        SchedulingSet("sched_setattr", "SCHED_FIFO"),
        CapabilityUsed("CAP_SYS_NICE", ""),
    ),
    "chmod set-uid": (SystemCall("chmod"), SpecialModeSet("chmod", 0o4755)),
    "chmod sticky": (SystemCall("chmod"), SpecialModeSet("chmod", 0o1755)),
    "mkdir set-gid": (SystemCall("mkdir"), SpecialModeSet("mkdir", 0o2755)),
    "openat2": (SystemCall("openat2"),),
    "uname": (SystemCall("uname"),),
    "mlock": (SystemCall("mlock"),),
    "reboot": (SystemCall("reboot"), CapabilityUsed("CAP_SYS_BOOT", "")),
    "add_key": (SystemCall("add_key"),),
    "io_uring_setup": (SystemCall("io_uring_setup"),),
    "chown to itself": (SystemCall("chown"),),
    "bind low port": (
        SOCKET,
        SocketOpened("AF_INET", "SOCK_STREAM"),
        SystemCall("bind"),
        CapabilityUsed("CAP_NET_BIND_SERVICE", ""),
    ),
    "chown to others": (SystemCall("chown"), CapabilityUsed("CAP_CHOWN", "")),
    "read what is of others": (SystemCall("openat"), CapabilityUsed("CAP_DAC_READ_SEARCH", "")),
    "set user": (SystemCall("setuid"), CapabilityUsed("CAP_SETUID", "")),
    "set groups": (SystemCall("setgroups"), CapabilityUsed("CAP_SETGID", "")),
    "chroot": (SystemCall("chroot"), CapabilityUsed("CAP_SYS_CHROOT", "")),
    "signal to others": (SystemCall("kill"), CapabilityUsed("CAP_KILL", "")),
    "make a device": (
        SystemCall("mknod"),
        DeviceNodeMade("/srv/calls/new/n", FileKind.CHARACTER, "1:3"),
        CapabilityUsed("CAP_MKNOD", ""),
    ),
    "foreign architecture": (SystemCall("getpid", "x86"), MemoryMapped("mprotect-execute")),
}

NOT_ROOT: dict[str, tuple[Behaviour, ...]] = {
    "set-uid program": (PrivilegeGained("/srv/calls/id", "set-uid"),),
    "program with capabilities": (PrivilegeGained("/srv/calls/capable", "file-capabilities", ("CAP_NET_RAW",)),),
}

LISTED = "CapabilityBoundingSet=CAP_CHOWN CAP_SETUID CAP_DAC_OVERRIDE"

SETTINGS = (
    "RestrictAddressFamilies=AF_UNIX AF_INET",
    "RestrictAddressFamilies=~AF_PACKET AF_NETLINK",
    "RestrictAddressFamilies=AF_VSOCK",
    "RestrictNamespaces=yes",
    "RestrictNamespaces=uts user",
    "RestrictNamespaces=~user",
    "RestrictNamespaces=time",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "NoNewPrivileges=yes",
    "SystemCallArchitectures=native",
    "CapabilityBoundingSet=",
    LISTED,
    "CapabilityBoundingSet=~CAP_KILL CAP_NET_RAW CAP_NET_BIND_SERVICE",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=@system-service|SystemCallErrorNumber=EPERM",
    "SystemCallFilter=@system-service|SystemCallFilter=~@privileged @memlock|SystemCallFilter=chown setuid"
    "|SystemCallErrorNumber=EACCES",
    "SystemCallFilter=~@memlock uname:EILSEQ chroot:kill|SystemCallErrorNumber=ENOANO",
    "SystemCallFilter=@system-service|SystemCallFilter=~uname:EACCES",
    "SystemCallFilter=@system-service @mount|SystemCallFilter=|SystemCallFilter=~chown",
    "ProtectKernelModules=yes|SystemCallFilter=~socket|RestrictAddressFamilies=AF_UNIX|SystemCallErrorNumber=ENODEV",
    "RestrictNamespaces=yes|SystemCallFilter=~unshare|SystemCallErrorNumber=ENODEV",
)

CAUTIOUS = ("PrivateUsers=yes",)
"""Settings of which the model may say that they deny more than they do: facts do not say whose capability it was."""


def assignments(text: str) -> list[Assignment]:
    return [(name, value) for name, _, value in (line.partition("=") for line in text.split("|"))]


class Machinery:
    """The probe in one machine, and what it meets there without any settings."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.host: HostFacts = read_host_facts(machine)
        self.target = machine.run(["sh", "-c", PREPARE]).stdout.strip()
        assert re.fullmatch("[1-9][0-9]*", self.target)
        self.latest: dict[str, str] = {}
        self.recorded = {user: self.outcomes([], user) for user in ("", "nobody")}

    def outcomes(self, settings: list[Assignment], user: str) -> dict[str, str]:
        """Return what the probe meets as this user (empty: root)."""
        self.machine.run(
            ["sh", "-c", "chmod 644 /srv/calls/own; chown root:root /srv/calls/own; rm -rf /srv/calls/new/*"]
        )
        if user:
            self.machine.run(["chown", f"{user}:", "/srv/calls/own"])
        properties = [f"--property={name}={value}" for name, value in settings]
        properties += [f"--property=User={user}"] if user else []
        command = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", *properties]
        completed = self.machine.run([*command, "python3", "-I", "-B", "-c", PROBE, self.target], timeout=60)
        self.latest = json.loads(completed.stdout)
        return self.latest


@pytest.fixture(scope="module")
def machinery(session_twin: Machine) -> Machinery:
    return Machinery(session_twin)


def disagreements(machinery: Machinery, settings: list[Assignment], user: str) -> list[str]:
    behaviours = ALL_USERS if not user else ALL_USERS | NOT_ROOT
    unit = UnitSettings("probe.service", user=user, assignments=(("User", user),) if user else ())
    sandbox = build_sandbox(parse_settings(settings, machinery.host), machinery.host, unit)
    real = machinery.outcomes(settings, user)
    wrong = []
    for name, all_of_it in behaviours.items():
        recorded = machinery.recorded[user][name]
        predicted = recorded
        for behaviour in all_of_it:
            denial = sandbox.judge(Fact(behaviour, recorded, user=65534 if user else 0))
            if denial:
                predicted = denial.outcome
                break
        if predicted != real[name]:
            wrong.append(f"{name}: {recorded} without, {real[name]} really, {predicted} by the model")
    return wrong


@pytest.mark.parametrize("settings", SETTINGS)
def test_root_meets_what_the_model_says(machinery: Machinery, settings: str) -> None:
    assert disagreements(machinery, assignments(settings), "") == []
    has_effect = machinery.latest != machinery.recorded[""]
    assert has_effect or settings == "NoNewPrivileges=yes", "it denied nothing at all: is it in force?"


@pytest.mark.parametrize("settings", SETTINGS)
def test_another_user_meets_what_the_model_says(machinery: Machinery, settings: str) -> None:
    assert disagreements(machinery, assignments(settings), "nobody") == []


@pytest.mark.parametrize("user", ["", "nobody"])
@pytest.mark.parametrize("settings", CAUTIOUS)
def test_nothing_is_denied_that_the_model_allows(machinery: Machinery, settings: str, user: str) -> None:
    wrong = disagreements(machinery, assignments(settings), user)
    assert [line for line in wrong if line.startswith("ok", line.index(": ") + 2) and " ok really" not in line] == []


def test_the_forms_that_are_proposed_are_taken_in_full(machinery: Machinery) -> None:
    """Each proposed filter of a typical daemon is read by systemd as the model reads it, and without a complaint."""
    recorded = web_server()
    evidence = Evidence(recorded.facts, machinery.host, recorded.header.unit)
    for candidate in SystemCallFilter.candidates(evidence):
        settings: list[Assignment] = [("SystemCallFilter", value) for value in candidate.values()]
        settings.append(("SystemCallErrorNumber", "EPERM"))
        assert disagreements(machinery, settings, "") == []
