"""The profile: laws of merging, laws of the text, and every kind of damage."""

from __future__ import annotations

import dataclasses
import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.behaviour import BEHAVIOURS, OK, Access, CapabilityUsed, Fact, FileKind, PathUse, Phase, SystemCall
from policy.recording import Ending, Header, Loss, Recording, Workload
from policy.service_profile import DifferentUnits, Profile, ProfileError, dumps, loads, merge
from policy.unit_settings import ExecLine, UnitSettings
from tests.strategies import facts, profiles, raw_texts

few_behaviours = st.sampled_from([SystemCall("read"), CapabilityUsed("CAP_CHOWN", "chown"), PathUse("/a", Access.READ)])
few_facts = st.builds(
    Fact, few_behaviours, outcome=st.sampled_from([OK, "EPERM"]), evidence=st.sampled_from("ab") | raw_texts
)

EXAMPLE = Profile(
    Header(
        UnitSettings("a.service", exec_lines=(ExecLine("ExecStart", "", "/usr/bin/a"),)),
        frozenset({Recording("01", ("strace",), 252, "6.1", phases=frozenset(Phase), workload=Workload.OK)}),
    ),
    frozenset(
        {
            Fact(PathUse("/etc/a\n\udcff", Access.READ, FileKind.REGULAR), phase=Phase.START_UP, evidence="a: openat"),
            Fact(SystemCall("read")),
            Fact(CapabilityUsed("CAP_CHOWN", "chown"), outcome="EPERM", user=33),
        }
    ),
)
GOLDEN = """\
{"unit-tailor-profile":1}
{"unit":"a.service","exec_lines":[{"kind":"ExecStart","prefixes":"","program":"/usr/bin/a"}]}
{"recording":"01","recorders":["strace"],"systemd_version":252,"kernel":"6.1","phases":["reload","serving","start-up","stop"],"workload":"ok"}
{"fact":"PathUse","path":"/etc/a\\n\\udcff","access":"read","kind":"regular","phase":"start-up","evidence":"a: openat"}
{"fact":"SystemCall","name":"read"}
{"fact":"CapabilityUsed","capability":"CAP_CHOWN","reason":"chown","outcome":"EPERM","user":33}
{"end":3,"sha256":"DIGEST"}
"""


def without_digest(text: str) -> str:
    body, _, last = text.rstrip("\n").rpartition("\n")
    return f"{body}\n{json.dumps({**json.loads(last), 'sha256': 'DIGEST'}, separators=(',', ':'))}\n"


def test_the_text_is_as_documented() -> None:
    assert without_digest(dumps(EXAMPLE)) == GOLDEN


def test_a_recording_keeps_how_it_went() -> None:
    starts, curve = ((0, Phase.START_UP), (1200, Phase.SERVING)), ((0, 0), (40, 17), (61_000, 3))
    recording = Recording("01", ending=Ending.INTERRUPTED, phase_starts=starts, discovery=curve)
    text = dumps(Profile(Header(UnitSettings("a.service"), frozenset({recording}))))
    assert (
        '"ending":"interrupted","phase_starts":[[0,"start-up"],[1200,"serving"]],'
        '"discovery":[[0,0],[40,17],[61000,3]]}' in text
    )
    (read,) = loads(text, "a").header.recordings
    assert (read, read.duration) == (recording, 61_000)


def test_a_profile_from_before_there_was_a_curve_is_read() -> None:
    end = json.loads(dumps(EXAMPLE).splitlines()[-1])
    profile = loads(GOLDEN.replace("DIGEST", end["sha256"]), "old")
    (recording,) = profile.header.recordings
    assert (recording.discovery, recording.duration, recording.ending) == ((), 0, Ending.COMPLETE)
    assert profile == EXAMPLE


@given(profiles())
def test_what_is_written_reads_back(profile: Profile) -> None:
    text = dumps(profile)
    read = loads(text, "x")
    assert read == profile
    assert dumps(read) == text
    assert text.isascii()
    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert (
        text.count("\n") == len(profile.facts) + len(profile.header.recordings) + len(profile.header.other_settings) + 3
    )
    assert read.unknown_keys == 0


@given(facts)
def test_every_fact_survives_with_its_evidence(fact: Fact) -> None:
    (read,) = loads(dumps(Profile(facts=frozenset({fact}))), "x").facts
    assert dataclasses.astuple(read) == dataclasses.astuple(fact)


def test_names_of_fields_do_not_collide() -> None:
    of_facts = {field.name for field in dataclasses.fields(Fact)} | {"fact"}
    for kind in BEHAVIOURS:
        assert of_facts.isdisjoint(field.name for field in dataclasses.fields(kind)), kind


@given(profiles(pool=few_facts), profiles(pool=few_facts))
def test_merging_is_commutative(one: Profile, two: Profile) -> None:
    assert dumps(merge([one, two])) == dumps(merge([two, one]))


@given(profiles(pool=few_facts), profiles(pool=few_facts), profiles(pool=few_facts))
def test_merging_is_associative(one: Profile, two: Profile, three: Profile) -> None:
    assert dumps(merge([merge([one, two]), three])) == dumps(merge([one, merge([two, three])]))
    assert dumps(merge([one, two, three])) == dumps(merge([one, merge([two, three])]))


@given(profiles(pool=few_facts), profiles(pool=few_facts))
def test_merging_is_idempotent(one: Profile, two: Profile) -> None:
    both = merge([one, two])
    assert dumps(merge([both, both])) == dumps(both)
    assert dumps(merge([both, one])) == dumps(both)


@given(profiles(), profiles())
def test_merging_loses_nothing(one: Profile, two: Profile) -> None:
    both = merge([one, two])
    assert both.facts == one.facts | two.facts
    assert both.header.recordings == one.header.recordings | two.header.recordings
    assert both.is_partial == (one.is_partial or two.is_partial)


def seen(profile: Profile) -> dict[str, set[str]]:
    return {str(fact.behaviour): set(identities) for fact, identities in profile.sightings.items()}


def of_one_recording(identity: str, *names: str) -> Profile:
    header = Header(UnitSettings("a.service"), frozenset({Recording(identity)}))
    return loads(dumps(Profile(header, frozenset(Fact(SystemCall(name)) for name in names))), "x")


def test_a_merged_profile_knows_how_many_recordings_saw_a_fact() -> None:
    one, two, three = of_one_recording("1", "read"), of_one_recording("2", "read", "write"), of_one_recording("3")
    left = merge([merge([one, two]), three])
    right = merge([one, merge([three, two, one])])
    assert seen(left) == seen(right) == {str(SystemCall("read")): {"1", "2"}, str(SystemCall("write")): {"2"}}
    assert dumps(left) == dumps(right)
    assert seen(loads(dumps(left), "x")) == seen(left)
    assert left.counted_recordings == 2  # a recording that saw nothing cannot be told from one that was not asked
    assert seen(one) == {str(SystemCall("read")): {"1"}}
    assert '"seen"' not in dumps(one)


def test_profiles_merged_before_that_was_kept_still_read() -> None:
    old = Profile(
        Header(UnitSettings("a.service"), frozenset({Recording("1"), Recording("2")})),
        frozenset({Fact(SystemCall("read"))}),
    )
    assert '"seen"' not in dumps(old)
    again = loads(dumps(old), "x")
    assert again.sightings == {}
    newer = merge([again, of_one_recording("3", "read", "write")])
    assert seen(newer) == {str(SystemCall("read")): {"3"}, str(SystemCall("write")): {"3"}}
    assert newer.counted_recordings == 1


def test_sightings_that_name_no_recording_are_refused() -> None:
    text = dumps(merge([of_one_recording("1", "read"), of_one_recording("2", "read")]))
    body = text.replace('"seen":[0,1]', '"seen":[0,7]').rsplit("{", 1)[0]
    with pytest.raises(ProfileError, match="does not name recordings"):
        loads(body + text.splitlines()[-1] + "\n", "x")


@given(profiles("a.service"), profiles("b.service"))
def test_different_units_are_merged_only_on_request(one: Profile, two: Profile) -> None:
    with pytest.raises(DifferentUnits, match=r"a\.service, b\.service"):
        merge([one, two])
    both = merge([one, two], different_units=True)
    assert dumps(both) == dumps(merge([two, one], different_units=True))
    assert {both.header.unit.name, *(unit.name for unit in both.header.other_settings)} == {"a.service", "b.service"}


def test_the_unit_s_own_settings_are_no_others() -> None:
    unit = UnitSettings("a.service")
    assert Header(unit, other_settings=frozenset({unit, dataclasses.replace(unit, type="notify")})).other_settings == {
        dataclasses.replace(unit, type="notify")
    }


def test_nothing_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="nothing"):
        merge([])


def test_some_evidence_wins_over_none_and_the_first_over_the_others() -> None:
    given_facts = [Fact(SystemCall("read"), evidence=evidence) for evidence in ("", "b", "a")]
    (fact,) = merge(Profile(facts=frozenset({fact})) for fact in given_facts).facts
    assert fact.evidence == "a"


def test_the_header_follows_from_the_recordings() -> None:
    one = Recording("1", ("strace",), 252, phases=frozenset({Phase.START_UP}), unobserved=("ExecReload", "ExecStop"))
    two = Recording("2", ("ebpf",), 257, unobserved=("ExecStop",), losses=(Loss("a", 1, "y"), Loss("b", 1)))
    three = Recording("3", losses=(Loss("a", 2, "x"),), workload=Workload.OK, unobserved=("ExecStop",))
    header = Header(recordings=frozenset({one, two, three}))
    assert header.unobserved == ("ExecStop",)
    assert header.losses == (Loss("a", 3, "x"), Loss("b", 1))
    assert header.workload is Workload.OK
    assert header.systemd_version == 257
    assert header.recorders == ("ebpf", "strace")
    assert header.start_up_observed
    failed = Header(recordings=frozenset({one, dataclasses.replace(three, identity="4", workload=Workload.FAILED)}))
    assert failed.workload is Workload.FAILED
    assert Header().unobserved == ()
    assert not Header().start_up_observed


def test_secrets_of_the_unit_never_reach_the_profile() -> None:
    assignments = (
        ("Environment", "TOKEN=canary"),
        ("ExecStart", "/usr/bin/a --password canary"),
        ("ExecStartPre", "canary"),
        ("SetCredential", "x:canary"),
        ("StandardInputText", "canary"),
        ("ExecPaths", "/usr"),
        ("ReadWritePaths", ""),
    )
    unit = UnitSettings("a.service", assignments=assignments)
    text = dumps(Profile(Header(unit, other_settings=frozenset({dataclasses.replace(unit, type="notify")}))))
    assert "canary" not in text
    assert loads(text, "x").header.unit.assignments == (("ExecPaths", "/usr"), ("ReadWritePaths", ""))


def test_every_truncation_is_noticed() -> None:
    text = dumps(EXAMPLE)
    for length in range(len(text)):
        with pytest.raises(ProfileError) as error:
            loads(text[:length], "a.profile")
        assert error.value.name == "a.profile"
        assert error.value.remedy


def test_every_flipped_bit_is_noticed() -> None:
    data = dumps(EXAMPLE).encode()
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            with pytest.raises(ProfileError):
                loads(damaged.decode("utf-8", "surrogateescape"), "a.profile")


def test_every_lost_doubled_or_exchanged_line_is_noticed() -> None:
    lines = dumps(EXAMPLE).splitlines(keepends=True)
    for number, line in enumerate(lines):
        for others in (lines[:number] + lines[number + 1 :], [*lines[:number], line, *lines[number:]]):
            with pytest.raises(ProfileError):
                loads("".join(others), "a.profile")
    for number in range(len(lines) - 1):
        exchanged = [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]]
        with pytest.raises(ProfileError):
            loads("".join(exchanged), "a.profile")


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ProfileError):
        loads(text, "x")


def signed(*lines: str) -> str:
    """A text with a valid end line around these lines: what passes the digest but is wrong."""
    empty = dumps(Profile(Header(UnitSettings("a.service")))).splitlines()
    from policy.service_profile import _end_line

    body = "".join(f"{line}\n" for line in (*empty[:-1], *lines))
    return f"{body}{_end_line(sum('fact' in line for line in lines), body)}\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"fact":"PathUse","path":"/a"}', '"access" is missing'),
        ('{"fact":"PathUse","path":"/a","access":"sniff"}', "is no Access: 'sniff'"),
        ('{"fact":"PathUse","path":1,"access":"read"}', '"path" is not of the type str'),
        ('{"fact":"PathUse","path":"/a","access":"read","user":true}', '"user" is not of the type int'),
        ('{"fact":"PathUse","path":"/a","access":"read","user":1.5}', '"user" is not of the type int'),
        ('{"fact":"PathUse","path":"/a","access":["read"]}', "is no Access"),
        ('{"fact":"NamespaceUsed","call":"unshare","kinds":"net"}', '"kinds" is not a list'),
        ('{"fact":"NamespaceUsed","call":"unshare","kinds":[1]}', '"kinds" is not of the type str'),
        ('{"fact":"Sorcery"}', "unknown type of fact 'Sorcery'"),
        ('{"fact":["PathUse"]}', "unknown type of fact"),
        ('{"recording":5}', '"identity" is not of the type str'),
        ('{"recording":"1","losses":[{"kind":"x"}]}', '"losses" "count" is missing'),
        ('{"other-settings":"a","assignments":[["A"]]}', '"assignments" is not a list of 2'),
        ('{"unit":"b.service"}', "unexpected line 'unit'"),
        ('{"zap":1}', "unexpected line 'zap'"),
        ("{}", "unexpected line ''"),
        ("[1]", "not a JSON object"),
        ("", "not a line of JSON"),
        ("[" * 100_000, "not a line of JSON"),
        ('{"fact":"PathUse","user":' + "9" * 10_000 + "}", "not a line of JSON"),
    ],
)
def test_wrong_lines_are_named(line: str, reason: str) -> None:
    with pytest.raises(ProfileError) as error:
        loads(signed(line), "a.profile")
    assert reason in error.value.reason
    assert error.value.line == 3
    assert str(error.value).startswith("a.profile:3: ")


def test_unknown_keys_are_tolerated_and_counted() -> None:
    fact = '{"fact":"SystemCall","name":"read","mood":"good","hat":{"a":[1]}}'
    profile = loads(signed('{"recording":"1","planet":3}', fact), "x")
    assert profile.unknown_keys == 3
    assert profile.facts == frozenset({Fact(SystemCall("read"))})


def test_a_newer_format_says_so() -> None:
    with pytest.raises(
        ProfileError, match=r"made by a newer unit-tailor \(format 2\); this one reads up to 1"
    ) as error:
        loads('{"unit-tailor-profile":2}\nwhatever it has\n', "a.profile")
    assert "upgrade" in error.value.remedy


def test_many_facts_are_read_back() -> None:
    random = Random(7)
    many = frozenset(
        Fact(PathUse(f"/var/lib/{random.random()}", Access.READ, FileKind.REGULAR), evidence=f"a: openat {number}")
        for number in range(20_000)
    )
    assert loads(dumps(Profile(facts=many)), "x").facts == many
