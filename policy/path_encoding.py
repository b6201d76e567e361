"""Paths in unit files: the one encoder that writes them, and the decoder that reads them as systemd does.

Nothing else in this project writes a path into a unit file. The encoder returns a value that every systemd from 245 on
reads back as the same path, or raises; it never returns a damaged path.

Sources: ``src/basic/extract-word.c`` and ``config_parse_namespace_path_strv``, ``config_parse_bind_paths``,
``config_parse_temporary_filesystems`` in ``src/core/load-fragment.c``; compared with systemd 252 by the tests.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

WHITESPACE = " \t\n\r"
"""What systemd takes for white space in unit files (``string-util.h``): form feed and the like are not."""

WORD_DIRECTIVES = frozenset(
    {
        "ReadWritePaths",
        "ReadOnlyPaths",
        "InaccessiblePaths",
        "ExecPaths",
        "NoExecPaths",
        "BindPaths",
        "BindReadOnlyPaths",
        "DeviceAllow",
    }
)
"""Directives whose paths are quoted words."""

TWICE_UNESCAPED = frozenset({"TemporaryFileSystem"})
"""Directives that take backslashes off twice, once when splitting the words and once when splitting at the colon."""

LONGEST_PATH = 4095
LONGEST_COMPONENT = 255

_BARE = re.compile(r"[A-Za-z0-9/_.,@+-]+", re.ASCII)
_RUNS = re.compile(r'"+|[^"]+')


class InexpressiblePath(ValueError):
    """A path that no unit file can hold. ``path`` is the path, ``reason`` says why, in words."""

    def __init__(self, path: str, directive: str, reason: str) -> None:
        super().__init__(f"{path!a} cannot be written in {directive}=: {reason}")
        self.path = path
        self.directive = directive
        self.reason = reason


class MalformedWords(ValueError):
    """A value that systemd cannot split into words. ``words`` are those in front of the fault, which systemd keeps."""

    def __init__(self, message: str, words: tuple[str, ...]) -> None:
        super().__init__(message)
        self.words = words


def is_text_for_systemd(text: str) -> bool:
    """Whether systemd takes the text for valid UTF-8: no surrogates, and none of Unicode's noncharacters.

    Python encodes noncharacters (U+FFFE, U+FDD0, ...); systemd stops reading the file at them
    (``unichar_is_valid`` in ``src/basic/utf8.c``).
    """
    return text.isascii() or not any(_is_refused(ord(character)) for character in text)


def _is_refused(number: int) -> bool:
    return 0xD800 <= number <= 0xDFFF or 0xFDD0 <= number <= 0xFDEF or number & 0xFFFE == 0xFFFE


@functools.lru_cache(maxsize=1 << 14)
def inexpressible_because(path: str) -> str:
    """Return why no path list of a unit file can hold this path, or an empty string if one can."""
    if not path.startswith("/"):
        return "it is not absolute"
    if not is_text_for_systemd(path):
        return "it is not valid UTF-8"
    for character, name in (("\n", "a newline"), ("\r", "a carriage return"), ("\0", "a NUL byte")):
        if character in path:
            return f"it contains {name}"
    return _length_or_shape_fault(path)


def unbindable_because(path: str) -> str:
    """Return why no bind mount of a unit file can be put at this path on every systemd, or an empty string if one can.

    From 254 the manager hands the settings over to its executor as text, and loses quotes and control characters of
    BindPaths= on the way: the unit does not start (measured with 257; 262 loses only the double quote).
    """
    return inexpressible_because(path) or ("it contains a quote or a control character" if _LOST.search(path) else "")


_LOST = re.compile(r"[\x00-\x1f\x7f'\"]")


def _length_or_shape_fault(path: str) -> str:
    components = path.split("/")
    if ".." in components:
        return 'it contains ".."'
    if len(path.encode()) > LONGEST_PATH:
        return f"it is longer than {LONGEST_PATH} bytes"
    if any(len(component.encode()) > LONGEST_COMPONENT for component in components):
        return f"a component of it is longer than {LONGEST_COMPONENT} bytes"
    return ""


def encode_path(path: str, directive: str) -> str:
    """Return the path as it must be written in the list of this directive, without a ``-`` or ``+`` prefix.

    Raises InexpressiblePath for a path that is relative, holds a newline, CR, NUL, ``..`` or what is not UTF-8, or is
    too long, and for directives that take no quoted words (RootDirectory= and its like need another encoding).
    """
    if directive not in WORD_DIRECTIVES and directive not in TWICE_UNESCAPED:
        raise InexpressiblePath(path, directive, "this directive takes no quoted words")
    if reason := inexpressible_because(path):
        raise InexpressiblePath(path, directive, reason)
    if _BARE.fullmatch(path):
        return path
    escaped = path.replace("%", "%%").replace("\\", "\\\\").replace(":", "\\:")
    if directive in TWICE_UNESCAPED:
        escaped = escaped.replace("\\", "\\\\")
    # Only single quotes carry a double quote on every version: 262 keeps backslashes in its first pass over BindPaths=.
    return "".join(f"'{run}'" if run.startswith('"') else f'"{run}"' for run in _RUNS.findall(escaped))


def split_words(value: str, *, separators: str = WHITESPACE, keep_empty: bool = False) -> tuple[str, ...]:
    """Split a value as systemd's ``extract_first_word(EXTRACT_UNQUOTE)`` does.

    Quotes work anywhere in a word, a backslash makes the next character literal, and there are no C escapes.
    ``keep_empty`` is systemd's EXTRACT_DONT_COALESCE_SEPARATORS: each separator ends a word, also an empty one.
    Raises MalformedWords at an unbalanced quote or a backslash at the end.
    """
    words: list[str] = []
    position = 0
    while position < len(value):
        if value[position] in separators and not keep_empty:
            position += 1
            continue
        word, position = _first_word(value, position, separators, tuple(words))
        words.append(word)
    return tuple(words)


def _first_word(value: str, position: int, separators: str, before: tuple[str, ...]) -> tuple[str, int]:
    """Return the word that starts at ``position`` and the position behind the separator that ends it."""
    word: list[str] = []
    quote = ""
    while position < len(value):
        character = value[position]
        position += 1
        if character == "\\":
            if position == len(value):
                raise MalformedWords("backslash at the end of the value", before)
            word.append(value[position])
            position += 1
        elif quote:
            if character == quote:
                quote = ""
            else:
                word.append(character)
        elif character in "\"'":
            quote = character
        elif character in separators:
            return "".join(word), position
        else:
            word.append(character)
    if quote:
        raise MalformedWords(f"unbalanced quote {quote}", before)
    return "".join(word), position


def simplify(path: str) -> str:
    """Return an absolute path without ``.``, doubled and trailing slashes (``path_simplify`` of systemd)."""
    return "/" + "/".join(component for component in path.split("/") if component not in {"", "."})


class UnknownSpecifier(ValueError):
    """A ``%`` specifier that systemd does not have, or whose value is not known here."""


def expand_specifiers(text: str, specifiers: Mapping[str, str]) -> str:
    """Replace ``%%`` and the given specifiers (systemd.unit(5), "Specifiers").

    Raises UnknownSpecifier for a letter or digit that is not given. In front of anything else, and at the end, ``%``
    stays (``specifier_printf`` in ``src/shared/specifier.c``).
    """

    def replacement(match: re.Match[str]) -> str:
        letter = match[1]
        if letter == "%":
            return "%"
        if letter in specifiers:
            return specifiers[letter]
        raise UnknownSpecifier(f"the specifier %{letter} is not known here")

    return re.sub(r"%([A-Za-z0-9%])", replacement, text)


def system_specifiers(unit: str) -> dict[str, str]:
    """Return the specifiers of the system manager that follow from the unit's name alone (systemd.unit(5))."""
    prefix, _, instance = unit.rpartition(".")[0].partition("@")
    directories = {"S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "t": "/run"}
    temporary = {"T": "/tmp", "V": "/var/tmp"}
    manager = {"u": "root", "U": "0", "g": "root", "G": "0", "h": "/root"}
    last = prefix.rpartition("-")[2]
    names = {"n": unit, "N": unit.rpartition(".")[0], "p": prefix, "P": unescaped(prefix), "i": instance}
    names |= {"I": unescaped(instance), "j": last, "J": unescaped(last)}
    names["f"] = "/" + unescaped(instance or prefix).removeprefix("/")
    return {**directories, **temporary, **manager, **names}


def unescaped(name: str) -> str:
    """Return what a part of a unit's name stands for: a dash is a slash, ``\\xNN`` a byte (``unit_name_unescape``)."""
    text = name.replace("-", "/").encode("utf-8", "surrogateescape")
    return re.sub(rb"\\x([0-9a-fA-F]{2})", lambda match: bytes([int(match[1], 16)]), text).decode(
        "utf-8", "surrogateescape"
    )
