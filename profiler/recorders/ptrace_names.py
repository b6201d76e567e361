"""The names of system calls and of the constants that they take, by number."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@cache
def constants() -> dict[str, dict[int, str]]:
    """Return the tables of names by value."""
    read = json.loads((_FOLDER / "ptrace_constants.json").read_text(encoding="utf-8"))
    tables = {table: {int(value): name for value, name in names.items()} for table, names in read.items()}
    tables["ioctl"].update(call_numbers()["ioctls"])
    return tables


@cache
def call_numbers() -> dict[str, dict[int, str]]:
    """Return the names of the system calls by number, per architecture; and those of ``ioctls``."""
    read = json.loads((_FOLDER / "ebpf" / "x86_64.numbers.json").read_text(encoding="utf-8"))
    return {table: {int(number): name for number, name in names.items()} for table, names in read.items()}
