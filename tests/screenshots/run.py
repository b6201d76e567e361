"""Record PostgreSQL on a terminal, report on it, and write what was seen into ``docs/images``."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from profiler.run import pasteable
from tests.chromium import chromium
from tests.screenshots.terminal_picture import Screen
from tests.system.daemons import FOLDER, load
from tests.system.terminal_session import TerminalSession
from tests.twin_fixtures import REPOSITORY

IMAGES = REPOSITORY / "docs" / "images"
PROGRAM = str(Path(sys.prefix) / "bin" / "unit-tailor")
COLUMNS, MOST_LINES = 104, 44
PICTURES = {"report": (1120, 1300, "light"), "report-dark": (1120, 1300, "dark"), "report-phone": (390, 1300, "light")}


def main() -> None:
    """Make all of them."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "postgresql.profile"
        _record(profile)
        _show(["report", str(profile), "--format", "text", "--no-pager"], "terminal-report", folder)
        _show(["report", str(profile)], "", folder)
        _photograph(profile.with_suffix(".html"))
    for path in sorted(IMAGES.iterdir()):
        print(f"{path.relative_to(REPOSITORY)}: {path.stat().st_size // 1024} KiB")


def _record(profile: Path) -> None:
    daemon = load(FOLDER / "postgresql")
    options = [option.replace(f"'{REPOSITORY}/", "").removesuffix("'") for option in daemon.options]
    arguments = ["record", daemon.unit.removesuffix(".service"), *options, "-o", str(profile)]
    shown = ["unit-tailor", *arguments]
    with TerminalSession([PROGRAM, *arguments], columns=COLUMNS) as session:
        session.wait_for("· serving", 300)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            session.read()
        frame = session.written
        assert session.end(300) == 0, session.written
    _draw("terminal-recording", shown, frame, str(profile.parent))
    _draw("terminal-recorded", shown, session.written, str(profile.parent))


def _show(arguments: list[str], name: str, folder: str) -> None:
    with TerminalSession([PROGRAM, *arguments], columns=COLUMNS) as session:
        assert session.end() == 0, session.written
    if name:
        _draw(name, ["unit-tailor", *arguments], session.written, folder)


def _draw(name: str, command: list[str], written: str, folder: str) -> None:
    screen = Screen(COLUMNS)
    # Where it happened to lie is of no interest.
    screen.write(f"\x1b[2m$\x1b[0m \x1b[1m{pasteable(command)}\x1b[0m\n{written}".replace(f"{folder}/", ""))
    del screen.lines[MOST_LINES:]
    (IMAGES / f"{name}.svg").write_text(screen.svg(), encoding="utf-8")


def _photograph(page: Path) -> None:
    with chromium() as browser:
        for name, (width, height, scheme) in PICTURES.items():
            browser.resize(width, height, phone=width < 500)
            browser.prefer(scheme)
            browser.open(page)
            (IMAGES / f"{name}.png").write_bytes(browser.picture())


if __name__ == "__main__":
    main()
