"""How the directives of the file system, the kernel's controls and devices read, propose and contribute."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.behaviour import (
    OK,
    Access,
    Behaviour,
    CapabilityUsed,
    ClockUsed,
    DeviceNodeMade,
    Fact,
    FileKind,
    PathUse,
    SystemCall,
)
from policy.decide import decide
from policy.directives.base import Directive, Evidence, all_directives
from policy.directives.choice import Choice
from policy.directives.path_list import PathListDirective
from policy.directives.paths import ReadWritePaths
from policy.host_facts import HostFacts
from policy.path_entry import PathEntry
from policy.sandbox.denial import Denial
from policy.settings import build_sandbox, parse_settings
from policy.unit_settings import UnitSettings
from tests.policy.services import HOST, pool, profile

_MODULES = ("paths", "bind_paths", "temporary", "home", "kernel", "devices")
OURS = [name for name, kind in all_directives().items() if kind.__module__.rpartition(".")[2] in _MODULES]
VERSIONS = (245, 252, 257, 262)
UNIT = UnitSettings("a@b.service")


def parse(name: str, *assignments: str, version: int = 252) -> Directive:
    return all_directives()[name].parse(assignments, HostFacts(version))


def judge(
    lines: Sequence[tuple[str, str]], fact: Fact, *, version: int = 252, unit: UnitSettings = UNIT
) -> Denial | None:
    host = HostFacts(version)
    return build_sandbox(parse_settings(lines, host), host, unit).judge(fact)


def outcome(
    lines: Sequence[tuple[str, str]], behaviour: Behaviour, recorded: str = OK, *, version: int = 252
) -> tuple[str, str] | None:
    denial = judge(lines, Fact(behaviour, recorded), version=version)
    return (denial.directive, denial.outcome) if denial else None


@pytest.mark.parametrize("name", OURS)
def test_each_value_denies_its_example_and_the_default_does_not(name: str) -> None:
    kind = all_directives()[name]
    assert kind.denied_examples
    for value, example in kind.denied_examples.items():
        for version in VERSIONS:
            if version < kind.since.get(value, kind.since.get("", 0)):
                continue
            denial = judge([(name, value)], example, version=version)
            assert denial is not None and denial.directive == name, (value, version)
            assert denial.setting.startswith(f"{name}=")
            assert judge([], example, version=version) is None


def ordered_choices() -> list[str]:
    kinds = {name: all_directives()[name] for name in OURS}
    return [name for name, kind in kinds.items() if issubclass(kind, Choice) and kind.ordered]


@pytest.mark.parametrize("name", ordered_choices())
def test_a_stricter_word_denies_at_least_as_much(name: str) -> None:
    kind = all_directives()[name]
    assert issubclass(kind, Choice)
    for looser, stricter in pairwise(kind.order):
        for fact in pool():
            if judge([(name, looser)], fact, version=262) is not None:
                assert judge([(name, stricter)], fact, version=262) is not None, (stricter, fact)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("version", VERSIONS)
def test_only_words_that_the_target_knows_are_proposed(name: str, version: int) -> None:
    kind = all_directives()[name]
    evidence = Evidence(frozenset(pool()), HostFacts(version), UNIT)
    for candidate in kind.candidates(evidence):
        assert kind.parse(candidate.values(), HostFacts(version)) == candidate
        if isinstance(candidate, Choice):
            assert kind.since.get(candidate.value, 0) <= version


@pytest.mark.parametrize("name", OURS)
def test_nothing_is_proposed_for_a_service_that_nobody_saw_starting(name: str) -> None:
    evidence = Evidence(frozenset(pool()), HOST, UNIT, start_up_observed=False)
    assert list(all_directives()[name].candidates(evidence)) == []


@pytest.mark.parametrize(
    ("name", "assignments", "value"),
    [
        ("ProtectSystem", ("true",), "yes"),
        ("ProtectSystem", ("strict", "no-such-word"), "strict"),
        ("ProtectSystem", ("strict", ""), "strict"),
        ("ProtectSystem", ("strict", "off"), "no"),
        ("ProtectHome", ("tmpfs",), "tmpfs"),
        ("ProtectHome", ("1",), "yes"),
        ("PrivateTmp", ("disconnected",), "no"),
        ("ProtectProc", ("yes",), "default"),
        ("ProtectControlGroups", ("strict",), "no"),
        ("ProtectHostname", ("yes:name",), "yes"),
    ],
)
def test_words_as_systemd_252_reads_them(name: str, assignments: tuple[str, ...], value: str) -> None:
    directive = parse(name, *assignments)
    assert isinstance(directive, Choice)
    assert directive.value == value


def paths(*assignments: str) -> list[tuple[str, bool]]:
    directive = parse("ReadWritePaths", *assignments)
    assert isinstance(directive, PathListDirective)
    return [(entry.path, entry.ignore_missing) for entry in directive.entries]


def test_path_lists_merge_and_reset() -> None:
    assert paths("/a -/b", "/c") == [("/a", False), ("/b", True), ("/c", False)]
    assert paths("/a", "", "/c") == [("/c", False)]
    assert paths("/a/../b relative /c//d/") == [("/c/d", False)]
    assert paths('-"/a b" +/c') == [("/a b", True), ("/c", False)]


def test_specifiers_are_expanded_for_the_unit() -> None:
    lines = [("ProtectSystem", "strict"), ("ReadWritePaths", "/srv/%i /srv/50%% %S/a /srv/%Z")]
    for path in ("/srv/b/x", "/srv/50%/x", "/var/lib/a/x"):
        assert judge(lines, Fact(PathUse(path, Access.CREATE))) is None, path
    assert judge(lines, Fact(PathUse("/srv/%Z/x", Access.CREATE))) is not None
    values = parse("ReadWritePaths", "/srv/%i /srv/50%% -%S/a").values()
    assert values == ("", '"/srv/%i"', '"/srv/50%%"', '-"%S/a"')
    assert parse("ReadWritePaths", *values).values() == values


def test_the_section_is_complete() -> None:
    assert len(OURS) == 24


_paths = st.text(alphabet="ab %:\\\"'-+é", min_size=1, max_size=6).map(lambda text: f"/srv/{text}")


@given(st.lists(st.tuples(_paths, st.booleans()), max_size=4))
def test_lists_are_read_back_as_they_were_written(entries: list[tuple[str, bool]]) -> None:
    directive = ReadWritePaths.of(dict(entries).items())
    assert ReadWritePaths.parse(directive.values(), HOST) == directive


def test_the_narrower_of_two_writable_paths_is_kept() -> None:
    ours = ReadWritePaths((PathEntry("/var/lib/a"), PathEntry("/srv/b/c"), PathEntry("/etc/x")))
    own = ReadWritePaths((PathEntry("/var/lib/a/db"), PathEntry("/srv/b")))
    assert ours.intersected(own).entries == (PathEntry("/srv/b/c"), PathEntry("/var/lib/a/db"))
    assert ours.intersected(ReadWritePaths()) == ours


def test_temporary_file_systems_and_binds() -> None:
    lines = [("TemporaryFileSystem", "/srv:ro,mode=0700 /opt/a\\\\:b"), ("BindReadOnlyPaths", "-/srv/a:/srv/b:norbind")]
    assert outcome(lines, PathUse("/srv/x", Access.READ)) == ("TemporaryFileSystem", "ENOENT")
    assert outcome(lines, PathUse("/opt/a:b/x", Access.READ)) == ("TemporaryFileSystem", "ENOENT")
    assert outcome(lines, PathUse("/srv/b/x", Access.READ)) is None
    assert outcome(lines, PathUse("/srv/b/x", Access.WRITE)) == ("BindReadOnlyPaths", "EROFS")
    assert outcome([*lines, ("TemporaryFileSystem", "")], PathUse("/srv/x", Access.READ)) is None


def test_a_clock_list_closes_devices_up_to_251() -> None:
    """T18: ProtectClock= alone switches the device list on."""
    disk = PathUse("/dev/sda", Access.READ, FileKind.BLOCK, device="8:0")
    clock = PathUse("/dev/rtc0", Access.READ, FileKind.CHARACTER, device="249:0")
    assert outcome([("ProtectClock", "yes")], disk, version=251) == ("ProtectClock", "EPERM")
    assert outcome([("ProtectClock", "yes")], clock, version=251) is None
    assert outcome([("ProtectClock", "yes")], disk, version=252) is None
    assert outcome([("DevicePolicy", "closed")], clock) == ("DevicePolicy", "EPERM")
    assert outcome([("DevicePolicy", "closed"), ("ProtectClock", "yes")], clock) is None


def test_the_clock_may_not_even_be_tuned_in_part() -> None:
    yes = [("ProtectClock", "yes")]
    assert outcome(yes, SystemCall("adjtimex")) == ("ProtectClock", "EPERM")
    assert outcome(yes, ClockUsed("timerfd_create", "CLOCK_BOOTTIME_ALARM")) == ("ProtectClock", "EPERM")
    assert outcome(yes, ClockUsed("timerfd_create", "CLOCK_BOOTTIME")) is None
    assert outcome(yes, CapabilityUsed("CAP_SYS_TIME", "set the clock")) == ("ProtectClock", "EPERM")


def test_parts_of_the_kernel_directives() -> None:
    assert outcome([("ProtectKernelModules", "yes")], CapabilityUsed("CAP_SYS_MODULE", "load a module"))
    assert outcome([("ProtectKernelLogs", "yes")], SystemCall("syslog")) == ("ProtectKernelLogs", "EPERM")
    kmsg = PathUse("/dev/kmsg", Access.READ, FileKind.CHARACTER, device="1:11")
    assert outcome([("ProtectKernelLogs", "yes")], kmsg) == ("ProtectKernelLogs", "EACCES")
    own = PathUse("/sys/fs/cgroup/system.slice/a@b.service/memory.pressure", Access.WRITE, FileKind.REGULAR)
    groups = [("ProtectControlGroups", "yes")]
    assert outcome(groups, own, version=252) == ("ProtectControlGroups", "EROFS")
    assert outcome(groups, own, version=257) is None
    name = PathUse("/proc/sys/kernel/hostname", Access.WRITE, FileKind.REGULAR)
    assert outcome([("ProtectHostname", "yes")], name) is None, "it makes no mount namespace of its own"
    assert outcome([("ProtectHostname", "yes"), ("PrivateMounts", "yes")], name) == ("ProtectHostname", "EROFS")


def test_old_kernels_cannot_mount_proc_with_options() -> None:
    other = Fact(PathUse("/proc/other/stat", Access.READ), user=33)
    old = HostFacts(252, kernel=(5, 4))
    sandbox = build_sandbox(parse_settings([("ProtectProc", "invisible")], old), old, UNIT)
    assert sandbox.judge(other) is None
    assert list(all_directives()["ProcSubset"].candidates(Evidence(frozenset(), old, UNIT))) == []
    for version, proposed in ((249, 0), (250, 1)):
        evidence = Evidence(frozenset(), HostFacts(version), UNIT)
        assert len(list(all_directives()["ProcSubset"].candidates(evidence))) == proposed


def test_a_dynamic_user_brings_its_own_protection() -> None:
    unit = UnitSettings("a.service", dynamic_user=True)
    for path in ("/etc/x", "/srv/x", "/home/a/x"):
        assert judge([], Fact(PathUse(path, Access.CREATE)), unit=unit) is not None, path
    assert judge([], Fact(PathUse("/tmp/foreign", Access.READ)), unit=unit) is not None


def chosen(*facts: Fact) -> dict[str, tuple[str, ...]]:
    decision = decide(profile(facts), HOST)
    assert not decision.remaining
    return {choice.name: choice.chosen.values() for choice in decision.choices}


def test_a_device_list_stands_in_for_private_devices() -> None:
    quiet = chosen(Fact(PathUse("/dev/null", Access.READ_WRITE, FileKind.CHARACTER, device="1:3")))
    assert quiet["PrivateDevices"] == ("yes",)
    assert quiet["DevicePolicy"] == quiet["DeviceAllow"] == ()
    disks = chosen(
        Fact(PathUse("/dev/sda", Access.READ, FileKind.BLOCK, device="8:0")),
        Fact(PathUse("/dev/sda", Access.LOOKUP, FileKind.BLOCK, device="8:0")),
        Fact(PathUse("/dev/net/tun", Access.READ_WRITE, FileKind.CHARACTER, device="10:200")),
        Fact(DeviceNodeMade("/srv/null", FileKind.CHARACTER, "1:3")),
        Fact(DeviceNodeMade("/srv/disk", FileKind.BLOCK, "8:16")),
    )
    assert disks["PrivateDevices"] == ()
    assert disks["DevicePolicy"] == ("closed",)
    assert disks["DeviceAllow"] == ("", '"/dev/block/8\\:16" m', "/dev/net/tun rw", "/dev/sda r")


def test_device_lists_as_people_write_them() -> None:
    listed = parse("DeviceAllow", "/dev/null", "", "/dev/sda r", "char-rtc", "/etc/passwd r", "/dev/b x")
    assert listed.values() == ("", "/dev/sda r", "char-rtc rwm")
    narrowed = type(listed).parse(["/dev/sda rw", "/dev/sdb r"], HOST).intersected(listed)
    assert narrowed.values() == ("", "/dev/sda r")


def test_rings_keep_path_directives_loose() -> None:
    """T23: file operations inside of an io_uring are invisible."""
    values = chosen(Fact(SystemCall("io_uring_setup")), Fact(SystemCall("io_uring_enter")))
    for name in ("ProtectSystem", "ReadWritePaths", "ProtectHome", "PrivateTmp"):
        assert values[name] == (), name
    assert values["ProtectKernelModules"] == ("yes",)


def test_each_home_value_is_reached() -> None:
    assert chosen()["ProtectHome"] == ("yes",)
    assert chosen(Fact(PathUse("/root/.netrc", Access.LOOKUP), "ENOENT", user=33))["ProtectHome"] == ("tmpfs",)
    assert chosen(Fact(PathUse("/home/a/x", Access.READ)))["ProtectHome"] == ("read-only",)
    written = chosen(Fact(PathUse("/home/a/x", Access.CREATE)))
    assert written["ProtectHome"] == ("read-only",)
    assert written["ReadWritePaths"] == ("", "-/home/a")  # the user may be removed: the unit must start all the same
    assert chosen(Fact(PathUse("/root/x", Access.CREATE)))["ProtectHome"] == ()


def test_processes_of_others() -> None:
    assert chosen(Fact(PathUse("/proc/other/stat", Access.READ)))["ProtectProc"] == ("invisible",)
    assert chosen(Fact(PathUse("/proc/other", Access.LOOKUP), user=33))["ProtectProc"] == ("noaccess",)
    assert chosen(Fact(PathUse("/proc/other/stat", Access.READ), user=33))["ProtectProc"] == ()


def test_the_directory_of_a_mount_is_there_already() -> None:
    lines = [("TemporaryFileSystem", "/var/lib:ro"), ("BindPaths", "/srv/a:/var/lib/a")]
    sandbox = build_sandbox(parse_settings(lines, HOST), HOST, UnitSettings())
    assert sandbox.judge(Fact(PathUse("/var/lib/a", Access.CREATE, FileKind.DIRECTORY), "EEXIST")) is None
    assert sandbox.judge(Fact(PathUse("/var/lib/b", Access.CREATE, FileKind.DIRECTORY))) is not None
