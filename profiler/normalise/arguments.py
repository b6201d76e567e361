"""Reading the arguments of raw calls: numbers, flags, modes, descriptors, whatever way a recorder delivered them."""

from __future__ import annotations

import re
import stat

from profiler.recorders.base import Descriptor, RawCall, Struct, Symbol, Value

CURRENT_DIRECTORY = -100
"""AT_FDCWD (linux/fcntl.h)."""

_MODE_NAMES = {name: getattr(stat, name) for name in dir(stat) if name.startswith("S_I") and name.isupper()}
_DEVICE = re.compile(r"makedev\((0x[0-9a-f]+|\d+), ?(0x[0-9a-f]+|\d+)\)")
_CAPABILITY = re.compile(r"CAP_[A-Z_]+")


def argument(call: RawCall, position: int) -> Value:
    """Return the argument at this position, ``None`` if the call has fewer."""
    return call.arguments[position] if position < len(call.arguments) else None


def flags(value: Value) -> frozenset[str]:
    """Return the names in a set of flags; none for a plain number."""
    return value.flags if isinstance(value, Symbol) else frozenset()


def number(value: Value, otherwise: int = 0) -> int:
    """Return a number; the first of an array of one, as for pointers to integers; ``otherwise`` if it is none."""
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, Descriptor):
        return value.number
    return value if isinstance(value, int) else otherwise


def identifier(value: Value) -> int | None:
    """Return a user or group id, ``None`` for -1 (leave as it is)."""
    return None if not isinstance(value, int) or value in {-1, 0xFFFFFFFF} else value


def word(value: Value) -> str:
    """Return a symbol's text, or a number as text."""
    if isinstance(value, Symbol):
        return value.text
    return str(value) if isinstance(value, int) else ""


def mode(value: Value) -> int:
    """Return a mode given as a number, or as names and octal numbers joined by ``|``."""
    if isinstance(value, int):
        return value & 0o177777
    total = 0
    for part in flags(value):
        if part in _MODE_NAMES:
            total |= _MODE_NAMES[part]
        elif re.fullmatch(r"0[0-7]*", part):
            total |= int(part, 8)
    return total


def device(value: Value) -> tuple[int, int] | None:
    """Return major and minor of ``makedev(0x1, 0x3)`` or of an encoded number (makedev(3)'s 64 bit layout)."""
    if isinstance(value, int):
        major = (value >> 8 & 0xFFF) | (value >> 32 & ~0xFFF)
        return major, (value & 0xFF) | (value >> 12 & ~0xFF)
    match = _DEVICE.fullmatch(value.text) if isinstance(value, Symbol) else None
    return (int(match.group(1), 0), int(match.group(2), 0)) if match else None


def capabilities(value: Value) -> frozenset[str]:
    """Return the capabilities named in a set such as ``1<<CAP_CHOWN|1<<CAP_KILL``."""
    return frozenset(_CAPABILITY.findall(value.text)) if isinstance(value, Symbol) else frozenset()


def field(value: Value, name: str) -> Value:
    """Return a field of a structure, ``None`` if it is no structure or has no such field."""
    return value.fields.get(name) if isinstance(value, Struct) else None
