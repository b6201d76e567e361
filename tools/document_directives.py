#!/usr/bin/env python3
"""Write ``docs/directives.md`` from the directive classes. Call: ``.venv/bin/python tools/document_directives.py``"""

from __future__ import annotations

from pathlib import Path

from policy.directive_table import render
from policy.directives.base import all_directives

PAGE = Path(__file__).resolve().parent.parent / "docs" / "directives.md"


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(all_directives()), encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
