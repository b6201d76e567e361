"""What the systemd installed here reads from unit files: the dump of ``systemd --test``, without a running manager.

Run as an unprivileged user, ``systemd --test --system`` loads units, prints what it understood, and changes nothing.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from profiler import run

UNIT_HEAD = "[Unit]\nDefaultDependencies=no\n"

_PROGRAMS = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
_NOBODY = "65534"


@dataclass(frozen=True)
class Reading:
    """One unit as systemd read it: the lines of the dump by field name, and its complaints with line numbers."""

    lines: Mapping[str, list[str]]
    complaints: tuple[tuple[int, str], ...]

    def field(self, name: str) -> str:
        """Return the first value of a field, empty if the dump does not have it."""
        return self.lines.get(name, [""])[0]


def program() -> str | None:
    """Return the path of the systemd binary, or None if it is not installed."""
    return next((path for path in _PROGRAMS if Path(path).exists()), None)


def read(units: Mapping[str, bytes]) -> dict[str, Reading]:
    """Let systemd read these units (name to contents); DefaultDependencies=no has to be in them."""
    with tempfile.TemporaryDirectory(prefix="unit-tailor-test-") as directory:
        folder = Path(directory)
        for name, contents in units.items():
            folder.joinpath(name).write_bytes(contents)
        wants = " ".join(units)
        folder.joinpath("all.target").write_text(f"{UNIT_HEAD}AllowIsolate=yes\nWants={wants}\n")
        for path in folder.iterdir():
            path.chmod(0o644)
        folder.chmod(0o755)
        return _parse(units, *_run(directory))


def _run(directory: str) -> tuple[str, str]:
    systemd = program()
    assert systemd is not None
    drop = ["setpriv", "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups"] if os.geteuid() == 0 else []
    completed = run.run(
        [*drop, systemd, "--test", "--system", "--no-pager", "--unit=all.target"],
        check=False,
        extra_environment={
            "SYSTEMD_UNIT_PATH": directory,
            "SYSTEMD_LOG_LEVEL": "info",
            "SYSTEMD_LOG_TARGET": "console",
            "SYSTEMD_LOG_LOCATION": "0",
            "SYSTEMD_LOG_TIME": "0",
        },
    )
    assert completed.status == 0, completed.stderr[-2000:]
    return completed.stdout, completed.stderr


def _parse(units: Mapping[str, bytes], stdout: str, stderr: str) -> dict[str, Reading]:
    fields: dict[str, dict[str, list[str]]] = {name: {} for name in units}
    current: dict[str, list[str]] = {}
    for line in stdout.split("\n"):
        if match := re.fullmatch(r"\t?(?:->|→) Unit (.*):", line):
            current = fields.get(match[1], {})
        elif match := re.fullmatch(r"\t\t([A-Z][A-Za-z ]*): (.*)", line, re.DOTALL):
            current.setdefault(match[1], []).append(match[2])
    complaints: dict[str, list[tuple[int, str]]] = {name: [] for name in units}
    for line in stderr.split("\n"):
        match = re.match(r"(?:\S*/)?([^/\s]+):(\d+): (.*)", line)
        if match and match[1] in complaints:
            complaints[match[1]].append((int(match[2]), match[3]))
    return {name: Reading(fields[name], tuple(complaints[name])) for name in units}
