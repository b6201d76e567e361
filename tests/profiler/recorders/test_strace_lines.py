"""Trace lines to events: every shape of line, joined calls, deaths, modes; recorded traces; hostile damage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.recorders import strace_lines
from profiler.recorders.base import (
    Descriptor,
    Losses,
    ProcessEnded,
    RawCall,
    RawEvent,
    Struct,
    Symbol,
    ThreadSuperseded,
)
from profiler.recorders.strace_lines import (
    CUT_LINE,
    NO_BEGINNING,
    UNCERTAIN_ARCHITECTURE,
    UNKNOWN_CALL,
    UNREADABLE_ARGUMENTS,
    UNREADABLE_LINE,
    UNTRACED_CHILD,
    LineReader,
)
from tests.profiler.recorders.test_strace_values import hexadecimal, quoted


def read(*lines: bytes, decode: frozenset[str] | None = None) -> tuple[list[RawEvent], Losses]:
    """Return the events of lines that are given without PID column padding, time and newline: ``b"7 exit(0) = ?"``."""
    losses = Losses()
    reader = LineReader(losses, decode=decode)
    whole = []
    for second, line in enumerate(lines):
        pid, rest = line.split(b" ", 1)
        whole.append(pid.ljust(5) + b" %d.500000 " % second + rest + b"\n")
    return [*reader.read(whole), *reader.finish()], losses


def only(*lines: bytes) -> RawCall:
    """Return the one call that these lines make, without losses."""
    events, losses = read(*lines)
    assert not losses.counts
    assert len(events) == 1
    assert isinstance(events[0], RawCall)
    return events[0]


RESULTS = [
    (b"= 0", 0, "", None),
    (b"                       = 3", 3, "", None),
    (b"= 0x7f00", 0x7F00, "", None),
    (b"= 022", 0o22, "", None),
    (b"= -1 ENOENT (No such file or directory)", -1, "ENOENT", None),
    (b"= -1 EINPROGRESS (Operation now in progress)", -1, "EINPROGRESS", None),
    (b"= -1 (errno 524)", -1, "errno 524", None),
    (b"= 0 (Timeout)", 0, "", None),
    (b"= 0x8000 (flags O_RDONLY|O_LARGEFILE)", 0x8000, "", None),
    (b"= 1 ([{fd=3, revents=POLLIN}])", 1, "", None),
    (b"= 7 /* 3 in strace's PID NS */", 7, "", None),
    (b"= 3<\\x2f\\x61>", 3, "", Descriptor(3, b"/a")),
    (b"= 3<\\x2f\\x61>(deleted)", 3, "", Descriptor(3, b"/a", deleted=True)),
    (b"= ?", None, "", None),
    (b"= ? <unavailable>", None, "", None),
    (b"= ? ERESTARTSYS (To be restarted if SA_RESTART is set)", None, "", None),
    (b"= -1 ERESTART_RESTARTBLOCK (Unknown error 516)", None, "", None),
]


@pytest.mark.parametrize(("text", "result", "error", "target"), RESULTS, ids=[text.decode() for text, *_ in RESULTS])
def test_a_result_has_its_meaning(text: bytes, result: int | None, error: str, target: Descriptor | None) -> None:
    call = only(b"7 dup(3) " + text)
    assert (call.result, call.error, call.result_target) == (result, error, target)
    assert (call.pid, call.time, call.name, call.arguments, call.undecoded) == (7, 0.5, "dup", (3,), False)


def test_calls_of_two_threads_interleave_and_each_is_joined() -> None:
    events, losses = read(
        b"7 openat(AT_FDCWD<\\x2f>, " + quoted(b"one") + b", O_RDONLY <unfinished ...>",
        b"8 openat(AT_FDCWD<\\x2f>, " + quoted(b"two") + b", O_RDONLY <unfinished ...>",
        b"7 <... openat resumed>) = -1 ENOENT (No such file or directory)",
        b"8 <... openat resumed>) = 3<\\x2f\\x62>",
    )
    assert not losses.counts
    root = Descriptor(-100, b"/")
    assert events == [
        RawCall(7, 0.5, "openat", (root, b"one", Symbol("O_RDONLY")), -1, "ENOENT"),
        RawCall(8, 1.5, "openat", (root, b"two", Symbol("O_RDONLY")), 3, result_target=Descriptor(3, b"/b")),
    ]


def test_arguments_that_were_printed_at_the_end_are_joined_to_those_at_the_beginning() -> None:
    call = only(
        b"7 clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD} <unfinished ...>",
        b"7 <... clone3 resumed> => {parent_tid=[52]}, 88) = 52",
    )
    flags = Symbol("CLONE_VM|CLONE_VFORK")
    assert call.arguments == (Struct({"flags": flags, "exit_signal": Symbol("SIGCHLD"), "parent_tid": (52,)}), 88)
    call = only(b"7 recvfrom(3<\\x2f>,  <unfinished ...>", b"7 <... recvfrom resumed>" + quoted(b"x") + b", 9) = 1")
    assert call.arguments == (Descriptor(3, b"/"), b"x", 9)


def test_a_result_that_was_interrupted_itself_is_joined_too() -> None:
    call = only(
        b"7 read(3<\\x2f>,  <unfinished ...>",
        b"7 <... read resumed>0x10 <unfinished ...>",
        b"7 <... read resumed>, 9) = -1 EFAULT (Bad address)",
    )
    assert (call.arguments, call.error) == ((Descriptor(3, b"/"), 16, 9), "EFAULT")


@pytest.mark.parametrize(
    "ending",
    [
        (b"7 <... accept4 resumed>) = ?", b"7 +++ killed by SIGKILL +++"),
        (b"7 <... accept4 resumed> <unfinished ...>) = ?", b"7 +++ killed by SIGKILL +++"),
        (b"7 +++ killed by SIGKILL +++",),
    ],
)
def test_a_call_in_which_its_process_died_was_attempted(ending: tuple[bytes, ...]) -> None:
    events, losses = read(b"7 accept4(3<\\x2f>,  <unfinished ...>", *ending)
    assert not losses.counts
    assert events[0] == RawCall(7, 0.5, "accept4", (Descriptor(3, b"/"),))
    assert events[1] == ProcessEnded(7, len(ending) + 0.5, killed_by="SIGKILL")


@pytest.mark.parametrize("mark", [b"unfinished", b"detached"])
def test_a_call_that_is_blocked_when_the_recording_ends_was_attempted(mark: bytes) -> None:
    call = only(b"1 epoll_wait(4,  <" + mark + b" ...>")
    assert (call.name, call.arguments, call.result) == ("epoll_wait", (4,), None)
    assert only(b"1 nanosleep({tv_sec=1, tv_nsec=0},  <unfinished ...>) = ?").result is None


def test_an_attached_process_may_be_in_the_middle_of_a_call() -> None:
    events, losses = read(b"1 <... epoll_wait resumed>[], 9, -1) = 0", decode=frozenset({"openat"}))
    assert events == [RawCall(1, 0.5, "epoll_wait", (), 0, undecoded=True)]
    assert not losses.counts  # its arguments would not have been wanted anyway
    events, losses = read(b"1 <... openat resumed>) = 3<\\x2f>", decode=frozenset({"openat"}))
    assert events == [RawCall(1, 0.5, "openat", (), 3, result_target=Descriptor(3, b"/"), undecoded=True)]
    assert losses.counts == {NO_BEGINNING: 1}


def test_an_interrupted_call_that_goes_on_has_no_arguments() -> None:
    call = only(b"1 restart_syscall(<... resuming interrupted poll ...>) = 1")
    assert (call.name, call.arguments, call.undecoded) == ("restart_syscall", (), False)
    call = only(
        b"1 restart_syscall(<... resuming interrupted poll ...> <unfinished ...>",
        b"1 <... restart_syscall resumed>) = -1 EINTR (Interrupted system call)",
    )
    assert (call.arguments, call.error) == ((), "EINTR")


@pytest.mark.parametrize("mark", [b"unfinished", b"pid changed to 500"])
def test_execve_by_a_thread_goes_on_under_the_id_of_its_leader(mark: bytes) -> None:
    events, losses = read(
        b"500 pause( <unfinished ...>",
        b"501 execve(" + quoted(b"/bin/true") + b", [], 0x7f /* 0 vars */ <" + mark + b" ...>",
        b"500 <... pause resumed>) = ?",
        b"502 +++ exited with 0 +++",
        b"500 +++ superseded by execve in pid 501 +++",
        b"500 <... execve resumed>) = 0",
        b"500 exit_group(3) = ?",
        b"500 +++ exited with 3 +++",
    )
    assert not losses.counts
    assert events == [
        RawCall(500, 0.5, "pause"),
        ProcessEnded(502, 3.5, 0),
        ThreadSuperseded(501, 4.5, 500),
        RawCall(500, 1.5, "execve", (b"/bin/true", (), 0x7F), 0),
        RawCall(500, 6.5, "exit_group", (3,)),
        ProcessEnded(500, 7.5, 3),
    ]


def test_a_process_that_was_gone_before_its_call_was_known_made_none() -> None:
    events, losses = read(
        b"7 ???( <unfinished ...>", b"7 <... ??? resumed>) = ?", b"7 +++ killed by SIGSYS (core dumped) +++"
    )
    assert events == [ProcessEnded(7, 2.5, killed_by="SIGSYS")]
    events, losses = read(b"7 ???() = ?", b"8 ???( <detached ...>")
    assert not events
    assert not losses.counts


def test_signals_are_known_lines() -> None:
    events, losses = read(
        b"7 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=1, si_uid=0} ---",
        b"7 --- SIGRT_1 {si_signo=SIGRT_1, si_code=SI_QUEUE, si_ptr={a=1}} ---",
        b"7 --- stopped by SIGSTOP ---",
    )
    assert not events
    assert not losses.counts


def test_a_mode_holds_until_the_next_one_and_for_children() -> None:
    events, losses = read(
        b"7 getpid() = 7",
        b"7 [ Process PID=7 runs in 32 bit mode. ]",
        b"7 fork() = 8",
        b"8 getpid() = 8",
        b"8 +++ exited with 0 +++",
        b"7 [ Process PID=7 runs in x32 mode. ]",
        b"7 vfork( <unfinished ...>",
        b"9 getpid() = 9",
        b"7 <... vfork resumed>) = 9",
        b"7 [ Process PID=7 runs in 64 bit mode. ]",
        b"7 fork() = 8",
        b"8 getpid() = 8",
    )
    assert not losses.counts
    modes = [(call.pid, call.name, call.architecture) for call in events if isinstance(call, RawCall)]
    assert modes == [
        (7, "getpid", "x86-64"),
        (7, "fork", "x86"),
        (8, "getpid", "x86"),
        (9, "getpid", "x32"),
        (7, "vfork", "x32"),
        (7, "fork", "x86-64"),
        (8, "getpid", "x86-64"),
    ]


def test_a_child_of_one_of_two_parents_with_different_modes_is_uncertain() -> None:
    _, losses = read(
        b"8 getpid() = 8",
        b"7 [ Process PID=7 runs in 32 bit mode. ]",
        b"7 fork( <unfinished ...>",
        b"8 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>",
        b"9 getpid() = 9",
    )
    assert losses.counts == {UNCERTAIN_ARCHITECTURE: 1}


def test_a_mode_that_nobody_knows_is_counted() -> None:
    _, losses = read(b"7 [ Process PID=7 runs in quantum mode. ]")
    assert losses.counts == {UNCERTAIN_ARCHITECTURE: 1}


def test_arguments_that_nobody_wants_are_not_read() -> None:
    events, losses = read(b"7 getpid(((\x00) = 7", b"7 openat(1, 2) = 3", decode=frozenset({"openat"}))
    assert events == [RawCall(7, 0.5, "getpid", (), 7), RawCall(7, 1.5, "openat", (1, 2), 3)]
    assert not losses.counts


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"7 openat(AT_FDCWD, 'x') = 3<plain>", UNREADABLE_LINE),
        (b"7 openat(AT_FDCWD, " + quoted(b"x") + b") = 3 and more", UNREADABLE_LINE),
        (b"7 openat(AT_FDCWD, " + quoted(b"x") + b")", UNREADABLE_LINE),
        (b"7 umask(022) = 0480", UNREADABLE_LINE),
        (b"7 hello", UNREADABLE_LINE),
        (b"7 +++ exited with 0", UNREADABLE_LINE),
        (b"x getpid() = 7", UNREADABLE_LINE),
        (b"9999999999999 getpid() = 7", UNREADABLE_LINE),
    ],
)
def test_a_line_that_does_not_match_as_a_whole_is_counted_with_a_sample(line: bytes, kind: str) -> None:
    events, losses = read(line)
    assert not events
    assert losses.counts == {kind: 1}
    assert line.split()[1].decode() in losses.samples[kind]


def test_a_call_with_odd_arguments_is_kept_by_name_and_counted() -> None:
    events, losses = read(b'7 openat(AT_FDCWD, "plain \\n") = 3<\\x2f>')
    assert events == [RawCall(7, 0.5, "openat", (), 3, result_target=Descriptor(3, b"/"), undecoded=True)]
    assert losses.counts == {UNREADABLE_ARGUMENTS: 1}


def test_a_number_without_a_name_is_kept_and_counted() -> None:
    events, losses = read(b"7 syscall_0x3e7(0x1, 0x2) = -1 ENOSYS (Function not implemented)")
    assert events == [RawCall(7, 0.5, "syscall_0x3e7", (), -1, "ENOSYS", undecoded=True)]
    assert losses.counts == {UNKNOWN_CALL: 1}


def test_a_child_that_escapes_is_counted() -> None:
    _, losses = read(b"7 clone(child_stack=NULL, flags=CLONE_UNTRACED|SIGCHLD) = 8", decode=frozenset())
    assert losses.counts == {UNTRACED_CHILD: 1}


def cut(line: bytes, *, detached: bool) -> tuple[list[RawEvent], Losses]:
    losses = Losses()
    reader = LineReader(losses)
    events = list(reader.read([b"7 1.5 getpid() = 12\n", line]))
    return [*events[1:], *reader.finish(detached=detached)], losses


@pytest.mark.parametrize("line", [b"7 2.5 getpgid(1) = 12", b"7 2.5 getpgid(1", b"7 2.5 getpgid("])
def test_the_cut_end_of_a_trace_is_counted_even_where_it_looks_whole(line: bytes) -> None:
    events, losses = cut(line, detached=False)
    assert events == [RawCall(7, 2.5, "getpgid", undecoded=True)]
    assert losses.counts == {CUT_LINE: 1}


def test_where_strace_was_ended_a_cut_line_is_a_call_that_did_not_return() -> None:
    events, losses = cut(b"7 2.5 epoll_wait(4, ", detached=True)
    assert events == [RawCall(7, 2.5, "epoll_wait", undecoded=True)]
    assert not losses.counts
    events, losses = cut(b"7 2.5 epoll_w", detached=True)
    assert not events
    assert losses.counts == {CUT_LINE: 1}


def test_a_lost_line_costs_no_more_than_its_call() -> None:
    events, losses = read(
        b"7 read(3, 0x10, 1 <unfinished ...>",
        b"7 openat(1, 2 <unfinished ...>",  # the end of read was lost
        b"7 <... close resumed>) = 0",  # the end of openat and the beginning of close were lost
    )
    assert [(call.name, call.result) for call in events if isinstance(call, RawCall)] == [
        ("read", None),
        ("openat", None),
        ("close", 0),
    ]
    assert losses.counts == {NO_BEGINNING: 1}


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_bytes_are_survived(chunks: list[bytes]) -> None:
    losses = Losses()
    reader = LineReader(losses)
    events = [*reader.read(chunk + b"\n" for chunk in chunks), *reader.finish()]
    assert reader.lines == len(chunks)
    assert len(events) + sum(losses.counts.values()) >= len(chunks)


@given(
    st.binary(max_size=40),
    st.integers(1, 2**22),
    st.one_of(st.integers(0, 2**31), st.sampled_from(["ENOENT", "EACCES", "EROFS"])),
)
def test_any_path_survives_the_round_trip(path: bytes, pid: int, outcome: int | str) -> None:
    result = b"%d<%s>" % (outcome, hexadecimal(path)) if isinstance(outcome, int) else b"-1 %s (x)" % outcome.encode()
    call = only(b"%d openat(AT_FDCWD<%s>, %s, O_RDONLY) = %s" % (pid, hexadecimal(path), quoted(path), result))
    assert call.pid == pid
    assert call.arguments == (Descriptor(-100, path), path, Symbol("O_RDONLY"))
    if isinstance(outcome, int):
        assert (call.result, call.error, call.result_target) == (outcome, "", Descriptor(outcome, path))
    else:
        assert (call.result, call.error, call.result_target) == (-1, outcome, None)


def test_the_same_call_again_is_another_event_with_its_own_thread_and_time() -> None:
    line = b"openat(AT_FDCWD<\\x2f>, " + quoted(b"a") + b", O_RDONLY) = 3<\\x2f\\x61>"
    events, losses = read(b"7 " + line, b"8 getpid() = 8", b"7 " + line, b"8 " + line)
    expected = (Descriptor(-100, b"/"), b"a", Symbol("O_RDONLY"))
    assert not losses.counts
    assert [events[0], *events[2:]] == [
        RawCall(pid, time, "openat", expected, 3, result_target=Descriptor(3, b"/a"))
        for pid, time in ((7, 0.5), (7, 2.5), (8, 3.5))
    ]


def test_the_same_call_in_another_mode_is_another_call() -> None:
    events, _ = read(
        b"7 getuid() = 0", b"7 getuid() = 0", b"7 [ Process PID=7 runs in 32 bit mode. ]", b"7 getuid() = 0"
    )
    assert [call.architecture for call in events if isinstance(call, RawCall)] == ["x86-64", "x86-64", "x86"]


def test_the_same_call_again_ends_one_whose_end_was_lost() -> None:
    events, _ = read(b"7 getuid() = 0", b"7 getuid() = 0", b"7 pause( <unfinished ...>", b"7 getuid() = 0")
    names = [call.name for call in events if isinstance(call, RawCall)]
    assert names == ["getuid", "getuid", "pause", "getuid"]


def test_what_is_lost_is_counted_each_time() -> None:
    odd, unnamed = b'7 openat(1, "plain \\n") = 3', b"7 syscall_0x3e7(0x1) = -1 ENOSYS (Function not implemented)"
    escaping = b"7 clone(child_stack=NULL, flags=CLONE_UNTRACED|SIGCHLD) = 8"
    _, losses = read(*[odd, unnamed, escaping] * 3)
    assert losses.counts == {UNREADABLE_ARGUMENTS: 3, UNKNOWN_CALL: 3, UNTRACED_CHILD: 3}


def test_the_same_text_behind_another_beginning_is_still_unreadable() -> None:
    _, losses = read(b"7 getuid() = 0", b"7 getuid() = 0", b"7  getuid() = 0", b"-7 getuid() = 0", b"7x getuid() = 0")
    assert losses.counts == {UNREADABLE_LINE: 3}


def test_what_is_known_by_its_text_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strace_lines, "_KNOWN_CALLS", 10)
    reader = LineReader(Losses())
    lines = [b"7 1.5 umask(%#o) = 0\n" % number for number in range(1, 100)]
    assert len([*reader.read(lines * 2)]) == 198
    assert len(reader._known) <= 10
    many = b"7 1.5 getuid(" + b"1, " * 2000 + b"1) = 0\n"
    assert len([*reader.read([many] * 2)]) == 2
    assert all(len(text) < len(many) for text in reader._known)
