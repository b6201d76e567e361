"""The page about directives is made from the classes; a new class turns up wherever directives do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Self

import pytest

from policy.behaviour import Access, Fact, FileDescriptorUsed
from policy.decide import decide
from policy.directive_table import render
from policy.directives.base import Directive, Evidence, all_directives
from policy.directives.choice import Choice
from policy.drop_in_for import drop_in_settings
from policy.explain import explain
from policy.replay import replay
from policy.sandbox.sandbox import Sandbox
from policy.shipped_host_facts import for_version
from tests.conformance.cases import single_cases
from tests.policy import test_directive_laws as laws
from tests.policy.services import HOST, profile, use, web_server

PAGE = Path(__file__).resolve().parents[2] / "docs" / "directives.md"
INJECTION = Fact(FileDescriptorUsed("ioctl:TIOCSTI"))


def test_the_page_is_up_to_date() -> None:
    stale = "docs/directives.md is stale: run .venv/bin/python tools/document_directives.py"
    assert PAGE.read_text(encoding="utf-8") == render(all_directives()), stale


def test_every_value_that_denies_has_a_row_with_its_example() -> None:
    page = render(all_directives())
    for name, kind in all_directives().items():
        section = page.partition(f"\n## {name}=\n")[2].partition("\n## ")[0]
        assert kind.summary in page
        for value in (*kind.since, *kind.denied_examples):
            assert not value or f"| `{value}` |" in section, (name, value)


@pytest.fixture
def newcomer() -> Iterator[type[Directive]]:
    """One class with one denied example per value: all that it takes to add a directive."""

    class ProtectTerminal(Choice):
        """Takes away the injection of input into terminals.

        Facts: the ioctl TIOCSTI.
        """

        since: ClassVar = {"yes": 250}
        manual: ClassVar = "systemd.exec(5), Sandboxing"
        summary: ClassVar = "no input into terminals"
        denied_examples: ClassVar = {"yes": INJECTION}

        def enforce(self, sandbox: Sandbox) -> None:
            """Load a filter."""

            def rule(fact: Fact) -> str:
                return "EPERM" if fact.behaviour == INJECTION.behaviour else ""

            sandbox.filters.add(type(self).__name__, self.setting, rule)

    yield ProtectTerminal
    del Directive.registry["ProtectTerminal"]


def test_a_new_directive_is_one_class(newcomer: type[Directive]) -> None:
    assert list(all_directives())[-1] == "ProtectTerminal"
    assert "## ProtectTerminal=\n\nTakes away the injection" in render(all_directives())
    assert "| `yes` | 250 | ioctl:TIOCSTI |" in render(all_directives())
    settings = {name: values for name, values, _ in drop_in_settings(decide(web_server(), HOST))}
    assert settings["ProtectTerminal"] == ("yes",)
    decision = decide(profile([INJECTION]), HOST)
    why = next(one for one in explain(decision) if one.directive == "ProtectTerminal")
    assert why.values == ()
    assert [denial.fact for denial in why.forced_by] == [INJECTION]
    assert why.costs == (), "systemd-analyze does not look at it"
    denials = replay(profile([INJECTION]), [("ProtectTerminal", "true")], HOST).blocked
    assert [denial.setting for denial in denials] == ["ProtectTerminal=yes"]


def test_the_laws_hold_for_a_new_directive(newcomer: type[Directive]) -> None:
    laws.test_it_says_what_it_is(newcomer)
    laws.test_saying_nothing_is_the_default_and_denies_nothing(newcomer)
    laws.test_its_example_is_denied_by_the_value_and_not_without_it(newcomer, "yes")
    laws.test_what_it_writes_is_read_back(newcomer, 252)
    laws.test_no_value_is_proposed_that_the_target_does_not_know(newcomer)
    laws.test_it_is_never_looser_than_the_unit(newcomer)
    laws.test_nothing_is_proposed_from_a_recording_without_the_start(newcomer)


def test_conformance_tries_a_new_directive(newcomer: type[Directive]) -> None:
    tried = [case.label for case in single_cases(for_version(262)) if case.directive == newcomer.__name__]
    assert tried == ["ProtectTerminal=yes"]
    assert list(single_cases(for_version(249)))[-1].directive != newcomer.__name__


def test_a_target_that_is_too_old_does_not_get_it(newcomer: type[Directive]) -> None:
    old = for_version(249)
    assert newcomer.unenforced(old) == "systemd 249 does not know it"
    names = {name for name, _, _ in drop_in_settings(decide(profile([use("/etc/a", Access.READ)]), old))}
    assert newcomer.__name__ not in names


def test_a_bad_declaration_is_an_error_at_once() -> None:
    with pytest.raises(TypeError, match="must declare"):

        class Incomplete(Choice):
            """Nothing."""

            since: ClassVar = {"yes": 1}

            def enforce(self, sandbox: Sandbox) -> None:
                """Nothing."""

    with pytest.raises(TypeError, match="does not know"):

        class Confused(Choice):
            """Nothing."""

            since: ClassVar = {"yes": 1}
            manual: ClassVar = "systemd.exec(5)"
            summary: ClassVar = "nothing"
            denied_examples: ClassVar = {"maybe": INJECTION}

            def enforce(self, sandbox: Sandbox) -> None:
                """Nothing."""

            @classmethod
            def candidates(cls, evidence: Evidence) -> Iterable[Self]:
                """Propose nothing."""
                return ()
