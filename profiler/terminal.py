"""What may be shown on a terminal: names made harmless, colour only where it is wanted.

The service under study chooses the names of its files, and they end up on an administrator's terminal.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import IO

ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
OFF_WORDS = frozenset({"0", "n", "no", "f", "false", "off"})
FIRST_RAW_BYTE, LAST_RAW_BYTE = 0xDC80, 0xDCFF  # PEP 383: os.fsdecode keeps the bytes 0x80-0xff as these


class Style(Enum):
    """How a piece of text stands out; the value is its SGR parameter (ECMA-48)."""

    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"


def printable(text: str) -> str:
    """Return text that is safe to show in one line, whatever a hostile name contains.

    Control characters (with newlines and terminal escapes), bidirectional overrides and other invisible characters,
    exotic spaces, unassigned code points and lone surrogates become backslash escapes; a byte that was not UTF-8
    becomes ``\\xNN``. Everything else, backslashes too (systemd's own names have them), stays: the result is for
    reading, not for parsing.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if FIRST_RAW_BYTE <= code <= LAST_RAW_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return ESCAPES.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def colour_wanted(stream: IO[str]) -> bool:
    """Whether to colour what goes to ``stream``: $SYSTEMD_COLORS decides if set, else $NO_COLOR, else the terminal.

    Sources: systemd's docs/ENVIRONMENT.md, no-color.org.
    """
    asked = os.environ.get("SYSTEMD_COLORS", "")
    if asked:
        return asked.lower() not in OFF_WORDS
    if os.environ.get("NO_COLOR"):
        return False
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def styled(text: str, style: Style, stream: IO[str]) -> str:
    """Return the text in this style if colour is wanted on ``stream``, else as it is."""
    return f"\x1b[{style.value}m{text}\x1b[0m" if colour_wanted(stream) else text
