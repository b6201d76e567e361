"""``tools/setup.sh``: quick when nothing is missing, one clear line when it cannot go on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.requirements import require

STATUS = Path("/var/lib/dpkg/status")


@pytest.fixture
def checkout(repository: Path) -> Iterator[Path]:
    """A place that every user can read, with all that the script looks at."""
    with tempfile.TemporaryDirectory(prefix="unit-tailor-setup-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "tools").mkdir()
        shutil.copy(repository / "tools" / "setup.sh", place / "tools")
        shutil.copy(repository / "pyproject.toml", place)
        yield place


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_it_is_quick_and_silent_when_nothing_is_missing(repository: Path) -> None:
    require((repository / ".venv" / "unit-tailor-setup").exists(), "this checkout was not set up by: make setup")
    started = time.monotonic()
    done = run("tools/setup.sh", cwd=repository)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 1


def test_every_other_target_sets_up_first(repository: Path) -> None:
    makefile = (repository / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert targets is not None
    for target in set(targets[1].split()) - {"help", "setup", "clean"}:
        planned = run("make", "--no-print-directory", "--dry-run", target, cwd=repository)
        assert planned.returncode == 0, planned.stderr
        assert planned.stdout.splitlines()[0].endswith("tools/setup.sh"), target


def test_make_alone_shows_every_target(repository: Path) -> None:
    shown = run("make", cwd=repository).stdout
    targets = re.search(r"^\.PHONY: (.*)$", (repository / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    for target in set(targets[1].split()) - {"help"}:
        assert f"make {target} " in shown


def test_a_missing_package_that_may_not_be_installed_is_named(checkout: Path) -> None:
    require(os.geteuid() == 0, "needs root: hides a package from dpkg in a mount namespace")
    stanzas = STATUS.read_text(encoding="utf-8").split("\n\n")
    without = [stanza for stanza in stanzas if not stanza.startswith("Package: strace\n")]
    require(len(without) == len(stanzas) - 1, "needs Debian, with strace installed")
    hidden = checkout / "status"
    hidden.write_text("\n\n".join(without), encoding="utf-8")
    script = f'mount --bind {hidden} {STATUS} && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"'
    done = run(
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", "tools/setup.sh"), cwd=checkout
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: cannot install the packages strace: not root\nhint:  run: sudo apt-get install strace\n"
    )


def test_a_machine_that_is_not_debian_is_told_what_it_needs(checkout: Path) -> None:
    tools = checkout / "bin"
    tools.mkdir()
    for program in ("bash", "dirname", "readlink", "flock"):
        found = shutil.which(program)
        assert found is not None
        (tools / program).symlink_to(found)
    done = subprocess.run(
        [str(checkout / "tools" / "setup.sh")], env={"PATH": str(tools)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()
    assert error == "error: this machine has no dpkg-query and apt-get"
    assert "strace systemd systemd-container" in hint
