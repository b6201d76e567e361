"""Puts together what bcc compiles one by one: maps, variables and functions come in the place of their numbers.

bcc has no relocations, so ``by_bcc.h`` gives numbers to all that is elsewhere: calls of functions that stay functions
look like calls of helpers that do not exist, and loads of addresses are marked with what they stand for.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

FIRST_NUMBER = 1_000_000
"""Beyond all helpers of the kernel."""

_CALL, _LOAD_WIDE = 0x85, 0x18
_MAP, _MAP_VALUE, _FUNCTION, _OTHER_FUNCTION = 1, 2, 4, 1  # BPF_PSEUDO_* of linux/bpf.h
_LAYOUT = struct.Struct("<BBhi")


@dataclass(frozen=True)
class Instruction:
    """One instruction of 8 bytes; the second half of a wide one is one of its own (linux/bpf.h)."""

    code: int
    registers: int
    offset: int
    number: int

    @property
    def source(self) -> int:
        """The source register, or what the number stands for."""
        return self.registers >> 4

    def pack(self) -> bytes:
        """Return its bytes."""
        return _LAYOUT.pack(self.code, self.registers, self.offset, self.number)


@dataclass(frozen=True)
class Linked:
    """A whole program: its instructions, and where each function in it begins, by name and in order."""

    code: bytes
    functions: Mapping[str, int]


def unpack(code: bytes) -> list[Instruction]:
    """Return the instructions in these bytes."""
    return [Instruction(*fields) for fields in _LAYOUT.iter_unpack(code)]


def constant(code: bytes) -> int:
    """Return the number that a function returns which does nothing else; raises ValueError if it does."""
    instructions = unpack(code)
    first = instructions[0]
    if first.registers == 0 and first.code == _LOAD_WIDE:
        return (first.number & 0xFFFFFFFF) | (instructions[1].number & 0xFFFFFFFF) << 32
    if first.registers == 0 and first.code in {0xB7, 0xB4}:  # mov64, mov32
        return first.number & (0xFFFFFFFFFFFFFFFF if first.code == 0xB7 else 0xFFFFFFFF)
    raise ValueError(f"not a function that returns a constant: {code.hex()}")


def link(main: str, functions: Mapping[str, bytes], numbers: Mapping[int, str], maps: Mapping[str, int]) -> Linked:
    """Return the function ``main`` with all that it calls behind it.

    ``numbers`` are the names that numbers stand for, ``maps`` the descriptors of maps. Raises KeyError for
    an unknown number.
    """
    parts = {name: unpack(functions[name]) for name in _reachable(main, functions, numbers)}
    starts = dict.fromkeys(parts, 0)
    for before, after in pairwise(parts):
        starts[after] = starts[before] + len(parts[before])
    code = [
        _resolved(one, starts[name] + index, numbers, starts, maps)
        for name, instructions in parts.items()
        for index, one in enumerate(instructions)
    ]
    return Linked(b"".join(one.pack() for one in code), starts)


def _refers(one: Instruction) -> bool:
    called = one.code == _CALL and one.source == 0
    loaded = one.code == _LOAD_WIDE and one.source in {_MAP, _MAP_VALUE, _FUNCTION}
    return (called or loaded) and one.number >= FIRST_NUMBER


def _reachable(main: str, functions: Mapping[str, bytes], numbers: Mapping[int, str]) -> list[str]:
    found = [main]
    for name in found:  # grows on the way
        for one in unpack(functions[name]):
            if _refers(one) and (called := numbers[one.number]) in functions and called not in found:
                found.append(called)
    return found


def _resolved(
    one: Instruction, position: int, numbers: Mapping[int, str], starts: Mapping[str, int], maps: Mapping[str, int]
) -> Instruction:
    if not _refers(one):
        return one
    name = numbers[one.number]
    if name in maps:
        return replace(one, number=maps[name])
    if one.code == _CALL:
        return replace(one, registers=_OTHER_FUNCTION << 4, number=starts[name] - position - 1)
    return replace(one, number=starts[name] - position - 1)
