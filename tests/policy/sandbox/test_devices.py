"""Device control: which nodes the policy and the list leave."""

from __future__ import annotations

import pytest

from policy.behaviour import OK, Access, DeviceNodeMade, Fact, FileKind, PathUse
from policy.sandbox.device_groups import group_has
from policy.sandbox.devices import DeviceControl, DeviceRule

DISK = PathUse("/dev/sda", Access.READ, FileKind.BLOCK, device="8:0")


def control(policy: str = "closed", *rules: DeviceRule) -> DeviceControl:
    made = DeviceControl()
    if policy != "auto":
        made.restrict(policy, "DevicePolicy", f"DevicePolicy={policy}")
    for rule in rules:
        made.allow("DeviceAllow", f"DeviceAllow={rule.node} {rule.rights}", rule)
    return made


def outcome(made: DeviceControl, behaviour: PathUse | DeviceNodeMade, recorded: str = OK) -> str:
    denial = made.judge(Fact(behaviour, recorded))
    return denial.outcome if denial else recorded


def test_without_policy_or_list_everything_may_be_opened() -> None:
    assert outcome(control("auto"), DISK) == OK


@pytest.mark.parametrize(
    ("path", "device"), [("/dev/null", "1:3"), ("/dev/urandom", "1:9"), ("/dev/pts/7", "136:7"), ("/dev/tty", "5:0")]
)
def test_pseudo_devices_stay(path: str, device: str) -> None:
    null = PathUse(path, Access.READ_WRITE, FileKind.CHARACTER, device=device)
    assert outcome(control(), null) == OK
    assert outcome(control("strict"), null) == "EPERM"


def test_the_first_entry_closes_everything_else() -> None:
    listed = control("auto", DeviceRule("/dev/fuse", "rw"))
    assert outcome(listed, DISK) == "EPERM"
    assert outcome(listed, PathUse("/dev/fuse", Access.READ_WRITE, FileKind.CHARACTER, device="10:229")) == OK
    denial = listed.judge(Fact(DISK))
    assert denial is not None and denial.directive == "DeviceAllow"


def test_rights_count() -> None:
    readable = control("closed", DeviceRule("/dev/sda", "r"))
    assert outcome(readable, DISK) == OK
    assert outcome(readable, PathUse("/dev/sda", Access.WRITE, FileKind.BLOCK, device="8:0")) == "EPERM"
    assert outcome(readable, DeviceNodeMade("/srv/node", FileKind.BLOCK, "8:0")) == "EPERM"
    by_number = control("closed", DeviceRule("/dev/block/8:0", "m"))
    assert outcome(by_number, DeviceNodeMade("/srv/node", FileKind.BLOCK, "8:0")) == OK


def test_only_opening_is_controlled() -> None:
    for access in (Access.LOOKUP, Access.METADATA):
        assert outcome(control(), PathUse("/dev/sda", access, FileKind.BLOCK, device="8:0")) == OK
    assert outcome(control(), PathUse("/dev/sda", Access.WRITE_PROBE, FileKind.BLOCK, device="8:0")) == "EPERM"


def test_failures_that_come_before_stay() -> None:
    assert outcome(control(), DISK, "EACCES") == "EACCES"
    assert outcome(control(), DISK, "ENOENT") == "ENOENT"
    assert outcome(control(), DISK, "ENXIO") == "EPERM"
    assert outcome(control(), DISK, "EPERM") == "EPERM"


def test_groups() -> None:
    assert group_has("sd", FileKind.BLOCK, "65:16") is True
    assert group_has("usb_*", FileKind.CHARACTER, "189:4") is True
    assert group_has("input", FileKind.CHARACTER, "10:1") is False
    assert group_has("rtc", FileKind.CHARACTER, "249:0") is None
    clock = PathUse("/dev/rtc0", Access.READ, FileKind.CHARACTER, device="249:0")
    assert outcome(control("closed", DeviceRule("char-rtc", "r")), clock) == OK
    assert outcome(control("closed", DeviceRule("block-*", "r")), DISK) == OK
    assert outcome(control("closed", DeviceRule("char-*", "r")), DISK) == "EPERM"


def test_a_list_entry_through_a_symlink() -> None:
    disk = PathUse("/dev/sda", Access.READ, FileKind.BLOCK, device="8:0", through="/dev/disk/by-id/x")
    assert outcome(control("closed", DeviceRule("/dev/disk/by-id/x", "r")), disk) == OK
