"""The syntax of unit files: sections, assignments, comments and continued lines, in and out.

Read as ``config_parse`` in systemd's ``src/shared/conf-parser.c`` reads them (systemd.syntax(7)); compared with
systemd 252 by the tests. What systemd would skip or stop at comes back as a ``Problem``, never as an exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from policy.path_encoding import WHITESPACE, is_text_for_systemd

LINE_LIMIT = 1024 * 1024
"""LONG_LINE_MAX of systemd, in bytes: a line must be shorter; the limit holds for a line with its continuations too."""

LONGEST_COMMENT = 2000
"""Characters of a comment line that are written; the rest is cut."""

_LINE = re.compile(rb"([^\n\r\0]*)(\0|\n\r?\0?|\r\n?\0?|\Z)")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WHITESPACE_BYTES = WHITESPACE.encode()
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*", re.ASCII)


class Unwritable(ValueError):
    """A value or comment that a unit file cannot hold without changing its meaning."""


@dataclass(frozen=True)
class Assignment:
    """``Name=value`` in a section; ``line`` is the number of the line on which it ends, as systemd reports it."""

    section: str
    name: str
    value: str
    line: int = 0


@dataclass(frozen=True)
class Section:
    """A section header and its line number."""

    name: str
    line: int


@dataclass(frozen=True)
class Comment:
    """A comment line without its ``#`` or ``;``, and its line number. Bytes that are not UTF-8 are surrogates."""

    text: str
    line: int


@dataclass(frozen=True)
class Problem:
    """Something systemd does not take. ``stops``: it reads nothing below this line; otherwise it skips the line."""

    line: int
    message: str
    stops: bool = False


@dataclass(frozen=True)
class UnitFile:
    """A unit file or drop-in as systemd reads it, in the order of the file.

    Assignments of unknown sections are included under the section's name: the caller knows which sections exist.
    """

    assignments_in_order: tuple[Assignment, ...] = ()
    sections: tuple[Section, ...] = ()
    comments: tuple[Comment, ...] = ()
    problems: tuple[Problem, ...] = ()

    def assignments(self, section: str) -> tuple[Assignment, ...]:
        """Return the assignments of all sections of this name, in order. Resets (empty values) are included."""
        return tuple(assignment for assignment in self.assignments_in_order if assignment.section == section)


def parse(text: bytes) -> UnitFile:
    """Read a unit file. CR and NUL end a line as LF does; a line that is not UTF-8 ends the reading."""
    reader = _Reader()
    for number, line in _logical_lines(text, reader):
        if not reader.take(number, line):
            break
    return UnitFile(tuple(reader.assignments), tuple(reader.sections), tuple(reader.comments), tuple(reader.problems))


def _physical_lines(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Number the lines as ``read_line`` does: CR LF, LF CR and a NUL behind them are one end of line."""
    position = 0
    number = 0
    while position < len(text):
        match = _LINE.match(text, position)
        assert match is not None
        position = match.end()
        number += 1
        yield number, match[1]


def _logical_lines(text: bytes, reader: _Reader) -> Iterator[tuple[int, bytes]]:
    """Join continued lines, give comments to the reader, and stop at a line that is too long."""
    parts: list[bytes] = []  # the lines so far that belong together
    length = 0
    number = 0
    marked = False
    for number, physical in _physical_lines(text):
        if len(physical) >= LINE_LIMIT or length + len(physical) > LINE_LIMIT:
            reader.problems.append(Problem(number, "the line is longer than 1 MiB", stops=True))
            return
        bare = physical.lstrip(_WHITESPACE_BYTES)
        if bare[:1] in {b"#", b";"}:
            reader.comments.append(Comment(bare[1:].decode("utf-8", "surrogateescape"), number))
            continue
        line = physical
        if not marked and line.startswith(_BYTE_ORDER_MARK):
            marked = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if _ends_in_backslash(line):
            parts.append(line[:-1] + b" ")
            length += len(line)
            continue
        yield number, b"".join([*parts, line])
        parts, length = [], 0
    if parts:
        yield number + 1, b"".join(parts)


def _ends_in_backslash(line: bytes) -> bool:
    """Whether an unescaped backslash ends the line."""
    return (len(line) - len(line.rstrip(b"\\"))) % 2 == 1


class _Reader:
    """Collects what the lines of one file say."""

    def __init__(self) -> None:
        self.assignments: list[Assignment] = []
        self.sections: list[Section] = []
        self.comments: list[Comment] = []
        self.problems: list[Problem] = []
        self._section = ""

    def take(self, number: int, raw: bytes) -> bool:
        """Read one logical line; return False if systemd reads no further."""
        line = raw.strip(_WHITESPACE_BYTES)
        if not line:
            return True
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = "\udc80"
        if not is_text_for_systemd(text):
            return self._problem(number, "the line is not valid UTF-8", stops=True)
        if text.startswith("["):
            return self._header(number, text)
        return self._assignment(number, text)

    def _problem(self, number: int, message: str, *, stops: bool = False) -> bool:
        self.problems.append(Problem(number, message, stops))
        return not stops

    def _header(self, number: int, text: str) -> bool:
        if not text.endswith("]") or len(text) < 2:
            return self._problem(number, f"the section header {text[:80]!a} has no closing bracket", stops=True)
        name = text[1:-1]
        if not _is_safe(name):
            return self._problem(number, f"the section header {text[:80]!a} has bad characters", stops=True)
        self._section = name
        self.sections.append(Section(name, number))
        return True

    def _assignment(self, number: int, text: str) -> bool:
        if not self.sections:
            return self._problem(number, f"{text[:80]!a} stands outside of any section")
        name, equals, value = text.partition("=")
        if not equals:
            return self._problem(number, f"{text[:80]!a} has no '='")
        if not name:
            return self._problem(number, "there is no name in front of '='")
        self.assignments.append(Assignment(self._section, name.strip(WHITESPACE), value.strip(WHITESPACE), number))
        return True


def _is_safe(name: str) -> bool:
    """Whether ``string_is_safe`` of systemd takes the name: no control characters, quotes or backslashes."""
    return not any(character < " " or character in "\x7f\"'\\" for character in name)


def assignment_line(name: str, value: str) -> str:
    """Return ``Name=value`` without a line end. Raises Unwritable if systemd would not read the same back."""
    if not _NAME.fullmatch(name):
        raise Unwritable(f"{name!a} is not the name of a directive")
    line = f"{name}={value}"
    _check_line(line)
    if value != value.strip(WHITESPACE):
        raise Unwritable(f"the value of {name}= begins or ends with white space: {value[:80]!a}")
    if _ends_in_backslash(line.encode()):
        raise Unwritable(f"the value of {name}= ends in a backslash, which would swallow the next line")
    return line


def comment_line(text: str) -> str:
    """Return a comment line without a line end, whatever the text: it comes from names that a hostile service chose.

    It is made printable, and very long text is cut.
    """
    shown = printable(text)
    cut = shown if len(shown) <= LONGEST_COMMENT else f"{shown[:LONGEST_COMMENT]}..."
    return f"# {cut}".rstrip(WHITESPACE)


def printable(text: str) -> str:
    """Return text in which everything that is not printable is escaped: ``\\n``, ``\\x1b``, ``\\u202e``; bytes that are
    not UTF-8 as ``\\xNN``."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]


def _check_line(line: str) -> None:
    if any(character in line for character in "\n\r\0"):
        raise Unwritable(f"a line end inside of a line: {line[:80]!a}")
    if not is_text_for_systemd(line):
        raise Unwritable(f"not valid UTF-8: {line[:80]!a}")
    if len(line.encode()) >= LINE_LIMIT:
        raise Unwritable(f"a line of more than 1 MiB: {line[:80]!a}")
