"""A stand-in in the real sandbox, and the model: both must say the same of every fact, allowed or refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from policy.behaviour import (
    Access,
    Behaviour,
    CapabilityUsed,
    Fact,
    FileKind,
    MemoryMapped,
    NamespaceUsed,
    PathPair,
    PathUse,
    PersonalityChanged,
    SchedulingSet,
    SignalSent,
    SocketAddress,
    SocketOpened,
    SpecialModeSet,
    SystemCall,
)
from policy.recording import Header
from policy.service_profile import Profile
from policy.settings import Assignment
from policy.unit_settings import UnitSettings
from profiler.host import read_host_facts
from profiler.probe.agreement import Agreement, Verdict, compare
from profiler.probe.probing import probe
from profiler.probe.report import agreement_document, agreement_in_words
from profiler.twin import Twin

NOBODY = 65534


def use(path: str, access: Access, kind: FileKind = FileKind.REGULAR, *, own: bool = False) -> PathUse:
    return PathUse(path, access, kind, created_by_service=own)


BEHAVIOURS: tuple[Behaviour, ...] = (
    use("/etc/hostname", Access.READ),
    use("/etc/hostname", Access.WRITE),
    use("/etc", Access.READ, FileKind.DIRECTORY),
    use("/home", Access.READ, FileKind.DIRECTORY),
    use("/usr/bin/env", Access.EXECUTE),
    use("/usr/bin/env", Access.MAP_EXECUTE),
    use("/var/lib/tailored/state", Access.CREATE),
    use("/var/lib/tailored/state", Access.DELETE, own=True),
    use("/var/lib/tailored/state", Access.METADATA, own=True),
    use("/var/lib/tailored/state", Access.TRUNCATE, own=True),
    use("/var/lib/tailored/di\nr%n", Access.CREATE, FileKind.DIRECTORY),
    use("/srv/tailored.socket", Access.BIND, FileKind.SOCKET),
    use("/srv/tailored.peer", Access.CONNECT, FileKind.SOCKET),
    use("/tmp/tailored", Access.READ),
    use("/tmp/tailored-own", Access.READ, own=True),
    use("/dev/null", Access.WRITE, FileKind.CHARACTER),
    use("/proc/sys/kernel/ostype", Access.READ),
    PathPair("rename", "/var/lib/tailored/old", "/var/lib/tailored/new"),
    PathPair("link", "/var/lib/tailored/old", "/srv/tailored"),
    SocketOpened("AF_INET", "SOCK_STREAM"),
    SocketOpened("AF_NETLINK", "SOCK_RAW"),
    SocketAddress("bind", "AF_INET", "SOCK_STREAM", "0.0.0.0", 8443),
    SocketAddress("connect", "AF_INET", "SOCK_STREAM", "127.0.0.1", 8444),
    SocketAddress("accept", "AF_INET", "SOCK_STREAM", "127.0.0.1", 0),
    SystemCall("getpid"),
    SystemCall("mount"),
    SystemCall("fork"),
    SystemCall("exit_group"),
    SystemCall("personality"),
    CapabilityUsed("CAP_CHOWN", "chown"),
    CapabilityUsed("CAP_NET_RAW", "socket"),
    MemoryMapped("mmap-write-execute"),
    MemoryMapped("mprotect-execute"),
    MemoryMapped("shmat-execute"),
    NamespaceUsed("unshare", ("net",)),
    NamespaceUsed("clone", ("uts",)),
    PersonalityChanged(8),
    SchedulingSet("sched_setscheduler", "SCHED_FIFO"),
    SpecialModeSet("fchmodat", 0o4755),
    SignalSent("own"),
)
SANDBOXES: dict[str, Sequence[Assignment]] = {
    "nothing": (),
    "file system": (
        ("ProtectSystem", "strict"),
        ("ReadWritePaths", "/var/lib"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("NoExecPaths", "/usr/bin"),
        ("ProtectKernelTunables", "yes"),
    ),
    "calls": (
        ("SystemCallFilter", "@basic-io @file-system @io-event @process @network-io @ipc @signal"),
        ("SystemCallFilter", "~getpid"),
        ("RestrictAddressFamilies", "AF_UNIX AF_NETLINK"),
        ("RestrictNamespaces", "uts"),
        ("MemoryDenyWriteExecute", "yes"),
        ("LockPersonality", "yes"),
        ("RestrictRealtime", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("CapabilityBoundingSet", "~CAP_NET_RAW"),
    ),
    "errno": (("SystemCallFilter", "~personality fork"), ("SystemCallErrorNumber", "EACCES")),
    "network": (("PrivateNetwork", "yes"), ("CapabilityBoundingSet", "")),
    "one user": (("User", "nobody"), ("ProtectSystem", "full"), ("SystemCallFilter", "@system-service")),
}


def agreement(machine: Twin, drop_in: Sequence[Assignment], facts: Sequence[Fact], unit: UnitSettings) -> Agreement:
    profile = Profile(Header(unit), frozenset(facts))
    return compare(profile, drop_in, read_host_facts(machine), probe(machine, unit, drop_in, facts))


QUICK = "file system"
NAMES = [QUICK, *(pytest.param(name, marks=pytest.mark.long) for name in SANDBOXES if name != QUICK)]


@pytest.mark.parametrize("name", NAMES)
def test_the_model_and_the_sandbox_agree(session_twin: Twin, name: str) -> None:
    user = NOBODY if name == "one user" else 0
    own = tuple(pair for pair in SANDBOXES[name] if pair[0] == "User")
    unit = UnitSettings("tailored.service", user="nobody" if own else "", assignments=own)
    facts = [Fact(behaviour, user=user) for behaviour in BEHAVIOURS]

    found = agreement(session_twin, [pair for pair in SANDBOXES[name] if pair not in own], facts, unit)

    assert [one.in_words() for one in found.of(Verdict.DIFFERENT)] == []
    assert found.failures == ()
    assert len(found.of(Verdict.AGREED)) >= (25 if own else len(BEHAVIOURS) - 1), found.reasons
    refused = [one for one in found.of(Verdict.AGREED) if one.denial]
    assert bool(refused) == (name != "nothing")


@pytest.mark.long
def test_the_twin_is_left_as_it_was(session_twin: Twin) -> None:
    listing = ["sh", "-c", "find /etc /srv /home /var/lib /tmp | sort"]
    before = session_twin.run(listing).stdout
    facts = [Fact(behaviour) for behaviour in BEHAVIOURS]

    agreement(session_twin, SANDBOXES["file system"], facts, UnitSettings("tailored.service"))

    assert session_twin.run(listing).stdout == before
    units = session_twin.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "unit-tailor-probe-*"])
    assert units.stdout.strip() == ""


def test_a_wrong_model_is_found(session_twin: Twin) -> None:
    facts = [Fact(use("/etc/hostname", Access.WRITE)), Fact(SystemCall("getpid"))]
    unit = UnitSettings("tailored.service")
    profile = Profile(Header(unit), frozenset(facts))
    probed = probe(session_twin, unit, [("ProtectSystem", "strict"), ("SystemCallFilter", "~getpid")], facts)

    # The model is asked about another drop-in than the sandbox was made for.
    found = compare(profile, (), read_host_facts(session_twin), probed)

    assert sorted(one.after for one in found.of(Verdict.DIFFERENT)) == ["EROFS", "SIGSYS"]
    assert found.is_blocked
    assert any(line.startswith("differs: open /etc/hostname for writing") for line in agreement_in_words(found))


def test_what_is_not_probed_has_a_name_and_a_reason(session_twin: Twin) -> None:
    far = Fact(SocketAddress("accept", "AF_INET", "SOCK_STREAM", "192.0.2.1", 0))
    foreign = Fact(SystemCall("getpid", "x86"))
    root_only = dataclasses.replace(Fact(use("/etc/hostname", Access.READ)), user=0)
    unit = UnitSettings("tailored.service", user="nobody", assignments=(("User", "nobody"),))

    found = agreement(session_twin, (), [far, foreign, root_only], unit)

    assert sum(found.reasons.values()) == 3
    assert "accept: the other end is not on this machine" in found.reasons
    assert f"it was done by the user 0, and the unit's processes start as {NOBODY}" in found.reasons
    document = agreement_document(found)
    assert document["agreed"] == 0


def test_a_sandbox_that_cannot_be_set_up_is_a_finding(session_twin: Twin) -> None:
    facts = [Fact(SystemCall("getpid"))]

    found = agreement(session_twin, [("ReadWritePaths", "/no/such/place")], facts, UnitSettings("tailored.service"))

    assert "226/NAMESPACE" in found.failures[0]
    assert found.is_blocked


def test_lines_for_the_host_are_outside_of_the_sandbox(session_twin: Twin) -> None:
    fact = Fact(use("/etc/hostname", Access.WRITE), exec_line="+ExecStartPre")

    found = agreement(session_twin, [("ProtectSystem", "strict")], [fact], UnitSettings("tailored.service"))

    assert [(one.verdict, one.before, one.after) for one in found.compared] == [(Verdict.AGREED, "ok", "ok")]
