"""The manual pages say what the commands say, and are well-formed man(7)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from profiler.cli import group
from profiler.manual import pages
from tests.requirements import require

STALE = "docs/man is out of date: run .venv/bin/python tools/make_manual.py"


def test_the_pages_are_up_to_date(repository: Path) -> None:
    made = pages(group)
    folder = repository / "docs" / "man"
    assert sorted(path.name for path in folder.iterdir()) == sorted(made), STALE
    for name, text in made.items():
        assert (folder / name).read_text(encoding="utf-8") == text, f"{name}: {STALE}"


def test_every_command_has_its_page_with_an_example_and_its_options() -> None:
    made = pages(group)
    assert {"unit-tailor.1", "unit-tailor-record.1", "unit-tailor-twin.1"} <= set(made)
    for name, text in made.items():
        for section in (".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS", ".SH EXIT STATUS"):
            assert section in text, name
        assert name == "unit-tailor.1" or "\n.SH EXAMPLE" in text, name
        assert r"\fB\-h, \-\-help\fR" in text, name


def test_the_pages_are_well_formed(repository: Path) -> None:
    require(shutil.which("mandoc") is not None, "mandoc is not installed")
    checked = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *(repository / "docs" / "man").glob("*.1")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    complaints = [line for line in checked.stdout.splitlines() if "missing date" not in line]
    assert complaints == [], complaints  # no date: the same source gives the same page
