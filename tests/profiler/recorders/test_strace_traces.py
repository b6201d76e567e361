"""Recorded traces are read to their last line; damaged, they never raise and never invent a path."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.recorders import strace_lines
from profiler.recorders.base import (
    Losses,
    RawCall,
    RawEvent,
)
from profiler.recorders.strace_lines import (
    UNKNOWN_CALL,
    LineReader,
)
from tests.profiler.recorders.test_strace_values import strings_in

TRACES = sorted((Path(__file__).resolve().parents[3] / "fixtures" / "traces").glob("strace-*.trace.gz"))


def lines_of(trace: Path) -> list[bytes]:
    with gzip.open(trace) as file:
        return file.readlines()


def test_there_are_recorded_traces() -> None:
    assert len(TRACES) >= 3


@pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
def test_a_recorded_trace_is_read_to_the_last_line(trace: Path) -> None:
    losses = Losses()
    reader = LineReader(losses)
    lines = lines_of(trace)
    events = [*reader.read(lines), *reader.finish()]
    undecoded = [event for event in events if isinstance(event, RawCall) and event.undecoded]
    assert reader.lines == len(lines)
    assert set(losses.counts) <= {UNKNOWN_CALL}  # the structured program makes one such call on purpose
    assert {event.name for event in undecoded} <= {"syscall_0x3e7"}
    assert not reader.running


@pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
def test_reading_without_arguments_gives_the_same_calls(trace: Path) -> None:
    lines = lines_of(trace)
    full = [*LineReader(Losses()).read(lines)]
    bare = [*LineReader(Losses(), decode=frozenset()).read(lines)]
    assert [_without_arguments(event) for event in full] == [_without_arguments(event) for event in bare]
    assert not any(event.arguments for event in bare if isinstance(event, RawCall))


@pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
def test_what_was_read_before_gives_the_same_as_what_is_read_anew(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_of(trace) * 2
    remembering = [*LineReader(Losses()).read(lines)]
    monkeypatch.setattr(strace_lines, "_KNOWN_BYTES", 0)
    assert remembering == [*LineReader(Losses()).read(lines)]


def _without_arguments(event: RawEvent) -> object:
    if not isinstance(event, RawCall):
        return event
    return (event.pid, event.time, event.name, event.result, event.error, event.result_target, event.architecture)


LINES = [line for trace in TRACES for line in lines_of(trace)[-300:]]
KNOWN_STRINGS = frozenset(
    text
    for event in LineReader(Losses()).read(LINES)
    if isinstance(event, RawCall)
    for text in [*strings_in(event.arguments), *strings_in(event.result_target)]
)


@settings(max_examples=300)
@given(st.data())
def test_damaged_traces_never_raise_and_never_invent_a_path(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(LINES) - 1))
    whole = LINES[start : start + data.draw(st.integers(1, 12))]
    lines = list(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        lines[index] = data.draw(damage(lines[index]))
    losses = Losses()
    reader = LineReader(losses)
    before = whole if data.draw(st.booleans()) else []  # then undamaged lines are known by their text
    events = [*reader.read([*before, *lines]), *reader.finish()]
    for event in events:
        if isinstance(event, RawCall):
            found = [*strings_in(event.arguments), *strings_in(event.result_target)]
            assert all(text in KNOWN_STRINGS or b"\0" + text in KNOWN_STRINGS for text in found if b"/" in text)


def damage(line: bytes) -> st.SearchStrategy[bytes]:
    """Return the line cut, with a piece left out, or with a syntax character put in or exchanged for another."""
    places = st.integers(0, len(line))
    syntax = st.sampled_from(
        [b"<", b">", b'"', b"(", b")", b"[", b"]", b"{", b"}", b",", b" ", b"=", b"+++", b"...", b"\n"]
    )
    return st.one_of(
        places.map(lambda end: line[:end]),
        st.tuples(places, syntax).map(lambda drawn: line[: drawn[0]] + drawn[1] + line[drawn[0] :]),
        # Hexadecimal digits are left alone: exchanging them makes another, equally valid string.
        st.tuples(places, syntax).map(
            lambda drawn: (
                line[: drawn[0]] + drawn[1] + line[drawn[0] + 1 :]
                if line[drawn[0] : drawn[0] + 1] not in b"\\x0123456789abcdef"
                else line
            )
        ),
    )
