"""The page: well-formed, complete in itself, and harmless whatever the service calls its files."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser

from hypothesis import given, settings

from policy.report.model import Report
from policy.service_profile import Profile
from profiler.report.page import page
from profiler.terminal import printable
from tests.policy.report.test_build import reported, web
from tests.profiler.report.hostile import NAMES, SCRIPT, hostile_report
from tests.strategies import profiles

VOID = frozenset({"meta", "link", "path", "line", "img", "br"})
ELEMENTS = """
    html head meta link title style body header footer main nav section p h1 h2 h3 a b i em strong span div ul li code
    details summary table thead tbody tr th td figure figcaption svg path line
"""
KNOWN = frozenset(ELEMENTS.split())
INVISIBLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


class Reader(HTMLParser):
    """Collects elements, attributes and text; complains about anything that is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)


@cache
def hostile_page() -> str:
    return page(hostile_report())


def check_harmless(text: str) -> Reader:
    assert not INVISIBLE.search(text)
    reader = Reader(text)
    assert reader.elements <= KNOWN
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name == "src"]
    assert {value for name, value in reader.attributes if name == "href" and not value.startswith("#")} == {"data:,"}
    return reader


def test_a_hostile_service_cannot_put_anything_into_the_page() -> None:
    reader = check_harmless(hostile_page())
    assert "script" not in reader.elements
    shown = "".join(reader.text)
    assert SCRIPT in shown  # as text, to be read
    for escaped in (r"\u202egnp.exe\u2066", r"line\nbreak\r\tand \x1b]0;title\x07 bell", r"\xff\x80", r"\ud800 lone"):
        assert escaped in shown
    assert "{{ 7 * 7 }}" in shown
    assert "&lt;already&amp;escaped&#39;" in shown


def test_every_hostile_name_is_in_the_page_somewhere() -> None:
    shown = "".join(Reader(hostile_page()).text)
    for name in NAMES:
        assert printable(f"/{name}") in shown


@settings(max_examples=25, deadline=None)
@given(profiles())
def test_any_profile_gives_a_harmless_page(profile: Profile) -> None:
    check_harmless(page(reported(profile)))


def test_nothing_is_loaded_from_anywhere() -> None:
    text = hostile_page()
    assert "default-src 'none'" in text
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def sections(found: Report) -> list[str]:
    return re.findall(r'<section id="([a-z-]+)">', page(found))


def test_the_page_has_all_sections_and_links_to_each() -> None:
    text = page(web())
    linked = re.findall(r'href="#([a-z-]+)"', text)
    assert linked == sections(web())
    assert linked[:8] == ["open", "drop-in", "paths", "calls", "capabilities", "sockets", "processes", "recording"]


def test_what_does_not_fit_comes_first() -> None:
    assert sections(hostile_report())[0] == "blocked"
    assert "does not fit" in hostile_page()


def test_the_same_report_gives_the_same_page() -> None:
    assert page(web()) == page(web())
