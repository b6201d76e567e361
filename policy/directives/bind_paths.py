"""The directives of systemd.exec(5) that mount something else at a path: TemporaryFileSystem= and BindPaths=."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from policy.behaviour import Access, Fact, FileKind, PathUse
from policy.directives.base import Directive, Evidence
from policy.directives.strict_view import lines_for
from policy.host_facts import HostFacts
from policy.path_encoding import (
    MalformedWords,
    UnknownSpecifier,
    expand_specifiers,
    inexpressible_because,
    simplify,
    split_words,
    system_specifiers,
)
from policy.sandbox.mount_entry import Mode, MountEntry
from policy.sandbox.sandbox import Sandbox

MANUAL = "systemd.exec(5), Sandboxing"


def _assignment_words(assignments: Sequence[str]) -> tuple[str, ...]:
    """Return the words of all lines since the last empty one, still quoted as they were written."""
    words: list[str] = []
    for assignment in assignments:
        if not assignment.strip():
            words = []
            continue
        words.extend(_quoted_words(assignment))
    return tuple(words)


def _quoted_words(assignment: str) -> list[str]:
    """Split at white space outside of quotes, keeping quotes and backslashes for the second pass at the colons."""
    words: list[str] = []
    current, quote, escaped = "", "", False
    for character in assignment:
        if escaped:
            current, escaped = current + character, False
        elif character == "\\":
            current, escaped = current + character, True
        elif quote:
            quote = "" if character == quote else quote
            current += character
        elif character in " \t\n\r":
            words.append(current)
            current = ""
        else:
            quote = character if character in "\"'" else ""
            current += character
    words.append("" if quote or escaped else current)
    return [word for word in words if word]


@dataclass(frozen=True)
class WordListDirective(Directive, abstract=True):
    """A list of ``path:option`` words, kept as written."""

    manual: ClassVar = MANUAL

    words: tuple[str, ...] = ()

    @classmethod
    def parse(cls, assignments: Sequence[str], host: HostFacts) -> Self:  # noqa: ARG003  # the same in all versions
        """Append the words of each line; an empty line resets the list."""
        return cls(_assignment_words(assignments))

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Self]:
        """Propose what belongs to the view of the level strict."""
        lines = lines_for(cls.__name__, evidence)
        return [cls(tuple(lines))] if lines else []

    def values(self) -> tuple[str, ...]:
        """Return a reset and one line for each word."""
        return ("", *self.words) if self.words else ()

    def intersected(self, own: Self) -> Self:
        """Keep the unit's own list, if it has one."""
        return own if own.words else self

    def at_least_as_strict_as(self, other: Self) -> bool:
        """Compare the lists: what covers is stricter if it has all the words, what gives back if it has no more."""
        words, others = frozenset(self.words), frozenset(other.words)
        return words <= others if self.exception_of else others <= words

    def extent(self) -> frozenset[str]:
        """Return the words of a list that gives back."""
        return frozenset(self.words) if self.exception_of else frozenset()

    def fields(self, word: str, sandbox: Sandbox) -> tuple[str, ...]:
        """Return the parts of a word between colons, specifiers expanded; nothing if systemd ignores the word."""
        try:
            parts = split_words(word, separators=":", keep_empty=True)
            return tuple(expand_specifiers(part, system_specifiers(sandbox.unit.name)) for part in parts)
        except (MalformedWords, UnknownSpecifier):
            return ()


@dataclass(frozen=True)
class TemporaryFileSystem(WordListDirective):
    """Mounts an empty tmpfs over the listed paths.

    Facts: uses below them, except of what BindPaths= brings back. What the service writes there is lost at its end,
    which is what the option is for and not counted as a denial.
    """

    since: ClassVar = {"": 238}
    levels: ClassVar = "strict only: trees of which some directories were used"
    summary: ClassVar = "covers the listed paths with an empty file system"
    denied_examples: ClassVar = {
        "/srv/example:ro": Fact(PathUse("/srv/example/file", Access.READ, FileKind.REGULAR)),
    }

    def fields(self, word: str, sandbox: Sandbox) -> tuple[str, ...]:
        """Return the path and its options. Systemd takes backslashes off twice here: with the quotes, at the colon."""
        try:
            unquoted = split_words(word)[0]
            match = re.fullmatch(r"((?:[^\\:]|\\.)*)(?::(.*))?", unquoted, re.DOTALL)
            path = re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match else ""
            return expand_specifiers(path, system_specifiers(sandbox.unit.name)), (match[2] or "") if match else ""
        except (MalformedWords, UnknownSpecifier):
            return ("", "")

    def contribute(self, sandbox: Sandbox) -> None:
        """Add an entry for each path."""
        name = type(self).__name__
        for word in self.words:
            path, *options = self.fields(word, sandbox)
            if inexpressible_because(path):
                continue
            setting = f"{name}={word}"
            chosen = ",".join(options).split(",")
            sandbox.mounts.separate(name, setting)
            sandbox.mounts.add(
                MountEntry(
                    simplify(path),
                    Mode.TEMPORARY,
                    name,
                    setting,
                    read_only="ro" in chosen,
                    permissions=next((int(mode[5:], 8) for mode in chosen if _is_mode(mode)), 0o755),
                )
            )


def _is_mode(option: str) -> bool:
    return option.startswith("mode=") and option[5:].isdigit() and not set(option[5:]) - set("01234567")


@dataclass(frozen=True)
class BindPaths(WordListDirective):
    """Mounts files and directories from elsewhere at the listed paths, writable.

    Opens more than it denies: what is bound is visible below hidden paths. Facts: rename and link across its border
    (EXDEV). Not judged: what the source holds where it differs from the destination. An empty BindPaths= resets
    BindReadOnlyPaths= as well, and the reverse; here each resets only itself.
    """

    exception_of: ClassVar = ("TemporaryFileSystem", "InaccessiblePaths", "ProtectHome", "PrivateTmp")
    since: ClassVar = {"": 233}
    levels: ClassVar = "strict only: the writable directories in such trees"
    summary: ClassVar = "mounts files from elsewhere at the listed paths"
    denied_examples: ClassVar = {
        "/srv/example": Fact(PathUse("/srv/example", Access.DELETE, FileKind.DIRECTORY)),
    }
    read_only: ClassVar[bool] = False

    def values(self) -> tuple[str, ...]:
        """Return one line for each word, without a reset: it would empty the list of the other directive as well."""
        return self.words

    def contribute(self, sandbox: Sandbox) -> None:
        """Add an entry for each destination."""
        name = type(self).__name__
        for word in self.words:
            source, *rest = self.fields(word, sandbox) or ("",)
            optional = source.startswith("-")
            destination = rest[0] if rest and rest[0] else source.removeprefix("-")
            if inexpressible_because(source.removeprefix("-")) or inexpressible_because(destination):
                continue
            setting = f"{name}={word}"
            sandbox.mounts.separate(name, setting)
            sandbox.mounts.add(
                MountEntry(
                    simplify(destination),
                    Mode.BIND,
                    name,
                    setting,
                    ignore_missing=optional,
                    read_only=self.read_only,
                )
            )


@dataclass(frozen=True)
class BindReadOnlyPaths(BindPaths):
    """Mounts files and directories from elsewhere at the listed paths, read-only. Facts: as BindPaths=, and writes."""

    since: ClassVar = {"": 233}
    levels: ClassVar = "strict only: the other directories in such trees, and the programs of ExecPaths="
    summary: ClassVar = "mounts files from elsewhere at the listed paths, read-only"
    denied_examples: ClassVar = {
        "/srv/example": Fact(PathUse("/srv/example/file", Access.WRITE, FileKind.REGULAR)),
    }
    read_only: ClassVar[bool] = True
