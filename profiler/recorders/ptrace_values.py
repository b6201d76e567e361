"""What the ptrace child is to read of each call, and the values that come of it: the same that strace prints."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from profiler.recorders.base import Descriptor, Struct, Symbol, Value
from profiler.recorders.ptrace_calls import CALLS, INDIRECT, ONLY_64_BIT
from profiler.recorders.ptrace_messages import message, netlink_header, socket_address
from profiler.recorders.ptrace_names import call_numbers, constants

Step = list[Any]
"""One thing to read, as the child takes it: kind, position of the argument, and what the kind needs."""

_LEVELS = {0: "option_ip", 1: "option", 6: "option_tcp", 41: "option_ipv6", 270: "option_netlink"}
_IO_CLASSES = ("IOPRIO_CLASS_NONE", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE")
_DUPLICATING = {"F_DUPFD", "F_DUPFD_CLOEXEC"}


def is_read(name: str, architecture: str) -> bool:
    """Whether the arguments of this call can be read on this architecture."""
    words = {word.partition("@")[0] for word in CALLS.get(name, ())}
    return (architecture, name) not in INDIRECT and (architecture == "x86-64" or not words & ONLY_64_BIT)


def plans(wanted: frozenset[str] | None) -> dict[str, dict[str, list[Step]]]:
    """Return what the child is to read, per architecture and number; ``wanted`` names the calls (``None``: all)."""
    made: dict[str, dict[str, list[Step]]] = {}
    for architecture in ("x86-64", "x86", "x32"):
        rows = made[architecture] = {}
        for number, name in call_numbers()[architecture].items():
            if (wanted is None or name in wanted) and name in CALLS and is_read(name, architecture):
                steps = [step for step in map(_step, range(8), CALLS[name]) if step]
                if steps:
                    rows[str(number)] = steps
    return made


def _step(position: int, word: str) -> Step:
    kind, _, other = word.partition("@")
    at = int(other or 0)
    steps: dict[str, Step] = {
        "fd": ["fd", position],
        "path": ["string", position],
        "how": ["sized", position, at, 24, 1],
        "clone": ["sized", position, at, 88, 1],
        "address": ["sized", position, at, 128, 1],
        "address_out": ["address", position, at],
        "message": ["message", position],
        "message_out": ["message-out", position],
        "messages": ["messages", position, at],
        "messages_out": ["messages-out", position, at],
        "netlink": ["netlink", position, at],
        "pair": ["pair", position],
        "groups": ["sized", position, at, 65536 * 4, 4],
        "capabilities": ["bytes", position, 24],
        "limit": ["bytes", position, 16],
        "limit_out": ["out", position, 16],
        "scheduler": [],
        "scheduling": ["bytes", position, 48],
        "timex": ["bytes", position, 4],
        "program": ["bytes", position, 4],
        "value": ["bytes", position, 4],
        "value_out": ["out", position, 4],
        "ioctl_argument": ["bytes", position, 4],
        ">fd": ["returned", None],
        ">socket": ["socket", None],
    }
    return steps.get(kind, [])


class CallReader:
    """Turns the registers of one call, and what the child read, into values."""

    def __init__(self, name: str, registers: list[int], read: Mapping[str, Any]) -> None:
        self._name = name
        self._registers = registers
        self._read = read

    def values(self) -> tuple[Value, ...]:
        """Return the arguments; of calls in no table none."""
        if self._name == "prctl":
            return self._control()
        words = [word for word in CALLS.get(self._name, ()) if not word.startswith(">")]
        return tuple(self._argument(position, word) for position, word in enumerate(words))

    def result_target(self, result: int | None) -> Descriptor | None:
        """Return what the descriptor that the call returned refers to."""
        link = self._read.get("returnedNone")
        if result is None or not link:
            return None
        if self._name.startswith("fcntl") and not {self._named("fcntl", self._registers[1]).text} & _DUPLICATING:
            return None
        return Descriptor(result, bytes.fromhex(link[0]), link[1])

    def _argument(self, position: int, word: str) -> Value:
        kind = word.partition("@")[0]
        register = self._registers[position] if position < len(self._registers) else 0
        if kind.startswith("|"):
            return _flags(kind[1:], register & 0xFFFFFFFF)
        if kind.startswith("="):
            return self._named(kind[1:], register & 0xFFFFFFFF)
        decode = _SIMPLE.get(kind)
        if decode is not None:
            return decode(register)
        reader: Callable[[int, int], Value] = getattr(self, f"_{kind}")
        return reader(position, register)

    @staticmethod
    def _named(table: str, number: int) -> Symbol:
        return Symbol(constants()[table].get(number, hex(number)))

    def _bytes(self, *keys: str) -> bytes | None:
        for key in keys:
            found = self._read.get(key)
            if isinstance(found, str):
                return bytes.fromhex(found)
        return None

    def _fd(self, position: int, register: int) -> Value:
        link = self._read.get(f"fd{position}")
        number = _signed(register)
        return Descriptor(number, bytes.fromhex(link[0]), link[1]) if link else Descriptor(number)

    def _path(self, position: int, register: int) -> Value:
        found = self._read.get(f"string{position}")
        return bytes.fromhex(found) if isinstance(found, str) else (register or None)

    def _how(self, position: int, register: int) -> Value:
        data = self._bytes(f"sized{position}")
        if data is None or len(data) < 24:
            return register or None
        flags, mode, _ = struct.unpack_from("=QQQ", data)
        return Struct({"flags": _flags("open", flags), "mode": mode})

    def _clone(self, position: int, register: int) -> Value:
        data = self._bytes(f"sized{position}")
        if data is None or len(data) < 64:
            return register or None
        fields: dict[str, Value] = {"flags": _flags("clone", struct.unpack_from("=Q", data)[0])}
        if len(data) >= 80 and struct.unpack_from("=Q", data, 64)[0]:
            fields["set_tid"] = struct.unpack_from("=Q", data, 64)[0]
        return Struct(fields)

    def _address(self, position: int, register: int) -> Value:
        data = self._bytes(f"sized{position}")
        return socket_address(data) if data else (register or None)

    def _address_out(self, position: int, register: int) -> Value:
        data = self._bytes(f"address{position}")
        return socket_address(data) if data else (register or None)

    def _netlink(self, position: int, register: int) -> Value:
        data = self._bytes(f"netlink{position}")
        return netlink_header(data) if data else register

    def _message(self, position: int, register: int) -> Value:
        return self._messages_at(f"message{position}")[0] or register

    def _message_out(self, position: int, register: int) -> Value:
        return self._messages_at(f"message-out{position}")[0] or register

    def _messages(self, position: int, register: int) -> Value:
        return tuple(message for message in self._messages_at(f"messages{position}") if message) or register

    def _messages_out(self, position: int, register: int) -> Value:
        return tuple(filter(None, self._messages_at(f"messages-out{position}"))) or register

    def _messages_at(self, key: str) -> list[Struct | None]:
        return [message(parts) for parts in self._read.get(key) or [None]]

    def _pair(self, position: int, register: int) -> Value:
        found = self._read.get(f"pair{position}")
        if not found:
            return register
        ends = [Descriptor(number, bytes.fromhex(link[0])) if link else Descriptor(number) for number, link in found]
        return tuple(ends)

    def _groups(self, position: int, register: int) -> Value:
        data = self._bytes(f"sized{position}")
        return struct.unpack(f"={len(data) // 4}I", data[: len(data) // 4 * 4]) if data else (register or None)

    def _capabilities(self, position: int, register: int) -> Value:
        data = self._bytes(f"bytes{position}")
        if data is None or len(data) < 24:
            return register or None
        words = struct.unpack("=6I", data)
        names = ("effective", "permitted", "inheritable")
        return Struct({name: _capability_set(words[at] | words[at + 3] << 32) for at, name in enumerate(names)})

    def _limit(self, position: int, register: int) -> Value:
        data = self._bytes(f"bytes{position}", f"out{position}")
        if data is None or len(data) < 16:
            return register or None
        soft, hard = struct.unpack("=QQ", data)
        return Struct({"rlim_cur": soft, "rlim_max": hard})

    _limit_out = _limit

    def _scheduling(self, position: int, register: int) -> Value:
        data = self._bytes(f"bytes{position}")
        if data is None or len(data) < 16:
            return register or None
        _, policy, flags = struct.unpack_from("=IIQ", data)
        return Struct({"sched_policy": _policy(policy), "sched_flags": _flags("scheduling", flags)})

    def _timex(self, position: int, register: int) -> Value:
        data = self._bytes(f"bytes{position}")
        return Struct({"modes": _flags("timex", struct.unpack("=I", data)[0])}) if data else (register or None)

    def _program(self, position: int, register: int) -> Value:
        data = self._bytes(f"bytes{position}")
        if data is None or len(data) < 4:
            return register or None
        return Struct({"prog_type": self._named("bpf_program", struct.unpack("=I", data)[0])})

    def _option(self, _position: int, register: int) -> Value:
        table = _LEVELS.get(self._registers[1] & 0xFFFFFFFF, "")
        return Symbol(constants().get(table, {}).get(register & 0xFFFFFFFF, hex(register & 0xFFFFFFFF)))

    def _value_number(self, key: str, register: int) -> Value:
        data = self._bytes(key)
        number = struct.unpack("=i", data)[0] if data is not None and len(data) == 4 else None
        option = self._option(2, self._registers[2])
        if number is not None and option == Symbol("SO_TYPE"):
            return (self._named("type", number),)
        if number is not None and option == Symbol("SO_DOMAIN"):
            return (self._named("family", number),)
        return (number,) if number is not None else (register or None)

    def _value(self, position: int, register: int) -> Value:
        return self._value_number(f"bytes{position}", register)

    def _value_out(self, position: int, register: int) -> Value:
        return self._value_number(f"out{position}", register)

    def _ioctl_argument(self, position: int, register: int) -> Value:
        data = self._bytes(f"bytes{position}")
        if data is None or len(data) < 4 or "SETFLAGS" not in self._named("ioctl", self._registers[1]).text:
            return register
        bits = struct.unpack("=I", data)[0]  # linux/fs.h
        names = [name for bit, name in ((0x10, "FS_IMMUTABLE_FL"), (0x20, "FS_APPEND_FL")) if bits & bit]
        return (Symbol("|".join(names) or hex(bits)),)

    def _control(self) -> tuple[Value, ...]:
        operation = self._named("control", self._registers[0] & 0xFFFFFFFF)
        second, third, *rest = self._registers[1:5]
        values: tuple[Value, Value] = (second, third)
        if operation.text in {"PR_CAPBSET_DROP", "PR_CAPBSET_READ"}:
            values = (self._named("capability", second), third)
        elif operation.text == "PR_CAP_AMBIENT":
            values = (self._named("ambient", second), self._named("capability", third))
        elif operation.text == "PR_SET_SECCOMP":
            values = (self._named("seccomp_mode", second), third)
        return (operation, *values, *rest)


def _signed(register: int) -> int:
    register &= 0xFFFFFFFF
    return register - 2**32 if register >= 2**31 else register


def _flags(table: str, number: int) -> Value:
    names = constants()[table]
    if table == "clone" and number >= 0x100:
        number &= ~0x7F  # the signal that clone() sends when the child ends
    found = []
    if table == "open":
        found.append(names.get(number & 3, "O_ACCMODE"))
        number &= ~3
    for value in sorted(names, reverse=True):
        if value > (3 if table == "open" else 0) and number & value == value:
            found.append(names[value])
            number &= ~value
    if number:
        found.append(hex(number))
    return Symbol("|".join(found)) if found else 0


def _policy(number: int) -> Symbol:
    reset = number & 0x40000000
    name = constants()["scheduler"].get(number & ~0x40000000, hex(number)).replace("SCHED_NORMAL", "SCHED_OTHER")
    return Symbol(f"{name}|SCHED_RESET_ON_FORK" if reset else name)


def _socket_type(register: int) -> Symbol:
    number = register & 0xFFFFFFFF
    name = constants()["type"].get(number & 0xF, hex(number & 0xF))
    extra = [text for bit, text in constants()["type_flags"].items() if number & bit]
    return Symbol("|".join([name, *extra]))


def _io_priority(register: int) -> Symbol:
    number = register & 0xFFFF
    kind = number >> 13
    name = _IO_CLASSES[kind] if kind < len(_IO_CLASSES) else hex(kind)
    return Symbol(f"IOPRIO_PRIO_VALUE({name}, {number & 0x1FFF})")


def _quota(register: int) -> Symbol:
    command = (register & 0xFFFFFFFF) >> 8
    return Symbol(f"QCMD({constants()['quota'].get(command, hex(command))}, {register & 0xFF})")


_SIMPLE: dict[str, Callable[[int], Value]] = {
    "n": lambda register: register - 2**64 if register >= 2**63 else register,
    "i": _signed,
    "id": lambda register: register & 0xFFFFFFFF,
    "type": _socket_type,
    "scheduler": lambda register: _policy(register & 0xFFFFFFFF),
    "io_priority": _io_priority,
    "quota": _quota,
    "ioctl": lambda register: Symbol(constants()["ioctl"].get(register & 0xFFFFFFFF, hex(register & 0xFFFFFFFF))),
}


def _capability_set(bits: int) -> Value:
    names = [f"1<<{name}" for number, name in constants()["capability"].items() if bits >> number & 1]
    return Symbol("|".join(names)) if names else 0
