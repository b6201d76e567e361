"""The syntax of unit files: examples, round trips, and the systemd installed here as the judge."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.unit_file import (
    LINE_LIMIT,
    Assignment,
    UnitFile,
    Unwritable,
    assignment_line,
    comment_line,
    parse,
)
from tests import systemd_reading
from tests.requirements import require

KNOWN_SECTIONS = {"Unit", "Service", "Install"}


def settings_of(text: bytes) -> list[tuple[str, str, str, int]]:
    return [(one.section, one.name, one.value, one.line) for one in parse(text).assignments_in_order]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[Service]\nA=1\nA=\nA=2\n", [("A", "1", 2), ("A", "", 3), ("A", "2", 4)]),
        (b"[Service]\n A \t=\t 1 \n", [("A", "1", 2)]),
        (b"[Service]\nA=1 \\\n  2\n", [("A", "1    2", 3)]),
        (b"[Service]\nA=1\\\n# not part\n ; nor this\n2\nB=3", [("A", "1 2", 5), ("B", "3", 6)]),
        (b"[Service]\nA=1\\\\\nB=2\n", [("A", "1\\\\", 2), ("B", "2", 3)]),
        (b"[Service]\nA=1\\\nB=2\n", [("A", "1 B=2", 3)]),
        (b"[Service]\nA=1 # no comment\n", [("A", "1 # no comment", 2)]),
        (b"[Service]\r\nA=1\rB=2\0C=3\n\0D=4", [("A", "1", 2), ("B", "2", 3), ("C", "3", 4), ("D", "4", 5)]),
        (b"\xef\xbb\xbf[Service]\nA=x=y\n", [("A", "x=y", 2)]),
        (b"[Service]\nA=\x0b1\x0c\n", [("A", "\x0b1\x0c", 2)]),
        (b"[Service]\nA=1\\", [("A", "1", 3)]),
    ],
)
def test_reads_like_systemd(text: bytes, expected: list[tuple[str, str, int]]) -> None:
    assert settings_of(text) == [("Service", *one) for one in expected]


def test_assignments_of_one_section_keep_their_order() -> None:
    unit = parse(b"[Unit]\nA=1\n[Service]\nB=2\n[Unit]\nC=3\n[Service]\nB=\n")
    assert unit.assignments("Service") == (Assignment("Service", "B", "2", 4), Assignment("Service", "B", "", 8))
    assert [section.name for section in unit.sections] == ["Unit", "Service", "Unit", "Service"]


@pytest.mark.parametrize(
    ("text", "line", "words", "stops"),
    [
        (b"A=1\n[Service]\n", 1, "outside of any section", False),
        (b"[Service]\n\nprivate\n", 3, "no '='", False),
        (b"[Service]\n=1\n", 2, "no name", False),
        (b"[Service]\nA=\xff\n", 2, "UTF-8", True),
        (b"[Service]\nA=\xef\xbf\xbe\n", 2, "UTF-8", True),
        (b"[Service]\nA=\xed\xa0\x80\n", 2, "UTF-8", True),
        (b"[Service]\n[Unit\n", 2, "closing bracket", True),
        (b"[Service]\n[Un'it]\n", 2, "bad characters", True),
        (b"[Service]\n" + b"A" * LINE_LIMIT, 2, "1 MiB", True),
        (b"[Service]\n" + (b"A" * (LINE_LIMIT // 2) + b"\\\n") * 3, 3, "1 MiB", True),
        (b"[Service]\n" + (b"A" * (LINE_LIMIT // 3) + b"\\\n") * 5, 4, "1 MiB", True),
    ],
)
def test_problems_carry_their_line(text: bytes, line: int, words: str, stops: bool) -> None:
    unit = parse(text + b"\nAfter=x\n")
    assert [(problem.line, problem.stops) for problem in unit.problems][:1] == [(line, stops)]
    assert words in unit.problems[0].message
    assert ("After" in {one.name for one in unit.assignments_in_order}) is not stops


def test_comments_are_kept_with_their_lines() -> None:
    comments = parse(b"# one\n[Service]\n ;two\n#\xff\n").comments
    assert [(comment.text, comment.line) for comment in comments] == [(" one", 1), ("two", 3), ("\udcff", 4)]


names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)


@given(st.lists(st.tuples(names, st.text(max_size=30)), max_size=8))
def test_what_can_be_written_reads_back(pairs: list[tuple[str, str]]) -> None:
    lines: list[str] = []
    written: list[tuple[str, str]] = []
    for name, value in pairs:
        try:
            lines.append(assignment_line(name, value))
        except Unwritable:
            continue
        written.append((name, value))
    unit = parse("\n".join(["[Service]", *lines, ""]).encode())
    assert [(one.name, one.value) for one in unit.assignments("Service")] == written
    assert not unit.problems


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("A", "x\ny"),
        ("A", "x\r"),
        ("A", "\0"),
        ("A", "x\\"),
        ("A", "x\\\\\\"),
        ("A", " x"),
        ("A", "\udcff"),
        ("A", "\ufffe"),
        ("A", "x" * LINE_LIMIT),
        ("", "x"),
        ("A B", "x"),
        ("#A", "x"),
        ("[A", "x"),
        ("A\nB", "x"),
    ],
)
def test_refuses_what_would_be_read_differently(name: str, value: str) -> None:
    with pytest.raises(Unwritable):
        assignment_line(name, value)


@given(st.text(alphabet=st.characters(), max_size=60))
def test_a_comment_is_one_comment_whatever_it_says(text: str) -> None:
    unit = parse(f"[Service]\n{comment_line(text)}\nA=1\n".encode())
    assert len(unit.comments) == 1
    assert [(one.name, one.line) for one in unit.assignments_in_order] == [("A", 3)]
    assert not unit.problems


def test_a_comment_shows_no_escape_to_the_terminal() -> None:
    assert comment_line("a\x1b[31m\n\u202eb\udcff\\") == "# a\\x1b[31m\\n\\u202eb\\xff\\"


@given(st.text(alphabet=st.characters()) | st.just("x\ny" * 2000))
def test_a_comment_that_was_read_is_written_as_it_was(text: str) -> None:
    line = comment_line(text)
    assert comment_line(parse(line.encode()).comments[0].text.removeprefix(" ")) == line
    assert len(line) < 2100


TOKENS = [
    *(b"Description=", b"Description", b"a", b"key=b", b"X-k=v", b"=", b" ", b"\t", b"\x0b", b"\\", b'"', b"'", b"c"),
    *(b"\n", b"\n", b"\n", b"\r", b"\0", b"#", b";", b"[Unit]\n", b"[Service]\n", b"[Install]\n", b"[", b"]"),
    *("ä".encode(), b"\xff", b"\xef\xbb\xbf", b"\xef\xbf\xbf", b"\xef\xb7\x90", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
]


def hostile_file(random: Random) -> bytes:
    return b"".join(random.choices(TOKENS, k=random.randrange(40)))


def expected_complaints(ours: UnitFile) -> list[int]:
    """The lines that systemd has to complain about: our problems, unknown keys and unknown sections."""
    ignored = [section for section in ours.sections if section.name not in KNOWN_SECTIONS]

    def is_ignored(line: int) -> bool:
        return next((one for one in reversed(ours.sections) if one.line < line), None) in ignored

    problems = [one.line for one in ours.problems if one.stops or not is_ignored(one.line)]
    sections = [one.line for one in ignored if not one.name.startswith("X-")]
    keys = [
        one.line
        for one in ours.assignments_in_order
        if one.section in KNOWN_SECTIONS
        and not one.name.startswith("X-")
        and (one.section, one.name) not in {("Unit", "Description"), ("Unit", "DefaultDependencies")}
    ]
    return sorted(problems + sections + keys)


@pytest.mark.parametrize("seed", range(10))
def test_systemd_reads_the_same(seed: int) -> None:
    require(systemd_reading.program() is not None, "systemd is not installed: the parser has no judge")
    random = Random(seed)
    units = {f"u{number}.service": systemd_reading.UNIT_HEAD.encode() + hostile_file(random) for number in range(300)}
    for name, reading in systemd_reading.read(units).items():
        ours = parse(units[name])
        stopped = any(problem.stops for problem in ours.problems)
        assert (reading.field("Unit Load State") == "error") == stopped, units[name]
        described = [one.value for one in ours.assignments("Unit") if one.name == "Description"]
        if not stopped:
            assert reading.field("Description") == ((described or [""])[-1] or name), units[name]
        assert sorted(line for line, _ in reading.complaints) == expected_complaints(ours), units[name]


@pytest.mark.parametrize("above", [0, 1])
@pytest.mark.parametrize("continued", [False, True])
def test_systemd_has_the_same_line_limit(above: int, continued: bool) -> None:
    require(systemd_reading.program() is not None, "systemd is not installed: the parser has no judge")
    start = b"X-A=" + b"y" * (LINE_LIMIT // 2) + b" "
    longest = LINE_LIMIT if continued else LINE_LIMIT - 1  # systemd compares with ">" after joining, else with ">="
    rest = b"z" * (longest + above - len(start))
    line = start[:-1] + b"\\\n" + rest if continued else start + rest
    text = systemd_reading.UNIT_HEAD.encode() + line + b"\nDescription=read\n"
    reading = systemd_reading.read({"u.service": text})["u.service"]
    assert (reading.field("Unit Load State") == "error") == bool(above)
    assert bool(parse(text).problems) == bool(above)
