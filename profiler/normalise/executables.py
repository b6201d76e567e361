"""What the first bytes of a program say about it: which other file runs it. Only headers are read."""

from __future__ import annotations

import struct

from profiler.normalise.credentials import capabilities_in

_ELF = b"\x7fELF"
_PT_INTERP = 3
_LONGEST_SCRIPT_LINE = 256  # BINPRM_BUF_SIZE of the kernel
_CAPABILITY_REVISIONS = {0x01000000: 1, 0x02000000: 2, 0x03000000: 2}  # words per set (linux/capability.h)


def interpreter(header: bytes) -> bytes | None:
    """Return the file that runs a program with this header: that of ``#!`` or of PT_INTERP; ``None`` if it has none.

    elf(5), execve(2). Raises nothing: a header that is cut short or damaged has none.
    """
    if header.startswith(b"#!"):
        words = header[2:_LONGEST_SCRIPT_LINE].split(b"\n", 1)[0].split()
        return words[0].split(b"\0", 1)[0] if words else None
    if header.startswith(_ELF) and len(header) > 64:
        return _program_interpreter(header)
    return None


def is_script(header: bytes) -> bool:
    """Whether a program with this header is run by the interpreter after ``#!``."""
    return header.startswith(b"#!")


def file_capabilities(attribute: bytes | None) -> tuple[frozenset[str], bool]:
    """Return the permitted capabilities in a ``security.capability`` attribute, and whether they become effective."""
    if attribute is None or len(attribute) < 12:
        return frozenset(), False
    magic = struct.unpack_from("<I", attribute)[0]
    words = _CAPABILITY_REVISIONS.get(magic & 0xFF000000, 0)
    bits = 0
    for index in range(words):
        if len(attribute) >= 8 + 8 * index:
            bits |= struct.unpack_from("<I", attribute, 4 + 8 * index)[0] << (32 * index)
    return capabilities_in(bits), bool(magic & 1)


def _program_interpreter(header: bytes) -> bytes | None:
    wide, order = header[4] == 2, "<" if header[5] == 1 else ">"
    table, size, count = (
        (struct.unpack_from(order + "Q", header, 32)[0], *struct.unpack_from(order + "HH", header, 54))
        if wide
        else (struct.unpack_from(order + "I", header, 28)[0], *struct.unpack_from(order + "HH", header, 42))
    )
    entry = struct.Struct(order + ("IIQQQQ" if wide else "IIIII"))
    for index in range(min(count, 128)):
        at = table + index * size
        if at + entry.size > len(header):
            return None
        fields = entry.unpack_from(header, at)
        if fields[0] == _PT_INTERP:
            start, length = (fields[2], fields[5]) if wide else (fields[1], fields[4])
            name = header[start : start + length].rstrip(b"\0")
            return name or None
    return None
