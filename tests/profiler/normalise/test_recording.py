"""Which processes are the service, from when on, and in which order things may arrive."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from policy.behaviour import (
    UNKNOWN,
    Access,
    CapabilityUsed,
    Fact,
    PathUse,
    Phase,
    PrivilegeGained,
    SocketOpened,
    SystemCall,
)
from policy.unit_settings import ExecLine
from profiler.normalise.attribution import Scope
from profiler.normalise.baseline import Baseline
from profiler.normalise.credentials import Credentials, Ids
from profiler.normalise.objects import ObjectStatus, ProcessStatus
from profiler.normalise.recording import NEEDED_CALLS, Normaliser
from profiler.recorders.base import Descriptor, ProcessEnded, RawCall, RawEvent, Struct, Symbol, ThreadSuperseded
from tests.profiler.normalise.calls import HERE, BareMachine, Trace
from tests.profiler.normalise.conftest import Record
from tests.requirements import require

UNIT = b"/sys/fs/cgroup/system.slice/web.service/cgroup.procs"
OTHER = b"/sys/fs/cgroup/system.slice/other.service/cgroup.procs"
LINES = (
    ExecLine("ExecStartPre", "", "/usr/sbin/web"),
    ExecLine("ExecStart", "", "/usr/sbin/web"),
    ExecLine("ExecReload", "", "/bin/kill"),
)


def normaliser(machine: BareMachine | None = None, scope: Scope | None = None) -> Normaliser:
    return Normaliser(scope or Scope("web.service", "", LINES), machine or BareMachine(), started=1000.0)


def feed(target: Normaliser, *events: RawEvent) -> Normaliser:
    for event in events:
        target.feed(event)
    target.finish()
    return target


def paths(target: Normaliser) -> set[str]:
    return {fact.behaviour.path for fact in target.facts() if isinstance(fact.behaviour, PathUse)}


def fact_of(target: Normaliser, path: str, access: Access) -> Fact:
    (found,) = (
        fact
        for fact in target.facts()
        if isinstance(fact.behaviour, PathUse) and fact.behaviour.path == path and fact.behaviour.access is access
    )
    return found


def start_252(trace: Trace, pid: int, program: bytes, group: bytes = UNIT) -> list[RawEvent]:
    """What systemd 252 does: fork; the child enters its cgroup, sets itself up, and executes the program."""
    return [
        trace.forked(1, pid),
        trace.opened(pid, group, "O_WRONLY|O_NOCTTY|O_CLOEXEC"),
        trace.opened(pid, b"/proc/sys/kernel/cap_last_cap"),
        trace.call(pid, "mount", b"/run/x", b"/y", None, Symbol("MS_BIND"), None),
        trace.call(pid, "setresuid", 33, 33, 33),
        trace.call(pid, "chdir", b"/srv"),
        trace.executed(pid, b"/usr/local/sbin/web", error="ENOENT"),
        trace.executed(pid, program),
    ]


def test_begins_at_the_program_and_keeps_what_systemd_set_up() -> None:
    """Hard case 70."""
    trace = Trace()
    events = [*start_252(trace, 40, b"/usr/sbin/web"), trace.call(40, "stat", b"page")]
    target = feed(normaliser(), *events)
    assert paths(target) == {"/usr/sbin/web", "/srv/page"}
    assert fact_of(target, "/srv/page", Access.LOOKUP).user == 33
    assert {fact.behaviour.name for fact in target.facts() if isinstance(fact.behaviour, SystemCall)} == {
        "execve",
        "stat",
    }
    assert target.losses.counts == {}


def test_other_units_are_strangers() -> None:
    trace = Trace()
    events = [*start_252(trace, 40, b"/usr/sbin/other", OTHER), trace.forked(40, 41), trace.opened(41, b"/etc/other")]
    assert feed(normaliser(), *events).facts() == ()


def test_executor_of_systemd_254_is_not_the_service() -> None:
    """clone3() into the cgroup; the first program is systemd's own, the second the service."""
    trace = Trace()
    group = Descriptor(46, UNIT.removesuffix(b"/cgroup.procs"))
    how = Struct({"flags": Symbol("CLONE_VM|CLONE_VFORK|CLONE_INTO_CGROUP"), "cgroup": group})
    events = [
        trace.executed(50, b"/usr/lib/systemd/systemd-executor"),  # with vfork the child runs before clone3 returns
        trace.call(1, "clone3", how, 88, result=50),
        trace.opened(50, b"/etc/nsswitch.conf"),
        trace.executed(50, b"/usr/sbin/web"),
        trace.opened(50, b"/etc/web.conf"),
    ]
    assert paths(feed(normaliser(), *events)) == {"/usr/sbin/web", "/etc/web.conf"}


def test_a_cgroup_that_nobody_saw_is_read_from_the_machine_or_counted() -> None:
    trace = Trace()
    events = [trace.forked(1, 60), trace.executed(60, b"/usr/sbin/web"), trace.opened(60, b"/etc/web.conf")]
    machine = BareMachine(groups={60: (b"/machine.slice/x.scope/system.slice/web.service",)})
    assert "/etc/web.conf" in paths(feed(normaliser(machine), *events))
    unknown = feed(normaliser(), *events)
    assert unknown.facts() == ()
    assert unknown.losses.counts == {"unattributed process": 1}


@pytest.mark.parametrize(("group", "missing"), [("/system.slice/web.service", set()), ("", {"CAP_DAC_OVERRIDE"})])
def test_a_control_group_that_is_gone_was_roots_unless_it_was_given_away(group: str, missing: set[str]) -> None:
    trace = Trace()
    target = Normaliser(Scope("web.service", "", LINES, group), BareMachine(), started=1000.0)
    own = b"/sys/fs/cgroup/system.slice/web.service"
    as_root = [event for event in started(trace) if not isinstance(event, RawCall) or event.name != "setresuid"]
    feed(target, *as_root, trace.call(40, "mkdir", own + b"/child", 0o755))
    used = {fact.behaviour.capability for fact in target.facts() if isinstance(fact.behaviour, CapabilityUsed)}
    assert used == missing


def test_what_pid_1_does_not_have_none_of_its_children_has() -> None:
    trace = Trace()
    held = frozenset({"CAP_SYS_ADMIN"})
    manager = Credentials(permitted=held, effective=held, bounding=held)
    target = normaliser(BareMachine(processes={1: ProcessStatus(1, 0, manager)}))
    opened = trace.opened(40, b"/proc/self/oom_score_adj", "O_WRONLY")
    as_root = [event for event in started(trace) if not isinstance(event, RawCall) or event.name != "setresuid"]
    feed(target, *as_root, opened, trace.call(40, "sethostname", b"x", 1))
    used = {fact.behaviour.capability for fact in target.facts() if isinstance(fact.behaviour, CapabilityUsed)}
    assert used == held


def test_exec_lines_by_order_and_phase() -> None:
    trace = Trace()
    phase = Phase.START_UP
    target = Normaliser(
        Scope("web.service", "/system.slice/web.service", LINES),
        BareMachine(),
        started=1000.0,
        phase_at=lambda _: phase,
    )
    for pid, program in ((70, b"/usr/sbin/web"), (71, b"/usr/sbin/web")):
        for event in [*start_252(trace, pid, program), trace.call(pid, "stat", b"/%d" % pid)]:
            target.feed(event)
    phase = Phase.RELOAD
    for event in [*start_252(trace, 72, b"/bin/kill"), trace.call(72, "stat", b"/72")]:
        target.feed(event)
    lines = {path: fact_of(target, path, Access.LOOKUP).exec_line for path in ("/70", "/71", "/72")}
    assert lines == {"/70": "ExecStartPre", "/71": "ExecStart", "/72": "ExecReload"}
    assert fact_of(target, "/72", Access.LOOKUP).phase is Phase.RELOAD


def started(trace: Trace, pid: int = 40) -> list[RawEvent]:
    return start_252(trace, pid, b"/usr/sbin/web")


def test_a_process_id_that_comes_again_is_another_process() -> None:
    trace = Trace()
    events = [
        *started(trace),
        trace.forked(40, 41),
        trace.call(41, "chdir", b"/one"),
        ProcessEnded(41, trace.time, 0),
        trace.forked(40, 41),
        trace.call(41, "stat", b"file"),
        ProcessEnded(41, trace.time, 0),
        *start_252(trace, 41, b"/usr/sbin/other", OTHER),
        trace.opened(41, b"/etc/stranger"),
    ]
    assert paths(feed(normaliser(), *events)) == {"/usr/sbin/web", "/one", "/srv/file"}


def test_threads_share_their_directory_and_children_do_not() -> None:
    """Hard case 32."""
    trace = Trace()
    events = [
        *started(trace),
        trace.forked(40, 41, "CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD"),
        trace.forked(40, 42),
        trace.call(42, "chdir", b"/child"),
        trace.call(40, "stat", b"before"),
        trace.call(41, "chdir", b"/thread"),
        trace.call(40, "stat", b"after"),
        trace.call(40, "chdir", b"/failed", error="ENOENT"),
        trace.call(40, "stat", b"still"),
        trace.call(40, "unshare", Symbol("CLONE_FS")),
        trace.call(41, "chdir", b"/again"),
        trace.call(40, "stat", b"own"),
    ]
    found = paths(feed(normaliser(), *events))
    assert {"/srv/before", "/thread/after", "/thread/still", "/thread/own"} <= found


def test_a_thread_that_executes_goes_on_as_the_leader() -> None:
    trace = Trace()
    events = [
        *started(trace),
        trace.forked(40, 41, "CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD"),
        trace.call(41, "setresuid", 34, 34, 34),
        ThreadSuperseded(41, trace.time, 40),
        trace.executed(40, b"/bin/helper"),
        trace.call(40, "stat", b"/x"),
    ]
    assert fact_of(feed(normaliser(), *events), "/x", Access.LOOKUP).user == 34


def test_children_of_a_vfork_run_before_it_returns() -> None:
    trace = Trace()
    child: list[RawEvent] = [
        trace.call(43, "stat", b"inside"),
        trace.executed(43, b"/bin/true"),
        ProcessEnded(43, trace.time, 0),
    ]
    events = [*started(trace), *child, trace.call(40, "vfork", result=43)]
    target = feed(normaliser(), *events)
    assert {"/srv/inside", "/bin/true"} <= paths(target)
    assert target.losses.counts == {}


def test_an_orphan_is_counted() -> None:
    trace = Trace()
    target = feed(normaliser(), trace.call(99, "stat", b"/x"), ProcessEnded(99, trace.time, 0))
    assert target.facts() == ()
    assert target.losses.counts == {"unattributed process": 1}


def test_calls_that_never_return_and_calls_known_by_name_only() -> None:
    """Hard cases 1 and 15."""
    trace = Trace()
    undecoded = trace.call(40, "openat")._replace(undecoded=True)
    rare = trace.call(40, "brk")._replace(undecoded=True)
    events = [*started(trace), trace.call(40, "accept4", result=None), trace.call(40, "exit_group", result=None)]
    target = feed(normaliser(), *events[:-1], undecoded, rare, events[-1])
    outcomes = {fact.behaviour.name: fact.outcome for fact in target.facts() if isinstance(fact.behaviour, SystemCall)}
    assert outcomes == {"execve": "ok", "accept4": UNKNOWN, "openat": "ok", "brk": "ok", "exit_group": "ok"}
    assert target.losses.counts == {"call not decoded": 1}
    assert "openat" in NEEDED_CALLS and "brk" not in NEEDED_CALLS


@pytest.mark.parametrize("name", sorted(NEEDED_CALLS))
def test_no_argument_can_end_a_recording(name: str) -> None:
    """Hard case 10: each call with arguments of every wrong kind."""
    trace = Trace()
    target = normaliser()
    feed(target, *started(trace))
    odd = (None, b"", b"\xff\n%", 7, -1, 2**63, Symbol("???"), Struct({}), (), (Struct({"x": None}),), Descriptor(-100))
    for value in odd:
        for count in range(7):
            for result, error in ((0, ""), (None, ""), (-1, "EPERM"), (5, "")):
                call = RawCall(40, trace.time, name, (value,) * count, result, error)
                target.feed(call)
    crashed = [kind for kind in target.losses.counts if kind.startswith("event could not be understood")]
    assert crashed == []


def test_equal_facts_are_one_with_the_evidence_that_sorts_first() -> None:
    trace = Trace()
    sockets = [trace.call(40, "socket", Symbol("AF_INET"), Symbol("SOCK_STREAM"), 0, result=n) for n in (7, 5, 9)]
    target = feed(normaliser(), *started(trace), *sockets)
    (fact,) = (fact for fact in target.facts() if isinstance(fact.behaviour, SocketOpened))
    assert fact.evidence == "web: socket = 5"


def test_evidence_of_a_hostile_program_is_one_printable_line() -> None:
    trace = Trace()
    events = start_252(trace, 40, b"/tmp/a\n\x1b[31m\xff")
    target = feed(normaliser(), *events)
    evidence = {fact.evidence for fact in target.facts()}
    assert evidence == {"a\\n\\x1b[31m\\udcff: execve = 0"}


def test_relative_path_without_a_directory_is_counted() -> None:
    target = Normaliser(Scope(), BareMachine(), started=1000.0)
    trace = Trace()
    target.feed(trace.call(5, "stat", b"relative"))
    target.feed(trace.call(5, "openat", HERE, b"known", Symbol("O_RDONLY"), error="ENOENT"))
    assert target.losses.counts == {"relative path with unknown directory": 1}
    assert paths(target) == {"/known"}


def test_children_in_a_pid_namespace_of_the_service(record: Record) -> None:
    """What fork() returns there is another number than the recorder's."""
    require(os.geteuid() == 0, "needs root")
    # Each process lives long enough to be looked at: its parent can be told in no other way.
    script = "sh -c 'read x < /etc/hostname; sleep 1'; read x < /etc/passwd; sleep 1"
    recording = record(["unshare", "--pid", "--fork", "sh", "-c", script])
    assert recording.status == 0
    assert recording.losses == {}
    assert (Access.READ, "ok") in recording.uses("/etc/hostname")
    assert (Access.READ, "ok") in recording.uses("/etc/passwd")


def test_a_command_belongs_with_all_its_children(record: Record, tmp_path: Path) -> None:
    began = time.time()
    recording = record(["/bin/sh", "-c", "cd /etc; (cat passwd; exec cat hostname) | cat; ./missing"])
    assert time.time() > began
    assert recording.status == 127
    assert recording.losses == {}
    assert (Access.READ, "ok") in recording.uses("/etc/passwd")
    assert (Access.READ, "ok") in recording.uses("/etc/hostname")
    assert (Access.LOOKUP, "ENOENT") in recording.uses("/etc/missing")
    assert {fact.exec_line for fact in recording.facts} == {"command"}


def test_what_others_made_while_the_service_ran_is_known(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    trace, tree = Trace(), os.fsencode(tmp_path)
    target = Normaliser(
        Scope("web.service", "", LINES), BareMachine(), started=1000.0, baseline=Baseline.of(trees=(tree,))
    )
    feed(
        target,
        *start_252(trace, 42, b"/usr/sbin/web"),
        trace.opened(42, tree + b"/there/file", "O_RDWR"),
        trace.opened(42, tree + b"/later/deep/file", "O_RDWR"),
        trace.call(42, "mkdir", tree + b"/own", 0o755),
        trace.call(42, "mkdir", tree + b"/own/deep", 0o755),
        trace.opened(42, tree + b"/read-only", "O_RDONLY"),
    )
    uses = {fact.behaviour for fact in target.facts() if isinstance(fact.behaviour, PathUse)}
    assert {use.path for use in uses if use.appeared} == {f"{tmp_path}/there/file", f"{tmp_path}/later"}


def test_the_pipe_over_the_log_of_the_kernel_is_taken_for_the_log() -> None:
    """systemd-nspawn mounts one over /proc/kmsg; a /proc of the service's own shows the real one."""
    trace, machine = Trace(), BareMachine()
    machine.objects[b"/proc/kmsg"] = ObjectStatus(stat.S_IFIFO | 0o600, 0, 0)
    target = feed(
        normaliser(machine),
        *start_252(trace, 42, b"/usr/sbin/web"),
        trace.opened(42, b"/proc/kmsg"),
    )
    needed = {fact.behaviour.capability for fact in target.facts() if isinstance(fact.behaviour, CapabilityUsed)}
    assert needed == {"CAP_SYSLOG"}


@pytest.mark.parametrize("told", [None, b"/memfd:program"])
def test_a_memory_file_is_known_by_its_descriptor_only(told: bytes | None) -> None:
    """Its number was another file's before, and its own name leads nowhere."""
    trace, target = Trace(), Normaliser(Scope(), BareMachine(), started=1.0)
    made = trace.call(7, "memfd_create", b"program", 0, result=3)
    named = made._replace(result_target=Descriptor(3, told, deleted=True) if told else None)
    feed(target, trace.opened(7, b"/usr/lib/old.so"), named, trace.executed(7, b"/proc/7/fd/3"))

    uses = [fact.behaviour for fact in target.facts() if isinstance(fact.behaviour, PathUse)]
    assert {use.path for use in uses if use.access is Access.EXECUTE} == {"/proc/self/fd/3"}


def test_a_link_that_gives_a_file_its_name_leads_through_the_descriptor() -> None:
    """Also where the recorder does not say which file it is."""
    trace, target = Trace(), Normaliser(Scope(), BareMachine(), started=1.0)
    made = trace.opened(7, b"/srv", "O_TMPFILE|O_RDWR")._replace(result_target=None)
    named = trace.call(7, "linkat", HERE, b"/proc/self/fd/3", HERE, b"/srv/named", Symbol("AT_SYMLINK_FOLLOW"))
    feed(target, made, named)

    assert paths(target) >= {"/srv/#tmpfile", "/srv/named", "/proc/self/fd/3"}


def test_a_thread_whose_process_ended_while_it_was_made_belongs_to_it() -> None:
    """Gone when somebody looks, and the clone never returned: as when a Go program ends."""
    trace, target = Trace(), Normaliser(Scope(), BareMachine(), started=1.0)
    flags = Struct({"flags": Symbol("CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD")})
    feed(target, trace.executed(7, b"/usr/bin/server"), trace.call(7, "chdir", b"/srv"))
    feed(target, trace.call(41, "mkdir", b"made"), trace.call(7, "clone3", flags, result=None))
    feed(target, ProcessEnded(41, trace.time, 0), ProcessEnded(7, trace.time, 0))
    target.finish()

    assert target.losses.counts == {}
    assert "/srv/made" in paths(target)


@pytest.mark.parametrize(("user", "gains"), [(1000, True), (0, False)])
def test_a_command_that_is_gone_was_what_we_are(monkeypatch: pytest.MonkeyPatch, user: int, gains: bool) -> None:
    """Without privileges nothing but this machine's own can be recorded; all else is root's, who gains nothing."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    ours = ProcessStatus(os.getpid(), 1, Credentials(Ids.same(user), Ids.same(user)), current_directory=b"/srv")
    program = {b"/srv/su": ObjectStatus(stat.S_IFREG | 0o4755, 0, 0)}
    trace, target = Trace(), Normaliser(Scope(), BareMachine(program, processes={os.getpid(): ours}), started=1.0)
    feed(target, trace.call(7, "execve", b"/srv/su", (b"su",), ()))
    assert any(isinstance(fact.behaviour, PrivilegeGained) for fact in target.facts()) is gains
