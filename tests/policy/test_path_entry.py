"""Path lists of unit files are read as systemd reads them: prefixes, specifiers, faults, versions."""

from __future__ import annotations

from random import Random

import pytest

from policy.path_encoding import MalformedWords, split_words, system_specifiers
from policy.path_entry import PathEntry, entries_of, entry_of, words, written
from profiler.host import parse_version
from profiler.machine import Host
from tests import systemd_reading
from tests.requirements import require

SPECIFIERS = system_specifiers("foo@bar.service")
PIECES = ("/a", "/b", "-", "+", '"', "'", "\\", " ", "\t", ":", "..", ".", "/", "%%", "%", "%S", "%z", "%-", "x", "字")


def places(value: str, version: int) -> list[str]:
    """Return what this version of systemd makes of a line, with the prefixes, as its dump shows it."""
    return [
        f"{'-' * entry.ignore_missing}{'+' * entry.beneath_root}{place}"
        for entry in entries_of(value, version)
        if (place := entry.place(SPECIFIERS, version))
    ]


def test_prefixes_and_specifiers() -> None:
    read = places("-/a '+/b' -+/c/./d// +-/e rel %S/x %b/y /%-z /100%%", 252)
    assert read == ["-/a", "+/b", "-+/c/d", "/var/lib/x", "/%-z", "/100%"]


@pytest.mark.parametrize("value", ["/a '/b c", '/a "', "/a \\", '/a "b\\'])
def test_the_words_in_front_of_a_fault_are_kept(value: str) -> None:
    assert words(value) == ("/a",)


@pytest.mark.parametrize(("version", "place"), [(252, ""), (257, "/a"), (262, "/a")])
def test_newer_versions_know_that_the_root_has_no_parent(version: int, place: str) -> None:
    for path in ("/../a", "//.././../a/."):
        entry = entry_of(path, version)
        assert (entry.place({}, version) if entry is not None else "") == place
    assert PathEntry("%S/../a").place(SPECIFIERS, version) == ""
    assert entry_of("/a/..", version) is entry_of("-+", version) is entry_of("../a", version) is None
    assert entry_of("/..a", version) == PathEntry("/..a")


@pytest.mark.parametrize("text", ["/a", "-+/a b", '"/100%%"', "%S/x", "-%h/a%%b"])
def test_what_is_read_is_written(text: str) -> None:
    (entry,) = entries_of(text)
    (again,) = entries_of(written(entry, "ReadWritePaths"))
    assert again == entry


def _faults(value: str) -> int:
    try:
        split_words(value)
    except MalformedWords:
        return 1
    return 0


def test_systemd_reads_malformed_lists_the_same() -> None:
    require(systemd_reading.program() is not None, "systemd is not installed: the decoder has no judge")
    version = parse_version(Host().run(["systemctl", "--version"]).stdout)
    random = Random(1)
    values: list[str] = []
    while len(values) < 3000:
        value = "".join(random.choices(PIECES, k=random.randrange(1, 14))).strip()
        if value and not value.endswith("\\"):
            values.append(value)
    head = f"{systemd_reading.UNIT_HEAD}[Service]\nExecStart=/bin/true\n"
    units = {f"foo@{number}.service": f"{head}ReadWritePaths={value}\n".encode() for number, value in enumerate(values)}
    for value, reading in zip(values, systemd_reading.read(units).values(), strict=True):
        ours = places(value, version)
        assert reading.field("ReadWritePaths") == " ".join(ours), value
        assert len(reading.complaints) == len(words(value)) - len(ours) + _faults(value), value
