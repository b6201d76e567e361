"""The arguments of a system call as strace prints them with ``-xx``, read into values.

The grammar, over bytes; anything else is refused as a whole, never guessed::

    arguments  := [ argument ", " ... ]          argument := [name "="] value [ " => " value ]
    value      := string | descriptor | number | NULL | "[" items "]" | "{" items "}" | expression
    string     := ["@"] '"' ( \\xHH )* '"' ["..."]
    descriptor := ( 3 | AT_FDCWD ) [ "<" ( \\xHH )* ">" [ "(deleted)" ] ]
    number     := 10 | -1 | 0x1f | 0644 | 8192*1024 | htons(80)
    expression := words and balanced brackets: O_RDONLY|O_CLOEXEC, makedev(0x1, 0x3), WIFEXITED(s) && ..., ~[INT]

All strings are hexadecimal, so nothing that the traced program chose can look like syntax.

What becomes of them: a string is ``bytes`` (an abstract socket name, ``@"..."``, starts with a NUL byte as in the
kernel); a string that was cut short is ``TRUNCATED`` and never bytes; ``htons(80)`` is 80; ``inet_addr("127.0.0.1")``
and ``inet_pton(AF_INET6, "::1", &sin6_addr)`` are ``bytes`` (the latter in the field ``sin6_addr``); ``[INT TERM]`` is
a tuple of symbols; ``...`` in an array is ``TRUNCATED``, in a structure it is left out; a comment is left out; of
``before => after`` what the kernel wrote back wins, field by field; every other expression is a ``Symbol`` with its
text. Arguments with names of their own, as clone() has them, become one ``Struct``: the shape of clone3().
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Callable
from functools import lru_cache
from math import prod

from profiler.recorders.base import Descriptor, Struct, Symbol, Value

AT_FDCWD = -100
"""The number that means the current directory (linux/fcntl.h)."""

TRUNCATED = Symbol("...")
"""Stands for a string, or for the rest of an array, that the tracer cut short."""

_DEEPEST = 40  # nested brackets; netlink messages, the deepest real ones, stay below 12

_ATOM_TEXT = rb"""(?:
      (?P<string>"(?P<digits>(?:\\x[0-9a-f][0-9a-f])*+)") (?P<cut>\.\.\.)?
    | (?P<descriptor>(?P<number>-?[0-9]{1,20}|AT_FDCWD) <(?P<target>(?:\\x[0-9a-f][0-9a-f])*+)>)
      (?P<deleted>\(deleted\))?
    | (?P<hexadecimal>0x[0-9a-f]{1,40})
    | (?P<octal>0[0-7]{1,40})
    | (?P<product>[0-9]{1,20}\*[0-9]{1,20})
    | (?P<decimal>-?(?:0|[1-9][0-9]{0,39}))
    | (?P<null>NULL\b)
    | (?P<swapped>hton[sl]\((?P<plain>0x[0-9a-f]{1,20}|0|[1-9][0-9]{0,19})\))
    | (?P<address>inet_addr\("(?P<dotted>(?:\\x[0-9a-f][0-9a-f])++|[0-9.]+)"\))
    | (?P<symbol>[A-Za-z_?][A-Za-z0-9_?]*(?:\|[A-Za-z0-9_?]+)*)
    | (?P<abstract>@"(?P<name>(?:\\x[0-9a-f][0-9a-f])*+)")
    | (?P<rest>\.\.\.)
)"""
_ATOM = re.compile(_ATOM_TEXT, re.VERBOSE)
# The common case in one step: an atom with or without a name, its comment, and the comma or the end behind it.
_ITEM = re.compile(
    rb"(?:(?P<field>[A-Za-z_][A-Za-z0-9_]*)=)?" + _ATOM_TEXT + rb"(?:\ /\*[^*]*\*/)?(?:,\ |(?=[\]}])|\Z)", re.VERBOSE
)
_COMMENT = re.compile(rb"(?: ?/\*.*?\*/)+")
_NAME = re.compile(rb"([A-Za-z_][A-Za-z0-9_.]*|\[[A-Z0-9_]+\])=(?!=)")
# Addresses are text from inet_ntop(3): some decoders print them in hexadecimal like all strings, some plainly.
_INET_PTON = re.compile(rb"inet_pton\(AF_INET6?, \"((?:\\x[0-9a-f][0-9a-f])++|[0-9a-fA-F.:]+)\"(?:, &([a-z0-9_]+))?\)")
_OPERATOR = re.compile(rb" [&|=!<>*+-]")
# Runs of an expression without brackets and commas. Inside its parentheses there may be strings, which decoders such as
# if_nametoindex("lo") may print as plain text, but without a backslash.
_WORDS = rb"(?! => )[A-Za-z0-9_ |&=!:~?./%+*'#$^;-]|<<|>>"
_RUN = re.compile(rb"(?:" + _WORDS + rb")+")
_RUN_INSIDE = re.compile(rb"(?:" + _WORDS + rb"|\"(?:(?:\\x[0-9a-f][0-9a-f])*+|[^\"\\\[\]{}(),]*)\")+")


class Unreadable(ValueError):
    """The text does not match the grammar."""


@lru_cache(maxsize=2048)  # services repeat themselves; bounded, so memory stays flat
def arguments(text: bytes, partial: bool = False) -> tuple[Value, ...]:
    """Return the values of an argument list. ``partial``: the call never returned, so the list may just stop.

    Raises Unreadable if any part of the text does not match the grammar.
    """
    text = text.rstrip(b" ")
    if partial:
        text = text.removesuffix(b",")
    values, named, position = _items(text, 0, b"", 0)
    if position != len(text):
        raise Unreadable(f"unexpected text at byte {position}")
    return (_struct(values, named),) if named else tuple(values)


def descriptor(number: int, target: bytes, deleted: bool) -> Descriptor:
    """Return a descriptor; ``target`` is the text of its decoration, still hexadecimal."""
    return Descriptor(number, _unhex(target), deleted)


def _items(text: bytes, position: int, closing: bytes, depth: int) -> tuple[list[Value], dict[str, Value], int]:
    # Everything up to the closing bracket: values without a name, those with one, and where the bracket is.
    if depth > _DEEPEST:
        raise Unreadable("brackets nested too deeply")
    values: list[Value] = []
    named: dict[str, Value] = {}
    end = len(text)
    while position < end and text[position : position + 1] != closing:
        match = _ITEM.match(text, position)
        if match is not None:
            position = match.end()
            value = _MEANING[match.lastgroup or ""](match)
            if match["field"] is None:
                values.append(value)
            else:
                named[match["field"].decode()] = value
            continue
        name, value, position = _item(text, position, depth)
        if name is not None:
            named[name.decode()] = value
        else:
            values.append(value)
        if text.startswith(b", ", position):
            position += 2
        elif closing and text.startswith(b" ", position):  # the words of a set: [INT TERM]
            position += 1
        elif text[position : position + 1] != closing:  # both are empty at the end of an argument list
            raise Unreadable(f"unexpected text at byte {position}")
    return values, named, position


def _item(text: bytes, position: int, depth: int) -> tuple[bytes | None, Value, int]:
    match = _NAME.match(text, position)
    name = match.group(1) if match is not None else None
    if match is not None:
        position = match.end()
    if text.startswith(b"/*", position):  # a comment in place of a value: [/* 16 vars */]
        comment = _COMMENT.match(text, position)
        if comment is None:
            raise Unreadable(f"unfinished comment at byte {position}")
        return name, TRUNCATED, comment.end()
    inet = _INET_PTON.match(text, position) if text.startswith(b"inet_pton", position) else None
    if inet is not None:
        return name or inet.group(2), _address(inet.group(1)), inet.end()
    value, position = _value(text, position, depth)
    if text.startswith(b" => ", position):
        written, position = _value(text, position + 4, depth)
        if isinstance(value, Struct) and isinstance(written, Struct):
            written = Struct({**value.fields, **written.fields})
        value = written
    return name, value, position


def _value(text: bytes, position: int, depth: int) -> tuple[Value, int]:
    start = position
    first = text[position : position + 1]
    value: Value
    if first == b"{":
        values, named, position = _bracketed(text, position, b"}", depth)
        value = _struct([item for item in values if item is not TRUNCATED], named)
    elif first == b"[":
        values, named, position = _bracketed(text, position, b"]", depth)
        value = (*values, Struct(named)) if named else tuple(values)
    else:
        match = _ATOM.match(text, position)
        if match is None:
            return _expression(text, start)
        value, position = _MEANING[match.lastgroup or ""](match), match.end()
    comment = _COMMENT.match(text, position) if text.startswith((b" /*", b"/*"), position) else None
    if comment is not None:
        position = comment.end()
    following = text[position : position + 1]
    if following in (b"", b",", b"]", b"}") or text.startswith(b" => ", position):
        return value, position
    if depth and following == b" " and not _OPERATOR.match(text, position):
        return value, position
    return _expression(text, start)


def _bracketed(text: bytes, position: int, closing: bytes, depth: int) -> tuple[list[Value], dict[str, Value], int]:
    values, named, position = _items(text, position + 1, closing, depth + 1)
    if text[position : position + 1] != closing:
        raise Unreadable(f"no closing {closing.decode()}")
    return values, named, position + 1


def _struct(values: list[Value], named: dict[str, Value]) -> Struct:
    return Struct({**{str(index): value for index, value in enumerate(values)}, **named})


def _address(text: bytes) -> bytes:
    return _unhex(text) if text.startswith(b"\\") else text


def _unhex(digits: bytes) -> bytes:
    return unhexlify(digits.replace(b"\\x", b""))


@lru_cache(maxsize=2048)
def _descriptor(number: bytes, target: bytes, deleted: bool) -> Descriptor:
    return Descriptor(AT_FDCWD if number == b"AT_FDCWD" else int(number), _unhex(target), deleted)


@lru_cache(maxsize=2048)
def _symbol(text: bytes) -> Symbol | Descriptor:
    return Descriptor(AT_FDCWD) if text == b"AT_FDCWD" else Symbol(text.decode())


# The last group of _ATOM that closed names the alternative: "cut" after a string, "deleted" after a descriptor.
_MEANING: dict[str, Callable[[re.Match[bytes]], Value]] = {
    "string": lambda match: _unhex(match["digits"]),
    "cut": lambda _: TRUNCATED,
    "descriptor": lambda match: _descriptor(match["number"], match["target"], False),
    "deleted": lambda match: _descriptor(match["number"], match["target"], True),
    "hexadecimal": lambda match: int(match["hexadecimal"], 16),
    "octal": lambda match: int(match["octal"], 8),
    "product": lambda match: prod(int(factor) for factor in match["product"].split(b"*")),
    "decimal": lambda match: int(match["decimal"]),
    "null": lambda _: None,
    "swapped": lambda match: int(match["plain"], 0),
    "address": lambda match: _address(match["dotted"]),
    "symbol": lambda match: _symbol(match["symbol"]),
    "abstract": lambda match: b"\0" + _unhex(match["name"]),
    "rest": lambda _: TRUNCATED,
}


def _expression(text: bytes, start: int) -> tuple[Symbol, int]:
    # Up to the next comma, "=>" or closing bracket that was not opened in the expression itself.
    position, opened, end = start, 0, len(text)
    while position < end:
        run = (_RUN_INSIDE if opened else _RUN).match(text, position)
        character = text[position : position + 1]
        if run is not None:
            position = run.end()
        elif character in (b"(", b"[", b"{"):
            opened += 1
            position += 1
        elif opened and character in (b")", b"]", b"}"):
            opened -= 1
            position += 1
        elif opened and character == b",":
            position += 1
        else:
            break
    if opened or position == start:
        raise Unreadable(f"unexpected text at byte {start}")
    return Symbol(text[start:position].decode("ascii", "backslashreplace")), position
