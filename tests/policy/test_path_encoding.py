"""Paths in unit files: the encoder against the decoder, and both against the systemd installed here."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.path_encoding import (
    WORD_DIRECTIVES,
    InexpressiblePath,
    MalformedWords,
    encode_path,
    expand_specifiers,
    inexpressible_because,
    split_words,
    system_specifiers,
)
from policy.path_entry import entries_of
from policy.unit_file import assignment_line, parse
from tests import systemd_reading
from tests.requirements import require

LISTS = ("ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths")
BINDS = ("BindPaths", "BindReadOnlyPaths")
SPECIAL = "\"'\\%: \t=#;$-+~!@,[]{}*?|&<>`^()\x01\x07\x0b\x0c\x1b\x7f\x85\u2028\u202e\ufeffä字😀xX0nu"


@pytest.mark.parametrize(
    ("path", "directive", "expected"),
    [
        ("/var/lib/nginx", "ReadWritePaths", "/var/lib/nginx"),
        ("/a b", "ReadWritePaths", '"/a b"'),
        ("/100%", "ReadWritePaths", '"/100%%"'),
        ("/m\"n'o:p", "BindPaths", '"/m"\'"\'"n\'o\\:p"'),
        ("/a:b\\c", "TemporaryFileSystem", '"/a\\\\:b\\\\\\\\c"'),
        ("/x%n", "DeviceAllow", '"/x%%n"'),
    ],
)
def test_writes(path: str, directive: str, expected: str) -> None:
    assert encode_path(path, directive) == expected


@pytest.mark.parametrize(
    ("path", "directive", "reason"),
    [
        ("", "ReadWritePaths", "not absolute"),
        ("var", "ReadWritePaths", "not absolute"),
        ("/a\nb", "ReadWritePaths", "newline"),
        ("/a\rb", "ReadWritePaths", "carriage return"),
        ("/a\0b", "ReadWritePaths", "NUL"),
        ("/a\udcffb", "ReadWritePaths", "UTF-8"),
        ("/a\ufffe", "ReadWritePaths", "UTF-8"),
        ("/a\U0001ffff", "ReadWritePaths", "UTF-8"),
        ("/a\ufdd0", "ReadWritePaths", "UTF-8"),
        ("/a/../b", "ReadWritePaths", '".."'),
        ("/" + "ä" * 128, "ReadWritePaths", "255 bytes"),
        ("/" + "a/" * 2047 + "bc", "ReadWritePaths", "4095 bytes"),
        ("/a", "RootDirectory", "no quoted words"),
        ("/a", "WorkingDirectory", "no quoted words"),
    ],
)
def test_refuses(path: str, directive: str, reason: str) -> None:
    with pytest.raises(InexpressiblePath, match="cannot be written") as refusal:
        encode_path(path, directive)
    assert reason in refusal.value.reason
    assert refusal.value.path == path
    assert str(refusal.value).isascii()


def test_takes_the_longest() -> None:
    path = "/" + "/".join(["a" * 255] * 15 + ["b" * 255])
    assert len(path) == 4096
    assert split_words(encode_path(path[:-1], "ExecPaths")) == (path[:-1],)


@given(st.lists(st.text(alphabet=st.characters() | st.sampled_from(SPECIAL), max_size=12), min_size=1, max_size=5))
def test_what_is_written_reads_back(components: list[str]) -> None:
    path = "/" + "/".join(component.replace("/", "").strip(".") or "x" for component in components)
    if inexpressible_because(path):
        with pytest.raises(InexpressiblePath):
            encode_path(path, "ReadWritePaths")
        return
    for directive in sorted(WORD_DIRECTIVES):
        value = encode_path(path, directive)
        line = assignment_line(directive, f"-{value} {value}")
        (read,) = parse(f"[Service]\n{line}\n".encode()).assignments("Service")
        optional, needed = (entry.place({}, 252) for entry in entries_of(read.value))
        assert optional == needed == path


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", ()),
        ("  ", ()),
        ('""', ("",)),
        ("a\tb  c ", ("a", "b", "c")),
        ("a'b c'd", ("ab cd",)),
        (r"\n\x20 \ a", ("nx20", " a")),
        ("a\x0bb", ("a\x0bb",)),
        (r'"a\"b"', ('a"b',)),
    ],
)
def test_splits(value: str, words: tuple[str, ...]) -> None:
    assert split_words(value) == words


def test_splits_at_other_separators() -> None:
    assert split_words(r"a::b\:c:", separators=":", keep_empty=True) == ("a", "", "b:c")


@pytest.mark.parametrize("value", ["/a '/b c", '/a "', "/a \\", '/a "b\\'])
def test_keeps_the_words_in_front_of_a_fault(value: str) -> None:
    with pytest.raises(MalformedWords) as fault:
        split_words(value)
    assert fault.value.words == ("/a",)


def test_specifiers() -> None:
    assert expand_specifiers("%p-%i %%i %", system_specifiers("foo@bar.service")) == "foo-bar %i %"


def random_path(random: Random) -> str:
    """An expressible, normalised path made of what is special to systemd, and of anything else."""
    while True:
        parts = []
        for _ in range(random.randrange(1, 5)):
            letters = random.choices(SPECIAL, k=random.randrange(1, 14))
            if random.random() < 0.3:
                letters.append(chr(random.randrange(1, 0x2FFFF)))
            random.shuffle(letters)
            parts.append("".join(letters).replace("/", ""))
        path = "/" + "/".join(parts)
        if not inexpressible_because(path) and all(part not in {"", "."} for part in parts):
            return path


def unit_with(lines: list[str]) -> bytes:
    return "\n".join([systemd_reading.UNIT_HEAD, "[Service]", "ExecStart=/bin/true", *lines, ""]).encode()


@pytest.mark.parametrize("directive", [*LISTS, *BINDS, "TemporaryFileSystem", "DeviceAllow"])
def test_systemd_reads_ten_thousand_hostile_paths_back(directive: str) -> None:
    require(systemd_reading.program() is not None, "systemd is not installed: the encoder has no judge")
    random = Random(directive)
    everything = [chr(number) for number in range(1, 128) if chr(number) not in "\n\r/"]
    paths = [f"/{place}" for one in everything for place in (f"{one}a", f"a{one}a", f"a{one}") if place not in {"."}]
    paths += [random_path(random) for _ in range(10_000 - len(paths))]
    if directive == "DeviceAllow":
        paths = [f"/dev{path}" for path in paths]
    paths = list(dict.fromkeys(paths))
    chunks = [paths[start : start + 50] for start in range(0, len(paths), 50)]
    units = {
        f"u{number}.service": unit_with([assignment_line(directive, encode_path(path, directive)) for path in chunk])
        for number, chunk in enumerate(chunks)
    }
    read = systemd_reading.read(units)
    for number, chunk in enumerate(chunks):
        reading = read[f"u{number}.service"]
        assert not reading.complaints
        entries = [shown(directive, path) for path in chunk]
        if directive == "DeviceAllow":
            entries.reverse()  # systemd puts each new rule in front
        assert reading.lines[directive] == ([" ".join(entries)] if directive in LISTS else entries)


def shown(directive: str, path: str) -> str:
    """How the dump of systemd 252 shows one entry (``exec_context_dump``)."""
    if directive in BINDS:
        return f"{path}:{path}:rbind"
    return f"{path} rwm" if directive == "DeviceAllow" else path


@pytest.mark.parametrize("prefix", ["-", "+", "-+"])
def test_systemd_reads_prefixes_in_front_of_hostile_paths(prefix: str) -> None:
    require(systemd_reading.program() is not None, "systemd is not installed: the encoder has no judge")
    random = Random(prefix)
    paths = [random_path(random) for _ in range(500)]
    lines = [assignment_line("ReadWritePaths", prefix + encode_path(path, "ReadWritePaths")) for path in paths]
    reading = systemd_reading.read({"u.service": unit_with(lines)})["u.service"]
    assert not reading.complaints
    assert reading.field("ReadWritePaths") == " ".join(prefix + path for path in paths)
