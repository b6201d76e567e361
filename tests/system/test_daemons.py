"""A daemon is a folder: whoever drops one in need not touch anything else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.report import run
from tests.system import test_second_use
from tests.system.daemons import ALL_DAEMONS, FOLDER, load_all

ROOT = FOLDER.parents[1]


def test_a_folder_is_all_that_a_daemon_takes(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "nginx", tmp_path / "another")

    (daemon,) = load_all(tmp_path)

    assert daemon.name == "another"
    assert daemon.workload == f"sh '{tmp_path}/another/workload.sh'"
    assert daemon.second_use == f"sh '{tmp_path}/another/second-use.sh'"


def test_every_folder_is_studied() -> None:
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir()}

    assert {daemon.name for daemon in ALL_DAEMONS} == folders
    assert vars(run)["ALL_DAEMONS"] is vars(test_second_use)["ALL_DAEMONS"] is ALL_DAEMONS


def test_every_daemon_has_a_second_use_that_says_what_is_new() -> None:
    for daemon in ALL_DAEMONS:
        for script in ("workload.sh", "second-use.sh"):
            text = (FOLDER / daemon.name / script).read_text(encoding="utf-8")
            assert re.match(r"#!/bin/sh\n# \w", text), f"{daemon.name}/{script} does not say what it does"
            assert re.search(r"^set -e", text, re.MULTILINE)


def test_no_program_knows_a_daemon_of_the_fixtures() -> None:
    """No special case: neither package names one of them outside of comments, help and examples."""
    names = {daemon.unit for daemon in ALL_DAEMONS}
    for source in (*ROOT.glob("policy/**/*.py"), *ROOT.glob("profiler/**/*.py")):
        for line in source.read_text(encoding="utf-8").splitlines():
            code = line.strip()
            compared = re.search(r"(==|!=|\bin\b|case|startswith\(|endswith\()\s*[({\[]?\s*['\"]([\w.@-]+)['\"]", code)
            assert not (compared and compared.group(2) in names), f"{source.name}: {code}"
