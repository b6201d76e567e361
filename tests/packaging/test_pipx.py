"""``pipx install`` from a checkout, in an empty home, as the README says; needs the package index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.test_wheel import PACKAGES
from tests.requirements import require

PIPX = Path(sys.executable).parent / "pipx"


@pytest.mark.long
def test_pipx_installs_it_and_takes_it_away(repository: Path, tmp_path: Path) -> None:
    require(PIPX.exists(), "pipx is not in the environment")
    checkout = tmp_path / "checkout"
    for name in PACKAGES:
        shutil.copytree(repository / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, checkout)
    home = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin"), "PIPX_MAN_DIR": str(tmp_path)}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=tmp_path, env={**inherited, **home}, capture_output=True, text=True, timeout=500
        )

    installed = run(PIPX, "install", "--system-site-packages", "--python", "/usr/bin/python3", checkout)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    command = tmp_path / "bin" / "unit-tailor"
    assert run(command, "--version").stdout.startswith("unit-tailor ")
    doctor = run(command, "doctor", "--json=short")
    assert doctor.stdout.startswith('{"schema_version": 1'), doctor.stderr
    assert run(PIPX, "uninstall", "unit-tailor").returncode == 0
    assert not command.exists()
