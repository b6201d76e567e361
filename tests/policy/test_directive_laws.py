"""Laws that every directive class has to keep, whatever it is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from policy.behaviour import Fact, Mounted
from policy.directives.base import Directive, Evidence, all_directives
from policy.directives.choice import Choice
from policy.host_facts import HostFacts
from policy.sandbox.sandbox import Sandbox
from policy.settings import build_sandbox, parse_settings
from policy.shipped_host_facts import for_version
from policy.unit_settings import UnitSettings
from tests.policy.services import UNITS, data_store, pool, web_server

NEWEST = replace(for_version(262), features=frozenset({"+SECCOMP", "+BPF_FRAMEWORK"}))
VERSIONS = (245, 248, 250, 252, 254, 257, 262)

Kind = type[Directive]
KINDS = tuple(all_directives().values())
EXAMPLES = [(kind, value) for kind in KINDS for value in kind.denied_examples]
CHOICES = tuple(kind for kind in KINDS if issubclass(kind, Choice))


def name_of(one: object) -> str:
    return one.__name__ if isinstance(one, type) else str(one)


def sandbox_with(directive: Directive, host: HostFacts) -> Sandbox:
    everything = {**parse_settings([], host), type(directive).__name__: directive}
    return build_sandbox(everything, host, UnitSettings())


def evidences(host: HostFacts) -> Iterator[Evidence]:
    for recorded in (web_server(), data_store()):
        yield Evidence(recorded.facts, host, recorded.header.unit)
    for unit in UNITS:
        yield Evidence(frozenset(pool()), host, unit)
        yield Evidence(frozenset(pool()[::7]), host, unit)
        yield Evidence(frozenset(), host, unit)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_it_says_what_it_is(kind: Kind) -> None:
    assert kind.__doc__
    assert kind.summary
    assert not kind.summary.endswith(".")
    assert kind.manual.startswith("systemd.")
    assert kind.denied_examples or kind.boost_only


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_saying_nothing_is_the_default_and_denies_nothing(kind: Kind) -> None:
    default = kind.parse([], NEWEST)
    sandbox = sandbox_with(default, NEWEST)
    assert [fact for fact in pool() if sandbox.judge(fact) is not None] == []


@pytest.mark.parametrize(("kind", "value"), EXAMPLES, ids=name_of)
def test_its_example_is_denied_by_the_value_and_not_without_it(kind: Kind, value: str) -> None:
    example: Fact = kind.denied_examples[value]
    denial = sandbox_with(kind.parse([value], NEWEST), NEWEST).judge(example)
    assert denial is not None
    assert denial.directive == kind.__name__
    assert denial.setting.startswith(f"{kind.__name__}=")
    assert sandbox_with(kind.parse([], NEWEST), NEWEST).judge(example) is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_what_it_writes_is_read_back(kind: Kind, version: int) -> None:
    host = for_version(version)
    for evidence in evidences(host):
        own = kind.parse(evidence.unit.values(kind.__name__), host)
        for candidate in (*kind.candidates(evidence), own):
            for value in (candidate, candidate.intersected(own)):
                if value == own:
                    continue  # nothing is written
                assert kind.parse(value.values(), host) == value
                # Behind anything that a unit has said before, it means the same.
                if value.values() and value.values()[0] == "":
                    assert kind.parse([*evidence.unit.values(kind.__name__), *value.values()], host) == value


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_no_value_is_proposed_that_the_target_does_not_know(kind: Kind) -> None:
    for version in VERSIONS:
        host = for_version(version)
        for evidence in evidences(host):
            for candidate in kind.candidates(evidence):
                for value in candidate.values():
                    needed = kind.since.get(value, kind.since.get("", 0))
                    assert needed <= version, (value, version)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_it_is_never_looser_than_the_unit(kind: Kind) -> None:
    for evidence in evidences(NEWEST):
        own = kind.parse(evidence.unit.values(kind.__name__), NEWEST)
        before = sandbox_with(own, NEWEST)
        # An empty list of writable paths no longer brings a mount namespace along; PrivateMounts= does that.
        denied = [fact for fact in pool() if before.judge(fact) and not isinstance(fact.behaviour, Mounted)]
        for candidate in kind.candidates(evidence):
            after = sandbox_with(candidate.intersected(own), NEWEST)
            assert [fact for fact in denied if after.judge(fact) is None] == []


@pytest.mark.parametrize("kind", [kind for kind in CHOICES if kind.ordered], ids=name_of)
def test_a_stricter_word_denies_at_least_as_much(kind: type[Choice]) -> None:
    for version in (252, 262):
        host = for_version(version)
        words = kind.known_words(host)
        denied = [{fact for fact in pool() if sandbox_with(kind(word), host).judge(fact) is not None} for word in words]
        for looser, stricter in pairwise(denied):
            assert looser <= stricter


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_nothing_is_proposed_from_a_recording_without_the_start(kind: Kind) -> None:
    for evidence in evidences(NEWEST):
        unseen = Evidence(evidence.facts, evidence.host, evidence.unit, start_up_observed=False)
        assert not list(kind.candidates(unseen))
