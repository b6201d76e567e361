"""The page in a real browser: it opens quickly, asks for nothing, complains about nothing, and fits every width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.report.build import report
from profiler.generation import generate
from profiler.host import read_host_facts
from profiler.machine import Host
from profiler.report.page import page
from tests.chromium import Chromium, chromium
from tests.profiler.report.hostile import hostile_report
from tests.system.daemons import record_daemon
from tests.twin_fixtures import require_twin

pytestmark = pytest.mark.long

LARGEST = 2 * 1024 * 1024
"""Bytes that the page of a large service may have."""

WIDTHS = (320, 390, 820, 1280)
OPEN_ALL = "document.querySelectorAll('details').forEach(one => one.open = true)"
TOO_WIDE = (
    "[...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1).length"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a large daemon, recorded here, and the page that a hostile service would like to take over."""
    require_twin()
    folder = tmp_path_factory.mktemp("pages")
    profile, host = record_daemon("postgresql"), read_host_facts(Host())
    generated = generate(profile, host)
    found = report(profile, generated.decision, generated.drop_in, "it", generated=True)
    texts = {"large": page(found), "hostile": page(hostile_report())}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("name", ["large", "hostile"])
def test_it_opens_alone_and_in_silence(browser: Chromium, pages: dict[str, Path], name: str) -> None:
    opened = [browser.open(pages[name]) for _ in range(3)]
    size = pages[name].stat().st_size
    print(f"{name}: {size} bytes, opened in {min(one.seconds for one in opened):.2f} s")
    assert size <= LARGEST
    assert [one.requests for one in opened] == [[], [], []]
    assert [one.complaints for one in opened] == [[], [], []]
    assert browser.evaluate("document.scripts.length + document.images.length") == 0


@pytest.mark.parametrize("name", ["large", "hostile"])
def test_nothing_sticks_out_at_any_width(browser: Chromium, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name])
    browser.evaluate(OPEN_ALL)
    for width in WIDTHS:
        browser.resize(width, 800, phone=width < 500)
        assert browser.evaluate("document.documentElement.scrollWidth") == width
        assert browser.evaluate(TOO_WIDE) == 0


def test_light_and_dark_follow_the_reader(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["large"])
    backgrounds = set()
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        backgrounds.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 2


def test_it_prints(browser: Chromium, pages: dict[str, Path]) -> None:
    browser.open(pages["large"])
    paper = browser.paper()
    assert paper.startswith(b"%PDF")
    assert 4 <= paper.count(b"/Type /Page\n") <= 30
