"""Hard cases of recording that need no tracer and no machine: calls as a tracer delivers them, what follows."""

from __future__ import annotations

import pytest

from policy.behaviour import (
    OK,
    UNKNOWN,
    Behaviour,
    ClockUsed,
    MemoryMapped,
    PathUse,
    PersonalityChanged,
    SchedulingSet,
    SignalSent,
    SocketAddress,
    SystemCall,
)
from profiler.normalise.attribution import Scope
from profiler.normalise.recording import NEEDED_CALLS, Normaliser
from profiler.recorders import strace_command
from profiler.recorders.base import Descriptor, Losses, RawCall, RawEvent, Struct, Symbol, Value
from profiler.recorders.strace_lines import LineReader
from tests.profiler.normalise.calls import HERE, BareMachine, Trace


def recorded(*events: RawEvent) -> Normaliser:
    """Return what a command of these calls leaves."""
    target = Normaliser(Scope(), BareMachine(), started=1000.0)
    for event in events:
        target.feed(event)
    target.finish()
    return target


def behaviours(target: Normaliser, kind: type[Behaviour]) -> set[Behaviour]:
    """Return the behaviours of one kind."""
    return {fact.behaviour for fact in target.facts() if isinstance(fact.behaviour, kind)}


def paths(target: Normaliser) -> set[str]:
    """Return the paths that were used."""
    return {fact.behaviour.path for fact in target.facts() if isinstance(fact.behaviour, PathUse)}


def read(*lines: bytes) -> tuple[list[RawEvent], Losses]:
    """Return the events of these lines, and the losses."""
    losses = Losses()
    reader = LineReader(losses)
    return [*reader.read(lines), *reader.finish()], losses


def test_every_outcome_is_kept() -> None:
    """# hard case 1, 3, 4."""
    trace = Trace()
    outcomes = ("ENOENT", "EINTR", "EEXIST", "EAGAIN", "EPERM", "EROFS")
    target = recorded(
        trace.executed(7, b"/bin/x"),
        *(trace.call(7, "openat", HERE, b"/a/" + name.encode(), Symbol("O_RDONLY"), error=name) for name in outcomes),
        trace.call(7, "openat", HERE, b"/a/unknown", Symbol("O_RDONLY"), result=None),
    )
    found = {
        fact.behaviour.path: fact.outcome
        for fact in target.facts()
        if isinstance(fact.behaviour, PathUse) and fact.behaviour.path.startswith("/a/")
    }
    assert found == {**{f"/a/{name}": name for name in outcomes}, "/a/unknown": UNKNOWN}


def test_a_failed_call_changes_nothing_that_is_tracked() -> None:
    """# hard case 5, 6: neither directory nor descriptors nor namespaces."""
    trace = Trace()
    target = recorded(
        trace.executed(7, b"/bin/x"),
        trace.call(7, "chdir", b"/work"),
        trace.call(7, "chdir", b"/nonexistent", error="ENOENT"),
        trace.call(7, "chroot", b"/nonexistent", error="EPERM"),
        trace.call(7, "unshare", Symbol("CLONE_NEWNS"), error="EPERM"),
        trace.call(7, "openat", Descriptor(-100), b"gone", Symbol("O_RDONLY"), error="ENOENT"),
        trace.call(7, "openat", Descriptor(-1), b"relative", Symbol("O_RDONLY"), error="EBADF"),
        trace.call(7, "mkdir", b"here", 0o755),
    )
    assert "/work/here" in paths(target)
    assert "/work/gone" in paths(target)
    assert not target.losses.counts


def test_signal_zero_is_a_probe() -> None:
    """# hard case 12."""
    events, losses = read(b"7 1.5 kill(7, 0) = 0\n", b"7 1.6 kill(7, SIGTERM) = 0\n")
    assert not losses.counts
    assert [event.arguments[1] for event in events if isinstance(event, RawCall)] == [0, Symbol("SIGTERM")]
    trace = Trace()
    assert behaviours(recorded(trace.executed(7, b"/x"), trace.call(7, "kill", 7, 0)), SignalSent)


@pytest.mark.parametrize("family", ["AF_INET6", "AF_X25", "AF_AX25", "AF_INET"])
def test_names_keep_their_digits(family: str) -> None:
    """# hard case 13."""
    events, _ = read(b"7 1.5 socket(%s, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3\n" % family.encode())
    assert isinstance(events[0], RawCall) and events[0].arguments[0] == Symbol(family)


@pytest.mark.parametrize("name", ["pipe:[12]", "socket:[12]", "net:[4026531840]", "anon_inode:[eventfd]", "/memfd:x"])
def test_what_is_no_path_makes_no_path(name: str) -> None:
    """# hard case 14, 39."""
    trace = Trace()
    target = recorded(
        trace.executed(7, b"/x"),
        trace.call(7, "fchmod", Descriptor(3, name.encode()), 0o600),
        trace.call(7, "fstat", Descriptor(3, name.encode()), None),
        trace.call(
            7, "mmap", 0, 4096, Symbol("PROT_READ|PROT_EXEC"), Symbol("MAP_PRIVATE"), Descriptor(3, name.encode())
        ),
    )
    assert not {path for path in paths(target) if "[" in path or "memfd" in path}


def test_a_call_without_a_handler_is_recorded_by_name_at_little_cost() -> None:
    """# hard case 15."""
    trace = Trace()
    assert "getrandom" not in NEEDED_CALLS
    target = recorded(trace.executed(7, b"/x"), *(trace.call(7, "getrandom") for _ in range(3)))
    assert SystemCall("getrandom") in behaviours(target, SystemCall)


def test_a_number_is_no_name() -> None:
    """# hard case 16: counted, and kept in a form that no filter takes for a call."""
    events, losses = read(b"7 1.5 syscall_0x1f4(0x1, 0, 0, 0, 0, 0) = -1 ENOSYS (Function not implemented)\n")
    assert losses.counts
    assert isinstance(events[0], RawCall) and events[0].undecoded


def test_the_command_line_and_environment_of_programs_are_not_kept() -> None:
    """# hard case 24."""
    trace = Trace()
    arguments: tuple[Value, ...] = (b"/bin/x", (b"/bin/x", b"--password=canary"), (b"SECRET=canary",))
    target = recorded(trace.call(7, "execve", *arguments), trace.call(7, "sendto", 3, b"canary", 6, 0, None, 0))
    assert target.facts()
    assert "canary" not in repr(target.facts())


def test_a_service_that_traces_is_told_that_it_could_not_be_seen() -> None:
    """# hard case 21: refused because of us, so nothing may be concluded."""
    trace = Trace()
    target = recorded(trace.executed(7, b"/x"), trace.call(7, "ptrace", Symbol("PTRACE_TRACEME"), 0, error="EPERM"))
    assert any("traced already" in kind for kind in target.losses.counts)


def test_all_calls_are_traced_so_that_the_set_of_names_is_complete() -> None:
    """# hard case 23: --seccomp-bpf spares the stops of calls that nobody wants to see; SystemCallFilter= needs all."""
    words = strace_command.arguments("/dev/null")
    assert "--seccomp-bpf" not in words
    assert not any(word.startswith("trace=") for word in words)


def test_descriptors_of_two_processes_are_two_tables_and_threads_share_one() -> None:
    """# hard case 65, 66: without decorations, as far as the calls themselves tell."""
    trace = Trace()

    def opened(pid: int, path: bytes) -> RawCall:
        return trace.opened(pid, path)

    def on_3(pid: int) -> RawCall:
        return trace.call(pid, "fchmod", Descriptor(3), 0o600)

    target = recorded(
        trace.executed(7, b"/x"),
        opened(7, b"/first"),
        trace.forked(7, 8),
        opened(8, b"/childs"),
        on_3(7),
        trace.forked(7, 9, "CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD"),
        opened(9, b"/threads"),
        on_3(7),
        trace.call(7, "dup2", Descriptor(3), 5, result=5),
        trace.call(7, "fchmod", Descriptor(5), 0o600),
        trace.call(9, "unshare", Symbol("CLONE_FILES")),
        opened(9, b"/own"),
        on_3(7),
    )
    changed = {
        fact.behaviour.path
        for fact in target.facts()
        if isinstance(fact.behaviour, PathUse) and fact.behaviour.access.value == "metadata"
    }
    assert changed == {"/first", "/threads"}


CALLS: dict[str, tuple[tuple[str, tuple[Value, ...]], Behaviour]] = {
    "74 mprotect": (("mprotect", (4096, 4096, Symbol("PROT_READ|PROT_EXEC"))), MemoryMapped("mprotect-execute")),
    "74 pkey": (("pkey_mprotect", (4096, 4096, Symbol("PROT_EXEC"), 1)), MemoryMapped("mprotect-execute")),
    "74 shmat": (("shmat", (0, None, Symbol("SHM_EXEC"))), MemoryMapped("shmat-execute")),
    "76 timerfd": (
        ("timerfd_create", (Symbol("CLOCK_BOOTTIME_ALARM"), 0)),
        ClockUsed("timerfd_create", "CLOCK_BOOTTIME_ALARM"),
    ),
    "76 timer": (
        ("timer_create", (Symbol("CLOCK_REALTIME_ALARM"), None)),
        ClockUsed("timer_create", "CLOCK_REALTIME_ALARM"),
    ),
    "77 sched_setattr": (
        ("sched_setattr", (0, Struct({"sched_policy": Symbol("SCHED_DEADLINE"), "sched_flags": 0}))),
        SchedulingSet("sched_setattr", "SCHED_DEADLINE"),
    ),
    "79 personality": (("personality", (0xFFFFFFFF,)), PersonalityChanged(0xFFFFFFFF)),
    "92 port": (
        ("bind", (3, Struct({"sa_family": Symbol("AF_INET"), "sin_port": 0, "sin_addr": b"0.0.0.0"}))),
        SocketAddress("bind", "AF_INET", "", "0.0.0.0", 0),
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_call_that_a_directive_refuses_is_a_fact(case: str) -> None:
    """# hard case 74, 76, 77, 79, 92."""
    (name, arguments), behaviour = CALLS[case]
    trace = Trace()
    target = recorded(trace.executed(7, b"/x"), trace.call(7, name, *arguments))
    assert behaviour in {fact.behaviour for fact in target.facts() if fact.outcome == OK}
