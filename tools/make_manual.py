#!/usr/bin/env python3
"""Write ``docs/man`` from the commands. Call: ``.venv/bin/python tools/make_manual.py``"""

from __future__ import annotations

from pathlib import Path

from profiler.cli import group
from profiler.manual import pages

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "man"


def main() -> None:
    """Write the pages, and take away those of commands that are gone."""
    FOLDER.mkdir(exist_ok=True)
    made = pages(group)
    for old in FOLDER.glob("*.1"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"wrote {len(made)} pages to {FOLDER}")


if __name__ == "__main__":
    main()
