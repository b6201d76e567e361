"""The table of all system calls: complete, true, and as written in docs/."""

from __future__ import annotations

from profiler.normalise import privileged
from profiler.normalise.recording import NEEDED_CALLS
from profiler.recorders.ebpf.descriptors import numbers
from profiler.recorders.ptrace_calls import CALLS
from tools import make_call_table


def test_the_page_is_as_the_generator_writes_it() -> None:
    assert make_call_table.DESTINATION.read_text(encoding="utf-8") == make_call_table.render()


def test_every_call_of_the_kernel_is_handled_or_explained() -> None:
    assert make_call_table.not_yet() == []


def test_no_call_is_explained_that_the_kernel_does_not_have() -> None:
    """# hard case 27: a typo in a table would never match."""
    assert set(make_call_table.reasons()) <= set(make_call_table.kernel_calls())


def test_every_call_that_is_handled_exists_on_some_architecture() -> None:
    """# hard case 27."""
    known = {name for table in ("x86-64", "x86", "x32") for name in numbers()[table].values()}
    assert NEEDED_CALLS - known == set()
    assert set(CALLS) - known == set()


def test_the_ptrace_recorder_reads_the_arguments_of_every_call_that_is_handled() -> None:
    """# hard case 19: python-ptrace has no prototypes for new calls, so all are ours."""
    exist = set(numbers()["x86-64"].values())
    assert {name for name in (NEEDED_CALLS & exist) - set(CALLS) if not judged_by_name(name)} == set()


def judged_by_name(name: str) -> bool:
    """Whether the handler of a call looks at its success alone."""
    return name in {"fork", "vfork"} or name in privileged._ALWAYS


def test_the_list_has_no_gaps() -> None:
    """All architectures number the calls since Linux 5.1 alike, one after the other."""
    known = set(make_call_table.kernel_calls().values())
    assert set(range(335)) - known == set()
    assert set(range(424, 470)) - known == set()
