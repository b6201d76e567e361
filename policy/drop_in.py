"""A drop-in: settings in order with the reasons for them, as text and back.

The first line is a comment with the version of this tool and the digest of everything below it, so that damage and
edits by others can be told from what was generated. The same settings give the same bytes; there is no clock in it.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field

from policy import unit_file
from policy.unit_file import Assignment, Comment, Problem, UnitFile, assignment_line, comment_line

SECTIONS = frozenset({"Unit", "Service", "Install"})
"""The sections of a service unit (systemd.service(5)); those beginning with ``X-`` systemd skips silently."""

_FIRST_LINE = re.compile(r" unit-tailor (\S+) sha256:([0-9a-f]{64})")


class DropInError(ValueError):
    """Text that is no well-formed drop-in: the line (from 1) and what is wrong there."""

    def __init__(self, line: int, message: str, name: str = "") -> None:
        super().__init__(f"{name}:{line}: {message}" if name else f"line {line}: {message}")
        self.line = line
        self.message = message
        self.name = name


@dataclass(frozen=True)
class Setting:
    """``name=value`` below ``[Service]``, with comment lines above it; the value as written, "" being a reset.

    ``line`` is its place in the text that it was read from.
    """

    name: str
    value: str
    comments: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class DropIn:
    """The settings of one drop-in. ``header`` are comment lines for the top; they and the comments may say anything:
    line ends and control characters in them are escaped.

    Of a drop-in that was read: ``elsewhere`` has the assignments of other sections, ``problems`` what systemd will
    skip, ``written_digest`` and ``body_digest`` what the first line says and what the rest has.
    """

    settings: tuple[Setting, ...] = ()
    header: tuple[str, ...] = ()
    tool_version: str = "unknown"
    elsewhere: tuple[Assignment, ...] = field(default=(), compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)
    written_digest: str = field(default="", compare=False)
    body_digest: str = field(default="", compare=False)

    @property
    def assignments(self) -> tuple[tuple[str, str], ...]:
        """The settings as pairs of name and value, in order."""
        return tuple((setting.name, setting.value) for setting in self.settings)

    def render(self) -> str:
        """Return the text. Raises ``unit_file.Unwritable`` for a name or value that systemd would not read back."""
        body = "".join(f"{line}\n" for line in self._lines())
        version = re.sub(r"[^!-~]", "?", self.tool_version) or "unknown"
        return f"# unit-tailor {version} sha256:{_digest(body.encode())}\n{body}"

    def _lines(self) -> Iterable[str]:
        yield from map(comment_line, self.header)
        yield from [""] if self.header else []
        yield "[Service]"
        for setting in self.settings:
            yield from map(comment_line, setting.comments)
            yield assignment_line(setting.name, setting.value)

    def digest_matches(self) -> bool | None:
        """Whether the text is as this tool wrote it; None if it was not written by this tool at all."""
        return self.written_digest == self.body_digest if self.written_digest else None

    def unknown_settings(self, known: frozenset[str]) -> tuple[Problem, ...]:
        """Return a problem for each setting whose name is not among ``known``: systemd skips it with a warning."""
        return tuple(
            Problem(setting.line, f"{setting.name}= is no setting of [Service] that systemd knows")
            for setting in self.settings
            if setting.name not in known and not setting.name.startswith("X-")
        )


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def stamped(data: bytes, tool_version: str) -> bytes:
    """Return a drop-in of anybody's with a first line by which later edits can be told; one of ours as it is."""
    if parse(data).digest_matches():
        return data
    first, _, rest = data.partition(b"\n")
    body = rest if _FIRST_LINE.fullmatch(first.decode("utf-8", "replace").removeprefix("#")) else data
    return f"# unit-tailor {tool_version} sha256:{_digest(body)}\n".encode() + body


def parse(text: str | bytes, name: str = "") -> DropIn:
    """Read a drop-in, ours or anybody's. ``name`` is the file for messages.

    Raises DropInError for text in which systemd would lose something without an error: what is not UTF-8 or has NUL
    or CR in it, no ``[Service]`` section, an assignment outside of a section, a line without ``=``.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        _refuse_line_ends(data)
        unit = unit_file.parse(data)
        if unit.problems:
            raise DropInError(unit.problems[0].line, unit.problems[0].message)
        if not any(section.name == "Service" for section in unit.sections):
            raise DropInError(1, "there is no [Service] section: systemd would ignore the whole file")
    except DropInError as error:
        raise DropInError(error.line, error.message, name) from None
    return _from_unit_file(unit, data)


def _refuse_line_ends(data: bytes) -> None:
    for character, said in ((b"\0", "a NUL byte"), (b"\r", "a carriage return")):
        position = data.find(character)
        if position >= 0:
            line = data.count(b"\n", 0, position) + 1
            raise DropInError(line, f"{said}, which ends the line for systemd")


def _from_unit_file(unit: UnitFile, data: bytes) -> DropIn:
    first = unit.comments[0] if unit.comments and unit.comments[0].line == 1 else None
    match = _FIRST_LINE.fullmatch(first.text) if first else None
    start = unit.sections[0].line
    header = [one for one in unit.comments if one.line < start and not (match and one is first)]
    return DropIn(
        settings=_settings(unit),
        header=_texts(header),
        tool_version=match[1] if match else "unknown",
        elsewhere=tuple(one for one in unit.assignments_in_order if one.section != "Service"),
        problems=_unknown_sections(unit),
        written_digest=match[2] if match else "",
        body_digest=_digest(data.partition(b"\n")[2]) if match else "",
    )


def _settings(unit: UnitFile) -> tuple[Setting, ...]:
    """Give each setting the comments between it and whatever stands above it."""
    marks = sorted({section.line for section in unit.sections} | {one.line for one in unit.assignments_in_order})
    above = dict(zip(marks[1:], marks[:-1], strict=True))
    lines = [comment.line for comment in unit.comments]
    return tuple(
        Setting(
            one.name,
            one.value,
            _texts(unit.comments[bisect(lines, above[one.line]) : bisect(lines, one.line)]),
            one.line,
        )
        for one in unit.assignments("Service")
    )


def _texts(comments: Iterable[Comment]) -> tuple[str, ...]:
    return tuple(_without_blank(comment.text) for comment in comments)


def _without_blank(comment: str) -> str:
    return comment.removeprefix(" ")


def _unknown_sections(unit: UnitFile) -> tuple[Problem, ...]:
    return tuple(
        Problem(section.line, f"the section [{section.name}] is unknown: systemd ignores it and what is in it")
        for section in unit.sections
        if section.name not in SECTIONS and not section.name.startswith("X-")
    )
