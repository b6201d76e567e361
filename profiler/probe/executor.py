"""The stand-in for a service: a program of 94 bytes that makes the system calls it is told to, and nothing else.

It is what runs inside of the sandbox. Any interpreter would need calls, libraries and permissions of its own there, and
a tight sandbox refuses those; this needs read(2), write(2) and exit_group(2). Its standard streams are a socket, to
which systemd connects it (systemd.exec(5), ``StandardInput=file:`` of a socket). Memory is filled by telling it to
read, and seen by telling it to write.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from functools import cache
from importlib import resources

ARCHITECTURE = "x86-64"
"""What the program is written for."""

CODE = bytes.fromhex(
    "31c0 31ff be00006000 ba38000000 0f05"  # next: read(0, DATA, 56)
    "4883f838 753d"  # unless 56 bytes came: go to end
    "bb00006000 488b03 488b7b08 488b7310 488b5318 4c8b5320 4c8b4328 4c8b4b30 0f05"  # the call that they describe
    "48894340 b801000000 bf01000000 488d7340 ba08000000 0f05 ebad"  # write(1, result, 8); go to next
    "31ff b8e7000000 0f05"  # end: exit_group(0)
)

TEXT, DATA, ROOM = 0x400000, 0x600000, 0x20000
MEMORY, BUFFER = DATA + 0x1000, DATA + 0x10000
LARGEST_MEMORY, LARGEST_BUFFER = 0x8000, 0x10000
PATIENCE = 15.0
"""Seconds within which a call must answer."""


class Died(Exception):
    """The stand-in was ended by the call that it was told to make, or never ran."""


def image() -> bytes:
    """Return the program: an ELF file with code that cannot be written and data that cannot be executed."""
    headers = 64 + 3 * 56
    size = headers + len(CODE)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, TEXT + headers, 64, 0, 0, 64, 56, 3, 0, 0, 0)
    load, stack, read, write, execute = 1, 0x6474E551, 4, 2, 1
    segments = (
        struct.pack("<IIQQQQQQ", load, read | execute, 0, TEXT, TEXT, size, size, 0x1000),
        struct.pack("<IIQQQQQQ", load, read | write, 0, DATA, DATA, 0, ROOM, 0x1000),
        struct.pack("<IIQQQQQQ", stack, read | write, 0, 0, 0, 0, 0, 16),
    )
    return identity + head + b"".join(segments) + CODE


@cache
def numbers(of: str = ARCHITECTURE) -> dict[str, int]:
    """Return the numbers of the system calls, or those of ``ioctls``, by name."""
    text = resources.files("profiler.recorders.ebpf").joinpath("x86_64.numbers.json").read_text(encoding="utf-8")
    return {name: int(number) for number, name in json.loads(text)[of].items()}


class Executor:
    """The one that tells it what to do."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(PATIENCE)

    def call(self, name: str, *arguments: int | bytes | str) -> int:
        """Make a system call; text and bytes become pointers to memory that holds them, ended by a zero.

        Returns its result; raises OSError with its errno, Died if it does not come back.
        """
        memory = b""
        words = []
        for argument in arguments:
            if isinstance(argument, int):
                words.append(argument & (1 << 64) - 1)
                continue
            words.append(MEMORY + len(memory))
            memory += (os.fsencode(argument) if isinstance(argument, str) else argument) + b"\0"
            memory += bytes(-len(memory) % 16)
        if len(memory) > LARGEST_MEMORY:
            raise ValueError("more memory than a probe has")
        if memory:
            self._make(numbers()["read"], [0, MEMORY, len(memory)], memory)
        return self._make(numbers()[name], words)

    def ping(self) -> None:
        """Find out whether it is there. Raises Died."""
        self._make(numbers()["write"], [1, BUFFER, 0])

    def into_buffer(self, name: str, *arguments: int | bytes | str) -> bytes:
        """Make a call that fills BUFFER with as many bytes as it returns, and return them."""
        return self.peek(BUFFER, min(self.call(name, *arguments), LARGEST_BUFFER))

    def peek(self, address: int, length: int) -> bytes:
        """Return some of its memory."""
        self._send([numbers()["write"], 1, address, length])
        found = self._receive(length) if length else b""
        self._receive(8)
        return found

    def leave_child(self) -> None:
        """Be done with a child that a vfork-like call made: it exits, and its parent goes on and answers."""
        self._send([numbers()["exit_group"], 0])
        self._answer()

    def fork(self) -> None:
        """Make fork(2), after which it is of no use any more: two of it listen. Raises OSError, Died."""
        self._make(numbers()["fork"], [])
        self._answer()

    def close(self) -> None:
        """Let it end."""
        self._connection.close()

    def _make(self, number: int, arguments: list[int], memory: bytes = b"") -> int:
        self._send([number, *arguments], memory)
        return self._answer()

    def _answer(self) -> int:
        result: int = struct.unpack("<q", self._receive(8))[0]
        if -4096 < result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def _send(self, words: list[int], memory: bytes = b"") -> None:
        padded = [*words, *([0] * (7 - len(words)))]
        try:
            self._connection.sendall(struct.pack("<7Q", *padded) + memory)
        except OSError as error:
            raise Died(str(error)) from None

    def _receive(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            try:
                more = self._connection.recv(length - len(received))
            except OSError as error:
                raise Died(str(error)) from None
            if not more:
                raise Died("it ended")
            received += more
        return received
