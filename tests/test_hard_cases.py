"""The list of hard cases is complete, and every test that it names exists."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.hard_cases import ELSEWHERE, TESTS

ROOT = Path(__file__).resolve().parent.parent
CASES = range(1, 87)
"""The groups "strace and ptrace", "paths" and "processes and descriptors"."""


@cache
def functions_of(file: str) -> frozenset[str]:
    """Return the names of the test functions of a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_case_has_a_test_or_a_reason() -> None:
    assert set(CASES) == set(TESTS) | set(ELSEWHERE)
    assert not set(TESTS) & set(ELSEWHERE)
    assert set(range(1, 28)) <= set(TESTS)


@pytest.mark.parametrize("case", sorted(TESTS))
def test_the_tests_of_a_case_exist(case: int) -> None:
    for test in TESTS[case]:
        file, _, name = test.partition("::")
        assert name in functions_of(file), test
