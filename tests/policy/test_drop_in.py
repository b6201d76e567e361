"""Drop-ins: what is rendered reads back, ours is told from others', and what is malformed is refused with its line."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from policy.drop_in import DropIn, DropInError, Setting, parse
from policy.path_encoding import encode_path
from policy.unit_file import Unwritable
from tests import systemd_reading
from tests.requirements import require
from tests.strategies import raw_texts

BY_HAND = """\
# a generic guide
[Unit]
After=x
[Service]
ProtectSystem=strict

; logs
# and state
ReadWritePaths=/var/log/nginx \\
  /var/lib/nginx
ReadWritePaths=
X-Mine=1
"""

settings_of_systemd = st.builds(
    Setting,
    st.sampled_from(["ProtectSystem", "ReadWritePaths", "SystemCallFilter", "PrivateTmp"]),
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\"'%\\#;=[]"), max_size=12),
    st.lists(raw_texts, max_size=2).map(tuple),
)
drop_ins = st.builds(
    DropIn,
    st.lists(settings_of_systemd, max_size=6).map(tuple),
    st.lists(raw_texts, max_size=3).map(tuple),
    st.sampled_from(["0.1.0", "1.2~rc3", "", "x y\n[Service]"]),
)


def rendered(drop_in: DropIn) -> str:
    try:
        return drop_in.render()
    except Unwritable:
        assume(False)
        raise


@given(drop_ins)
def test_what_is_rendered_reads_back(drop_in: DropIn) -> None:
    text = rendered(drop_in)
    read = parse(text, "x.conf")
    assert read.assignments == drop_in.assignments
    assert [len(setting.comments) for setting in read.settings] == [len(one.comments) for one in drop_in.settings]
    assert len(read.header) == len(drop_in.header)
    assert read.digest_matches() is True
    assert read.render() == text
    assert parse(text.encode()) == read
    assert not read.problems
    assert not read.elsewhere


def test_the_text_is_as_documented() -> None:
    drop_in = DropIn(
        (
            Setting("ProtectSystem", "strict"),
            Setting("ReadWritePaths", ""),
            Setting("ReadWritePaths", encode_path("/a b", "ReadWritePaths"), ("nginx: openat /a\nb",)),
        ),
        ("for nginx.service",),
        "0.1.0",
    )
    first, _, body = drop_in.render().partition("\n")
    assert first.startswith("# unit-tailor 0.1.0 sha256:")
    assert body == (
        "# for nginx.service\n\n[Service]\nProtectSystem=strict\nReadWritePaths=\n"
        '# nginx: openat /a\\nb\nReadWritePaths="/a b"\n'
    )


@given(drop_ins, st.data())
def test_any_change_of_the_body_shows(drop_in: DropIn, data: st.DataObject) -> None:
    first, _, body = rendered(drop_in).partition("\n")
    place = data.draw(st.integers(0, len(body) - 1))
    change = data.draw(st.sampled_from(["", "x", "\n", "#", body[place] * 2]))
    changed = body[:place] + change + body[place + 1 :]
    assume(changed != body)
    try:
        read = parse(f"{first}\n{changed}")
    except DropInError:
        return
    assert read.digest_matches() is False


def test_every_lost_tail_shows() -> None:
    text = DropIn((Setting("PrivateTmp", "yes"), Setting("ReadWritePaths", "/var/lib/a")), ("why",), "1").render()
    for length in range(len(text)):
        try:
            assert parse(text[:length]).digest_matches() is not True
        except DropInError:
            continue


def test_reads_what_people_write() -> None:
    read = parse(BY_HAND)
    assert read.assignments == (
        ("ProtectSystem", "strict"),
        ("ReadWritePaths", "/var/log/nginx    /var/lib/nginx"),
        ("ReadWritePaths", ""),
        ("X-Mine", "1"),
    )
    assert [setting.line for setting in read.settings] == [5, 10, 11, 12]
    assert read.settings[1].comments == ("logs", "and state")
    assert [one.name for one in read.elsewhere] == ["After"]
    assert read.header == ("a generic guide",)
    assert read.digest_matches() is None
    assert read.tool_version == "unknown"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"", 1, "no [Service] section"),
        (b"# only a comment\n", 1, "no [Service] section"),
        (b"\n\n[Unit]\nA=1\n", 1, "no [Service] section"),
        (b"\nPrivateTmp=yes\n[Service]\n", 2, "outside of any section"),
        (b"[Service]\nPrivateTmp\n", 2, "no '='"),
        (b"[Service]\n=yes\n", 2, "no name"),
        (b"[Service]\n\nReadWritePaths=/\xff\n", 3, "UTF-8"),
        (b"[Service]\nA=1\r\n", 2, "carriage return"),
        (b"[Service]\r\nA=1\r\n", 1, "carriage return"),
        (b"[Service]\nA=1\nB=\0\n", 3, "NUL"),
        (b"\0" * 512, 1, "NUL"),
        (b"[Service\nA=1\n", 1, "closing bracket"),
        (b"[Service]\nA=" + b"x" * 2**20 + b"\n", 2, "1 MiB"),
    ],
)
def test_refuses_what_is_malformed(text: bytes, line: int, words: str) -> None:
    with pytest.raises(DropInError) as error:
        parse(text, "nginx.conf")
    assert error.value.line == line
    assert words in error.value.message
    assert str(error.value).startswith(f"nginx.conf:{line}: ")


@given(st.binary(max_size=60) | st.text(max_size=60) | st.lists(st.sampled_from(BY_HAND), max_size=60).map("".join))
def test_never_fails_otherwise(text: bytes | str) -> None:
    try:
        parse(text).render()
    except DropInError as error:
        assert error.line >= 1
    except Unwritable as error:
        assert "directive" in str(error)


def test_unknown_sections_and_settings_are_listed() -> None:
    read = parse("[Service]\nPrivateTmp=yes\nPrivateTemp=yes\nX-A=1\n[Servcie]\nA=1\n[X-Y]\nB=1\n[Install]\n")
    assert [problem.line for problem in read.problems] == [5]
    assert "[Servcie]" in read.problems[0].message
    assert [problem.line for problem in read.unknown_settings(frozenset({"PrivateTmp"}))] == [3]


@given(st.lists(st.tuples(raw_texts, raw_texts), min_size=1, max_size=5))
def test_comments_cannot_inject_settings(reasons: list[tuple[str, str]]) -> None:
    settings = tuple(Setting("PrivateTmp", "yes", pair) for pair in reasons)
    assert parse(DropIn(settings, reasons[0]).render()).assignments == (("PrivateTmp", "yes"),) * len(reasons)


def test_the_value_of_a_setting_cannot_inject_settings() -> None:
    for value in ("yes\nExecStart=/bin/sh", "yes\r", "yes\\", "\0"):
        with pytest.raises(Unwritable):
            DropIn((Setting("PrivateTmp", value),)).render()


def test_systemd_reads_our_text_without_complaint() -> None:
    require(systemd_reading.program() is not None, "systemd is not installed: the renderer has no judge")
    hostile = "a\nPrivateTmp=no\x00\udcff\\"
    settings = (
        Setting("PrivateTmp", "yes", (hostile,)),
        Setting("ReadWritePaths", encode_path("/a '%n\\", "ReadWritePaths"), (hostile, "")),
        Setting("ProtectSystem", "strict", ("\\",)),
    )
    text = systemd_reading.UNIT_HEAD + DropIn(settings, (hostile,), "0.1.0").render() + "ExecStart=/bin/true\n"
    reading = systemd_reading.read({"u.service": text.encode()})["u.service"]
    assert reading.complaints == ()
    assert reading.field("PrivateTmp") in {"yes", "connected", "disconnected"}  # 257 and 262
    assert reading.field("ReadWritePaths") == "/a '%n\\"
    assert reading.field("ProtectSystem") == "strict"


def test_equality_is_about_what_is_written() -> None:
    drop_in = DropIn((Setting("PrivateTmp", "yes"),), ("why",), "1")
    assert parse(drop_in.render()) == drop_in
    assert dataclasses.replace(drop_in, tool_version="2") != drop_in


def test_many_settings_and_many_continued_lines() -> None:
    many = parse("[Service]\n" + "# why\nReadWritePaths=/a\n" * 20_000)
    assert len(many.settings) == 20_000
    assert all(setting.comments == ("why",) for setting in many.settings)
    long = parse("[Service]\nReadWritePaths=" + " /\\\n" * 200_000 + "/\n")
    assert len(long.settings[0].value) >= 600_000
