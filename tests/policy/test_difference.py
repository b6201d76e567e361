"""What became tighter or looser: the order of values agrees with what the sandbox denies, and reads both ways."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from policy.behaviour import Fact, Mounted, SystemCall
from policy.difference import Change, change_between, compare_drop_ins, compare_facts, is_looser
from policy.directives.base import Directive, all_directives
from policy.service_profile import Profile
from policy.settings import Assignment, build_sandbox, parse_settings
from policy.unit_settings import UnitSettings
from tests.policy.services import pool
from tests.policy.test_directive_laws import NEWEST, evidences

KINDS = tuple(all_directives().values())

BASES: dict[str, tuple[Assignment, ...]] = {
    "ReadWritePaths": (("ProtectSystem", "strict"),),
    "ExecPaths": (("NoExecPaths", "/"),),
    "BindPaths": (("TemporaryFileSystem", "/srv"),),
    "BindReadOnlyPaths": (("TemporaryFileSystem", "/srv"),),
    "IPAddressAllow": (("IPAddressDeny", "any"),),
    "SocketBindAllow": (("SocketBindDeny", "any"),),
}
"""What an exception is an exception from: alone it says nothing."""

WRITTEN: dict[str, tuple[str, ...]] = {
    "ReadWritePaths": ("/srv", "/srv/a", "/srv/b", "/srv /var"),
    "ReadOnlyPaths": ("/srv", "/etc /srv"),
    "InaccessiblePaths": ("/srv", "/srv /home"),
    "IPAddressAllow": ("127.0.0.0/8", "10.0.0.0/8 localhost", "localhost"),
    "IPAddressDeny": ("any", "10.0.0.0/8"),
    "SocketBindAllow": ("tcp:80", "80"),
    "CapabilityBoundingSet": ("CAP_CHOWN CAP_KILL", "CAP_CHOWN", "CAP_KILL", "~CAP_SYS_ADMIN"),
    "SystemCallFilter": ("@system-service", "~@mount", "read write", "~@mount @swap"),
    "RestrictAddressFamilies": ("AF_UNIX", "AF_UNIX AF_INET", "~AF_INET", "~AF_PACKET"),
    "DeviceAllow": ("/dev/null rw", "/dev/null r", "/dev/sda r"),
    "UMask": ("0077", "0027", "0007"),
    "RestrictNamespaces": ("yes", "net", "net mnt"),
}


def values_of(kind: type[Directive]) -> list[Directive]:
    written = [kind.parse([], NEWEST), *(kind.parse([word], NEWEST) for word in WRITTEN.get(kind.__name__, ()))]
    words = [kind.parse([word], NEWEST) for word in kind.since if word]
    proposed = [value for evidence in itertools.islice(evidences(NEWEST), 4) for value in kind.candidates(evidence)]
    unique: list[Directive] = []
    for value in (*written, *words, *proposed):
        if value not in unique:
            unique.append(value)
    return unique[:12]


def denied(value: Directive) -> set[Fact]:
    name = type(value).__name__
    sandbox = build_sandbox({**parse_settings(BASES.get(name, ()), NEWEST), name: value}, NEWEST, UnitSettings())
    # Whether there is a mount namespace of its own is not what these lists are about (PrivateMounts= is).
    return {fact for fact in pool() if sandbox.judge(fact) is not None and not isinstance(fact.behaviour, Mounted)}


def pairs(kind: type[Directive]) -> Iterator[tuple[Directive, Directive]]:
    return itertools.permutations(values_of(kind), 2)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_value_that_is_called_tighter_denies_at_least_as_much(kind: type[Directive]) -> None:
    known = {value: denied(value) for value in values_of(kind)}
    for before, after in pairs(kind):
        if after.at_least_as_strict_as(before):
            missing = known[before] - known[after]
            assert not missing, (before, after, list(missing)[:3])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_way_back_is_the_opposite(kind: type[Directive]) -> None:
    opposite = {Change.TIGHTER: Change.LOOSER, Change.LOOSER: Change.TIGHTER, Change.DIFFERENT: Change.DIFFERENT}
    for before, after in pairs(kind):
        there, back = change_between(before, after), change_between(after, before)
        assert back == (opposite[there] if there else None)
    for value in values_of(kind):
        assert change_between(value, value) is None


def test_words_of_an_order_are_compared_by_it() -> None:
    (one,) = compare_drop_ins([("ProtectSystem", "full")], [("ProtectSystem", "strict")], NEWEST)
    assert (one.directive, one.change, one.before, one.after) == (
        "ProtectSystem",
        Change.TIGHTER,
        ("full",),
        ("strict",),
    )
    (back,) = compare_drop_ins([("ProtectSystem", "strict")], [("ProtectSystem", "full")], NEWEST)
    assert back.change is Change.LOOSER


def test_lists_say_what_was_gained_and_lost() -> None:
    (one,) = compare_drop_ins(
        [("CapabilityBoundingSet", "CAP_CHOWN CAP_KILL")], [("CapabilityBoundingSet", "CAP_CHOWN CAP_FOWNER")], NEWEST
    )
    assert one.change is Change.DIFFERENT
    assert (one.gained, one.lost) == (("CAP_FOWNER",), ("CAP_KILL",))


def test_the_same_in_other_words_is_no_difference() -> None:
    group = sorted(NEWEST.syscall_sets["@chown"])
    before = [("SystemCallFilter", "@chown"), ("ProtectClock", "true")]
    after = [("SystemCallFilter", " ".join(group)), ("ProtectClock", "yes")]
    assert compare_drop_ins(before, after, NEWEST) == ()


def test_an_exception_goes_the_way_of_what_it_is_an_exception_from() -> None:
    tighter = compare_drop_ins([], [("ProtectSystem", "strict"), ("ReadWritePaths", "/srv")], NEWEST)
    assert {one.directive: one.change for one in tighter} == {
        "ProtectSystem": Change.TIGHTER,
        "ReadWritePaths": Change.TIGHTER,
    }
    both = [("ProtectSystem", "strict")]
    (looser,) = compare_drop_ins(both, [*both, ("ReadWritePaths", "/srv")], NEWEST)
    assert looser.change is Change.LOOSER


def test_what_the_model_does_not_judge_is_only_different() -> None:
    (one,) = compare_drop_ins([("MemoryMax", "1G")], [("MemoryMax", "2G")], NEWEST)
    assert (one.directive, one.change, one.before, one.after) == ("MemoryMax", Change.DIFFERENT, ("1G",), ("2G",))
    assert not is_looser([one])


def test_profiles_differ_by_what_was_done_not_by_evidence_or_user() -> None:
    before = Profile(facts=frozenset({Fact(SystemCall("read"), user=1), Fact(SystemCall("write"))}))
    after = Profile(facts=frozenset({Fact(SystemCall("read"), user=2, evidence="x"), Fact(SystemCall("openat"))}))
    found = compare_facts(before, after)
    assert [fact.behaviour for fact in found.gone] == [SystemCall("write")]
    assert [fact.behaviour for fact in found.new] == [SystemCall("openat")]
