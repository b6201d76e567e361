"""What is fuzzed. Each target takes a source of randomness, makes one input, and fails if a promise is broken."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from random import Random

from policy.behaviour import PathPair, PathUse
from policy.unit_settings import ExecLine
from profiler.normalise.attribution import Scope
from profiler.normalise.recording import Normaliser
from profiler.recorders.base import Losses, ProcessEnded, RawCall, RawEvent, ThreadSuperseded
from profiler.recorders.ptrace import EventReader
from profiler.recorders.ptrace_calls import CALLS
from profiler.recorders.ptrace_messages import socket_address
from profiler.recorders.ptrace_names import call_numbers
from profiler.recorders.strace_lines import LineReader
from tests.fuzz import material
from tests.profiler.normalise.calls import BareMachine

Target = Callable[[Random], None]

_SILENT = re.compile(
    rb"[0-9]+ +[0-9.]+ (?:--- .* ---|\[ Process PID=[0-9]+ runs in .* mode\. \]|.* <(?:unfinished|detached|pid changed"
    rb" to [0-9]+) \.\.\.>|\?\?\?\(.*|<\.\.\. \?\?\? resumed>.*)\n\Z"
)
"""Lines that rightly say nothing by themselves: signals, modes, calls that go on, and the death of an unknown call."""


def damaged_trace(random: Random) -> None:
    """Lines of a real trace, some damaged: nothing raises, no path is invented, no line is lost silently."""
    lines = material.lines()
    start = random.randrange(len(lines))
    chosen = list(lines[start : start + random.randint(1, 10)])
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(chosen))
        chosen[at] = material.damaged(random, chosen[at])
    chosen = b"".join(chosen).splitlines(keepends=True)  # only the last line of a stream can lack its end
    losses = Losses()
    reader = LineReader(losses)
    events = [*reader.read(chosen), *reader.finish()]
    _invents_nothing(events)
    assert reader.lines == len(chosen)
    told = sum(losses.counts.values()) + len(events) + sum(bool(_SILENT.match(line)) for line in chosen)
    assert told >= len(chosen), "a line was lost silently"


def damaged_line(random: Random) -> None:
    """One damaged line by itself: it is an event, a loss, or a line that says nothing."""
    line = material.damaged(random, random.choice(material.lines()))
    losses = Losses()
    reader = LineReader(losses)
    events = [*reader.read([line]), *reader.finish()]
    _invents_nothing(events)
    assert events or losses.counts or _SILENT.match(line) or not line, "a line was lost silently"


def hostile_name(random: Random) -> None:
    """A path of any bytes, printed as strace prints it: exactly this path comes out, and nothing else."""
    pieces = (
        random.randbytes(random.randint(1, 12)),
        b" = 3</etc/shadow>\n",
        b'", O_RDWR) = 3\n',
        b" <unfinished ...>\n",
    )
    path = b"/" + b"".join(random.choice(pieces) for _ in range(random.randint(1, 4))).replace(b"\0", b"1")
    printed = "".join(f"\\x{byte:02x}" for byte in path).encode()
    line = b'7 1.5 openat(AT_FDCWD<\\x2f>, "' + printed + b'", O_RDONLY) = 3<' + printed + b">\n"
    losses = Losses()
    (event,) = LineReader(losses).read([line])
    assert isinstance(event, RawCall)
    assert event.arguments[1] == path
    assert event.result_target is not None and event.result_target.target == path
    assert not losses.counts


def _invents_nothing(events: list[RawEvent]) -> None:
    known = material.known_strings()
    for event in events:
        if isinstance(event, RawCall):
            for text in (*material.strings(event.arguments), *material.strings(event.result_target)):
                assert b"/" not in text or text in known or b"\0" + text in known, f"invented: {text!r}"


def odd_events(random: Random) -> None:
    """Real calls with odd arguments and results, in odd order: facts hold no component that was in no argument."""
    unit = random.random() < 0.5
    scope = Scope("some.service", "", (ExecLine("ExecStart", "", "/usr/sbin/nginx"),)) if unit else Scope()
    normaliser = Normaliser(scope, BareMachine(groups={1: (b"/some.service",)}), started=0.0)
    events = material.events()
    start = random.randrange(len(events))
    for event in events[start : start + random.randint(1, 30)]:
        normaliser.feed(_odd(random, event))
    normaliser.finish()
    names = material.known_names() | {b'\xff\n"<', b"self", b"own", b"other", b"task", b"#tmpfile", b"..", b""}
    for fact in normaliser.facts():
        behaviour = fact.behaviour
        if isinstance(behaviour, PathUse):
            paths = [behaviour.path]
        else:
            paths = [behaviour.source, behaviour.target] if isinstance(behaviour, PathPair) else []
        for path in paths:
            assert path.startswith("/"), path
            assert set(os.fsencode(path).split(b"/")) <= names, f"invented: {path!a}"
    raised = [kind for kind in normaliser.losses.counts if kind.startswith("event could not be understood")]
    assert not raised, (raised, normaliser.losses.samples)


def _odd(random: Random, event: RawEvent) -> RawEvent:
    kind = random.randrange(8)
    if kind == 0:
        return ProcessEnded(random.choice((1, event.pid)), event.time)
    if kind == 1:
        return ThreadSuperseded(event.pid, event.time, random.choice((1, event.pid, 7)))
    return _odd_call(random, event, kind) if isinstance(event, RawCall) else event


def _odd_call(random: Random, event: RawCall, kind: int) -> RawCall:
    match kind:
        case 2:
            return event._replace(result=None, error=random.choice(("", "EPERM", "ERESTARTSYS")))
        case 3:
            return event._replace(name=random.choice(sorted(CALLS)))
        case 4:
            return event._replace(pid=random.choice((1, 7, event.pid)), undecoded=random.random() < 0.3)
    if not event.arguments:
        return event
    values = list(event.arguments)
    at = random.randrange(len(values))
    values[at] = material.odd(random, values[at])
    return event._replace(arguments=tuple(values[: random.randint(0, len(values))] if at % 3 == 0 else values))


def tracer_lines(random: Random) -> None:
    """Lines of the ptrace child with any registers and any memory, some damaged: each is an event or a loss."""
    architecture = random.choice(("x86-64", "x86", "x32"))
    name = random.choice(sorted(set(CALLS) & set(call_numbers()[architecture].values())))
    number = next(key for key, value in call_numbers()[architecture].items() if value == name)
    registers = [random.choice((0, 3, 2**64 - 1, random.getrandbits(64), random.getrandbits(8))) for _ in range(6)]
    kinds = ("string", "bytes", "out", "sized", "address", "netlink")
    read: dict[str, object] = {
        f"{kind}{at}": random.randbytes(random.choice((0, 1, 2, 8, 16, 28, 56))).hex()
        for kind in kinds
        for at in range(6)
    }
    read |= {f"fd{at}": random.choice((None, ["2f61", False], ["2f62", True])) for at in range(6)}
    read["returnedNone"] = random.choice((None, ["2f63", False]))
    message = [random.randbytes(random.randint(0, 40)).hex() if random.random() < 0.8 else None for _ in range(3)]
    read |= {f"{kind}{at}": [message, None] for kind in ("message", "messages") for at in range(3)}
    outcome = random.choice(((3, 0), (-1, 2), (None, 0), (-1, 9999)))
    line = json.dumps(["call", 7, 1.5, architecture, number, registers, read, *outcome]).encode() + b"\n"
    if random.random() < 0.3:
        at = random.randrange(len(line))
        line = line[:at] + random.choice((b"", b"]", b'"', b"\xff", b"null")) + line[at + random.randint(0, 3) :]
    losses = Losses()
    events = list(EventReader(losses).read(iter([line])))
    assert events or losses.counts, "a line was lost silently"


def addresses(random: Random) -> None:
    """Any bytes as a socket address."""
    socket_address(random.randbytes(random.randint(0, 128)))


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (damaged_trace, damaged_line, hostile_name, odd_events, tracer_lines, addresses)
}
"""All targets by name."""
