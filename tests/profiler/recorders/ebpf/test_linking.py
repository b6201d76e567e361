"""Putting together what bcc compiles."""

from __future__ import annotations

import pytest

from profiler.recorders.ebpf.linking import FIRST_NUMBER, Instruction, constant, link, unpack

EXIT = Instruction(0x95, 0, 0, 0)
NUMBERS = {FIRST_NUMBER: "called", FIRST_NUMBER + 1: "table", FIRST_NUMBER + 2: "deep"}


def _code(*instructions: Instruction) -> bytes:
    return b"".join(one.pack() for one in instructions)


def test_functions_stand_behind_each_other_and_calls_are_relative() -> None:
    call = Instruction(0x85, 0, 0, FIRST_NUMBER)
    deeper = Instruction(0x85, 0, 0, FIRST_NUMBER + 2)
    functions = {"main": _code(call, EXIT), "called": _code(deeper, EXIT), "deep": _code(EXIT), "unused": _code(EXIT)}
    linked = link("main", functions, NUMBERS, {})
    assert linked.functions == {"main": 0, "called": 2, "deep": 4}
    code = unpack(linked.code)
    assert code[0] == Instruction(0x85, 0x10, 0, 1)
    assert code[2] == Instruction(0x85, 0x10, 0, 1)
    assert len(code) == 5


def test_maps_get_their_descriptors_and_helpers_stay_helpers() -> None:
    load = Instruction(0x18, 0x11, 0, FIRST_NUMBER + 1)
    helper = Instruction(0x85, 0, 0, 181)
    callback = Instruction(0x18, 0x42, 0, FIRST_NUMBER)
    second = Instruction(0, 0, 0, 0)
    code = _code(load, second, callback, second, helper, EXIT)
    linked = link("main", {"main": code, "called": _code(EXIT)}, NUMBERS, {"table": 7})
    found = unpack(linked.code)
    assert found[0].number == 7
    assert found[2] == Instruction(0x18, 0x42, 0, 3)
    assert found[4] == helper


def test_what_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        link("main", {"main": _code(Instruction(0x85, 0, 0, FIRST_NUMBER + 9), EXIT)}, NUMBERS, {})


def test_constants_are_read() -> None:
    wide = _code(Instruction(0x18, 0, 0, -2), Instruction(0, 0, 0, 5), EXIT)
    assert constant(wide) == 5 << 32 | 0xFFFFFFFE
    assert constant(_code(Instruction(0xB7, 0, 0, 77), EXIT)) == 77
    with pytest.raises(ValueError, match="constant"):
        constant(_code(EXIT))
