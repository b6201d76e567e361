"""The house rules, applied to every module."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.linters import rules
from tests.linters.sources import Source, sources

Rule = Callable[[Source], list[str]]

APPLIED: list[tuple[Rule, tuple[str, ...]]] = [
    (rules.policy_imports_only_what_computes, ("policy",)),
    (rules.policy_touches_nothing, ("policy",)),
    (rules.only_run_starts_processes, ("profiler",)),
    (rules.nothing_runs_through_a_shell, ("profiler", "policy", "tests", "fixtures")),
    (rules.only_commands_print, ("profiler", "policy")),
    (rules.modules_are_short, ("profiler", "policy", "tests", "fixtures")),
    (rules.functions_are_short, ("profiler", "policy")),
    (rules.public_names_are_documented, ("profiler", "policy")),
    (rules.no_service_is_special, ("profiler", "policy")),
    (rules.recorders_do_not_know_each_other, ("profiler",)),
]


@pytest.mark.parametrize(("rule", "folders"), APPLIED, ids=lambda value: getattr(value, "__name__", None))
def test_house_rule(rule: Rule, folders: tuple[str, ...]) -> None:
    modules = sources(*folders)
    assert modules
    complaints = [complaint for source in modules for complaint in rule(source)]
    assert not complaints, "\n" + "\n".join(complaints)
