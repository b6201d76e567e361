"""What the fuzzers start from: real traces, and ways to damage them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

from profiler.recorders.base import Descriptor, Losses, RawCall, RawEvent, Struct, Value
from profiler.recorders.strace_lines import LineReader

TRACES = sorted((Path(__file__).resolve().parents[2] / "fixtures" / "traces").glob("*.trace.gz"))
SYNTAX = (
    b"<",
    b">",
    b'"',
    b"(",
    b")",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b" ",
    b"=",
    b"+++",
    b"---",
    b"...",
    b"\n",
    b"@",
    b"|",
)
HEXADECIMAL = frozenset(b"\\x0123456789abcdef")
"""Exchanging one of these makes another, equally valid string: that is no damage that anybody could see."""


@cache
def lines() -> tuple[bytes, ...]:
    """Return the lines of all real traces."""
    return tuple(line for trace in TRACES for line in gzip.decompress(trace.read_bytes()).splitlines(keepends=True))


@cache
def events() -> tuple[RawEvent, ...]:
    """Return the events of all real traces."""
    return tuple(LineReader(Losses()).read(lines()))


def strings(value: object) -> Iterator[bytes]:
    """Yield all strings and decorations in a value."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Descriptor):
        yield from strings(value.target)
    elif isinstance(value, Struct):
        for item in value.fields.values():
            yield from strings(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from strings(item)


@cache
def known_strings() -> frozenset[bytes]:
    """Return every string that stands in the real traces."""
    found: set[bytes] = set()
    for event in events():
        if isinstance(event, RawCall):
            found.update(strings(event.arguments))
            found.update(strings(event.result_target))
    return frozenset(found)


@cache
def known_names() -> frozenset[bytes]:
    """Return every component of a path that stands in the real traces."""
    return frozenset(part for text in known_strings() for part in text.split(b"/"))


def damaged(random: Random, line: bytes) -> bytes:
    """Return the line cut, with pieces left out, doubled, exchanged, or with a character of the syntax put in."""
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(line) + 1)
        match random.randrange(5):
            case 0:
                line = line[:at]
            case 1:
                line = line[:at] + random.choice(SYNTAX) + line[at:]
            case 2 if at < len(line) and line[at] not in HEXADECIMAL:
                line = line[:at] + random.choice(SYNTAX) + line[at + 1 :]
            case 3 if at < len(line) and line[at] not in HEXADECIMAL:
                line = line[:at] + line[at + 1 :]
            case 4 if not line[at - 1 : at] or line[at - 1] not in HEXADECIMAL:
                other = random.choice(lines())
                begin = random.randrange(len(other))
                if other[begin] not in HEXADECIMAL:  # two halves of strings can make a string, and nobody could see it
                    line = line[:at] + other[begin:]
    return line


def odd(random: Random, value: Value) -> Value:
    """Return another value in the place of one: what a tracer could print for a hostile or unknown argument."""
    return random.choice(
        [
            *(
                None,
                0,
                -1,
                2**64 - 1,
                -(2**31),
                b"",
                b"/",
                b"..",
                b'\xff\n"<',
                Descriptor(-1),
                Descriptor(3, b"pipe:[1]"),
            ),
            *((), (value,), Struct({}), Struct({"flags": value}), value),
        ]
    )
