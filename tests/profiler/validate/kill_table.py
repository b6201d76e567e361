"""What came of every kill of ``make kill-test``: written as JSON, and printed as a table by running this module."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class KillTable:
    """One row for each kill: the kind of service, what was interrupted, before which change, whether all was whole."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    @contextmanager
    def row(self, kind: str, action: str, point: int, change: str) -> Iterator[None]:
        """Note a kill; what raises here went wrong."""
        row: dict[str, object] = {"service": kind, "action": action, "point": point, "before": change, "whole": False}
        self.rows.append(row)
        yield
        row["whole"] = True

    def write(self, path: Path) -> None:
        """Write all rows."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"kills": self.rows}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Print the table of a file."""
    rows = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["kills"]
    kinds = list(dict.fromkeys(row["service"] for row in rows))
    print(f"{'killed during':<16}" + "".join(f"{kind:>16}" for kind in kinds))
    for action in dict.fromkeys(row["action"] for row in rows):
        cells = []
        for kind in kinds:
            mine = [row["whole"] for row in rows if (row["service"], row["action"]) == (kind, action)]
            cells.append(f"{sum(mine)} of {len(mine)}" if mine else "-")
        print(f"{action:<16}" + "".join(f"{cell:>16}" for cell in cells))
    print(f"{sum(row['whole'] for row in rows)} of {len(rows)} times the service was whole afterwards")


if __name__ == "__main__":
    main()
