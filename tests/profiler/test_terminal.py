"""Names chosen by the service under study must do nothing to the terminal that shows them."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.terminal import Style, colour_wanted, printable, styled


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@given(st.binary(max_size=60))
def test_whatever_bytes_a_name_has_it_is_shown_in_one_harmless_line(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    assert shown.isprintable()
    shown.encode("utf-8")  # no lone surrogates left


@given(st.text(max_size=60))
def test_whatever_text_is_shown_only_what_is_unsafe_changes(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    for character in text:
        if character.isprintable():
            assert character in shown


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\x9b2J", r"\x9b2J"),  # the one-byte CSI of ISO 6429
        ("gnp.\u202etxt", r"gnp.\u202etxt"),  # RIGHT-TO-LEFT OVERRIDE
        ("a\u2066b\u2069", r"a\u2066b\u2069"),
        ("a\u200bb\u2028c\ufeff", r"a\u200bb\u2028c\ufeff"),
        ("a\u00a0b", r"a\xa0b"),
        ("a\x00b\x7f", r"a\x00b\x7f"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),  # an invisible tag character
        (r"dev-disk-by\x2duuid.service", r"dev-disk-by\x2duuid.service"),
        ("naïve/日本語", "naïve/日本語"),
    ],
)
def test_known_tricks(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


@pytest.mark.parametrize(
    ("environment", "terminal", "wanted"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1", "SYSTEMD_COLORS": "256"}, False, True),
        ({"TERM": "xterm", "SYSTEMD_COLORS": "0"}, True, False),
        ({"TERM": "xterm", "SYSTEMD_COLORS": "false"}, True, False),
    ],
)
def test_who_decides_about_colour(
    environment: dict[str, str], terminal: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR", "SYSTEMD_COLORS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if terminal else io.StringIO()
    assert colour_wanted(stream) is wanted
    assert styled("x", Style.RED, stream) == ("\x1b[31mx\x1b[0m" if wanted else "x")
