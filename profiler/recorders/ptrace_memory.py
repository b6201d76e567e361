"""Reads what the registers of a traced thread point to, as the configuration of the ptrace child says.

Used in the child's process only, but of no program that needs python-ptrace: /proc is enough.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any

MOST_STRING = 4096  # PATH_MAX
MOST_MESSAGES = 64
_MOST_OPEN = 512
_NETLINK = 16  # AF_NETLINK
_PART = struct.Struct("=QQ")  # struct iovec
_MESSAGE = struct.Struct("=QI4xQQQQQ")  # struct msghdr of 64 bit: name, length, parts, number, control, length, flags

AT_ENTRY = frozenset({"string", "bytes", "sized", "fd", "netlink", "message", "messages"})
"""What is read when a call begins; the rest when it has succeeded."""


def signed(value: int) -> int:
    """Return the int in the lower half of a register."""
    value &= 0xFFFFFFFF
    return value - 2**32 if value >= 2**31 else value


class Memory:
    """The memory and descriptors of the traced threads. ``registers`` are the arguments of a call."""

    def __init__(self, lose: Callable[[str, str], None]) -> None:
        self._lose = lose
        self._open: dict[int, int] = {}
        self._netlink: set[str] = set()

    def read(self, tid: int, registers: list[int], step: list[Any], result: int | None) -> tuple[str, Any]:
        """Do one step of a plan: return its key and what was read, in a form that JSON can carry."""
        kind, position, *rest = step
        key = f"{kind}{position}".replace("socket", "returned")
        place = registers[position] if position is not None else 0
        found: Any
        match kind:
            case "string":
                found = self._string(tid, place)
            case "bytes" | "out":
                found = _hexadecimal(self.bytes(tid, place, rest[0]))
            case "sized":
                found = _hexadecimal(self.bytes(tid, place, min(registers[rest[0]] * rest[2], rest[1])))
            case "fd":
                found = self._descriptor(tid, signed(place))
            case "returned":
                found = self._descriptor(tid, result)
            case "socket" | "pair":
                found = self._sockets(tid, registers, place, result if kind == "socket" else None)
            case "address":
                found = self._address(tid, place, registers[rest[0]])
            case "netlink":
                size = min(registers[rest[0]], 16) if self._is_netlink(tid, registers) else 0
                found = _hexadecimal(self.bytes(tid, place, size))
            case _:
                found = self._messages(tid, registers, step, result)
        return key, found

    def forget(self, tid: int) -> None:
        """Forget a thread that ended or executed a program."""
        descriptor = self._open.pop(tid, None)
        if descriptor is not None:
            os.close(descriptor)

    def bytes(self, tid: int, place: int, count: int) -> bytes | None:
        """Return up to ``count`` bytes, ``None`` if there are none."""
        if not place or count <= 0:
            return None
        for fresh in (False, True):
            if fresh:
                self.forget(tid)
            try:
                found = os.pread(self._opened(tid), count, place)
            except (OSError, OverflowError, ValueError):
                found = b""
            if found:
                return found
        return None

    def _opened(self, tid: int) -> int:
        if tid not in self._open:
            if len(self._open) >= _MOST_OPEN:
                self.forget(next(iter(self._open)))
            self._open[tid] = os.open(f"/proc/{tid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        return self._open[tid]

    def _string(self, tid: int, place: int) -> str | None:
        # A string may end just in front of a page that does not exist, so pages are read one by one.
        found = b""
        while place and len(found) < MOST_STRING:
            here = place + len(found)
            part = self.bytes(tid, here, min(MOST_STRING - len(found), 256 - here % 256))
            if not part:
                return None
            text, end, _ = part.partition(b"\0")
            found += text
            if end:
                return found.hex()
        return None

    def _address(self, tid: int, place: int, length_at: int) -> str | None:
        length = self.bytes(tid, length_at, 4)
        if length is None or len(length) < 4:
            return None
        return _hexadecimal(self.bytes(tid, place, min(struct.unpack("=I", length)[0], 128)))

    def _sockets(self, tid: int, registers: list[int], place: int, result: int | None) -> Any:
        # The new socket, or the numbers and links of the two; those of netlink are remembered.
        links: list[Any] = [self._descriptor(tid, result)]
        ends: list[Any] = []
        if result is None:
            data = self.bytes(tid, place, 8)
            numbers = struct.unpack("=2i", data) if data is not None and len(data) == 8 else ()
            ends = [[number, self._descriptor(tid, number)] for number in numbers]
            links = [link for _, link in ends]
        if registers[0] & 0xFFFFFFFF == _NETLINK:
            self._netlink.update(link[0] for link in links if link)
        return links[0] if result is not None else ends

    def _is_netlink(self, tid: int, registers: list[int]) -> bool:
        link = self._descriptor(tid, signed(registers[0])) if self._netlink else None
        return link is not None and link[0] in self._netlink

    def _messages(self, tid: int, registers: list[int], step: list[Any], result: int | None) -> list[Any]:
        kind, position, *rest = step
        netlink = not kind.endswith("-out") and self._is_netlink(tid, registers)
        place = registers[position]
        if not kind.startswith("messages"):
            return [self._message(tid, place, netlink)]
        count = registers[rest[0]] if result is None else result
        if count > MOST_MESSAGES:
            self._lose("more messages in one call than are looked at", str(count))
        return [self._message(tid, place + 64 * at, netlink) for at in range(min(count, MOST_MESSAGES))]

    def _message(self, tid: int, place: int, netlink: bool) -> list[str | None] | None:
        # The address, the control data and, of netlink alone, the header of the message. Never its contents.
        data = self.bytes(tid, place, _MESSAGE.size)
        if data is None or len(data) < _MESSAGE.size:
            return None
        name, length, parts, count, control, control_length, _ = _MESSAGE.unpack(data)
        head = None
        part = self.bytes(tid, parts, 16) if netlink and count else None
        if part is not None and len(part) == 16:
            start, size = _PART.unpack(part)
            head = self.bytes(tid, start, min(size, 16))
        found = (
            self.bytes(tid, name, min(length, 128)),
            self.bytes(tid, control, min(control_length, 4096)),
            head,
        )
        return [_hexadecimal(item) for item in found]

    @staticmethod
    def _descriptor(tid: int, number: int | None) -> list[Any] | None:
        # What a descriptor refers to, and whether the file has no name any more.
        if number is None or number < 0:
            return None
        place = f"/proc/{tid}/fd/{number}".encode()
        try:
            target = os.readlink(place)  # noqa: PTH115 - bytes
            if target.endswith(b" (deleted)") and os.stat(place).st_nlink == 0:  # noqa: PTH116
                return [target.removesuffix(b" (deleted)").hex(), True]
        except OSError:
            return None
        return [target.hex(), False]


def _hexadecimal(data: bytes | None) -> str | None:
    return None if data is None else data.hex()
