"""Limits, niceness and capability sets over time: what raises them needs a capability, what lowers them does not."""

from __future__ import annotations

from typing import cast

import pytest

from policy.behaviour import CapabilityUsed
from profiler.normalise.attribution import Scope
from profiler.normalise.recording import Normaliser
from profiler.recorders.base import RawCall, Struct, Symbol, Value
from tests.profiler.normalise.calls import HERE, BareMachine, Trace

NOFILE = Symbol("RLIMIT_NOFILE")
UNLIMITED = Symbol("RLIM64_INFINITY")


def limit(hard: Value) -> Struct:
    return Struct({"rlim_cur": 5, "rlim_max": hard})


def capabilities(*calls: tuple[object, ...], machine: BareMachine | None = None) -> list[str]:
    """Return the reasons of the capabilities that a root process needed for these calls (name, arguments)."""
    trace = Trace()
    target = Normaliser(Scope(), machine or BareMachine(limits={"RLIMIT_NOFILE": 1000}), started=1.0)
    for name, *arguments in calls:
        target.feed(call_of(trace, name, arguments))
    assert target.losses.counts == {}
    used = (fact.behaviour for fact in target.facts() if isinstance(fact.behaviour, CapabilityUsed))
    return sorted(f"{use.capability}: {use.reason}" for use in used)


def call_of(trace: Trace, name: object, arguments: list[object]) -> RawCall:
    assert isinstance(name, str)
    return trace.call(7, name, *cast("list[Value]", arguments))


RAISED = ["CAP_SYS_RESOURCE: RLIMIT_NOFILE raised above its hard limit"]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([("prlimit64", 0, NOFILE, limit(1000), None)], []),
        ([("prlimit64", 0, NOFILE, limit(1001), None)], RAISED),
        ([("setrlimit", NOFILE, limit(UNLIMITED))], RAISED),
        ([("prlimit64", 0, NOFILE, limit(2000), limit(4000))], []),
        ([("prlimit64", 0, NOFILE, limit(500), None), ("prlimit64", 7, NOFILE, limit(600), None)], RAISED),
        ([("prlimit64", 0, NOFILE, None, limit(9)), ("prlimit64", 0, NOFILE, limit(9), None)], []),
        ([("prlimit64", 0, Symbol("RLIMIT_CPU"), None, None)], []),
        (
            [("prlimit64", 0, Symbol("RLIMIT_CPU"), limit(1), None)],
            ["CAP_SYS_RESOURCE: RLIMIT_CPU set from an unknown hard limit"],
        ),
    ],
)
def test_hard_limits(calls: list[tuple[object, ...]], expected: list[str]) -> None:
    assert capabilities(*calls) == expected


def test_what_was_given_up_is_not_needed() -> None:
    """A process that dropped a capability cannot have used it afterwards."""
    empty = Struct({"effective": 0, "permitted": 0, "inheritable": 0})
    header = Struct({"version": Symbol("_LINUX_CAPABILITY_VERSION_3"), "pid": 0})
    assert capabilities(("capset", header, empty), ("sethostname", b"x", 1)) == []
    assert capabilities(("setresuid", 5, 5, 5), ("sethostname", b"x", 1)) == ["CAP_SETUID: setresuid to 5/5/5"]
    kept = [("prctl", Symbol("PR_SET_KEEPCAPS"), 1), ("setresuid", 5, 5, 5)]
    raised = Struct(
        {"effective": Symbol("1<<CAP_SYS_ADMIN"), "permitted": Symbol("1<<CAP_SYS_ADMIN"), "inheritable": 0}
    )
    assert "CAP_SYS_ADMIN: sethostname" in capabilities(*kept, ("capset", header, raised), ("sethostname", b"x", 1))


def test_niceness() -> None:
    own = (Symbol("PRIO_PROCESS"), 0)
    assert capabilities(("setpriority", *own, 5), ("setpriority", *own, 4)) == ["CAP_SYS_NICE: setpriority to 4 from 5"]
    granted = BareMachine(limits={"RLIMIT_NICE": 20})
    assert capabilities(("setpriority", *own, 5), ("setpriority", *own, 0), machine=granted) == []


@pytest.mark.parametrize(("pid", "expected"), [(7, []), (8, ["CAP_DAC_OVERRIDE: openat for writing (unknown owner)"])])
def test_what_root_writes_below_its_own_process_is_its_own(pid: int, expected: list[str]) -> None:
    """The process is gone when it is looked at."""
    path = b"/proc/%d/loginuid" % pid

    assert capabilities(("openat", HERE, path, Symbol("O_WRONLY"))) == expected


def test_a_map_has_no_type_of_program() -> None:
    """ptrace reads the first word of any bpf() as one."""
    map_or_program = Struct({"prog_type": Symbol("BPF_PROG_TYPE_KPROBE")})

    assert capabilities(("bpf", Symbol("BPF_MAP_CREATE"), map_or_program)) == ["CAP_BPF: bpf(BPF_MAP_CREATE)"]
    loaded = capabilities(("bpf", Symbol("BPF_PROG_LOAD"), map_or_program))
    assert "CAP_PERFMON: bpf(BPF_PROG_LOAD, BPF_PROG_TYPE_KPROBE)" in loaded
