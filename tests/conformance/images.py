"""Small systems with other versions of systemd, made by debootstrap and kept between runs.

They lie in the twins' state directory: ``images/SUITE-DIGEST``, where the digest is of everything that went into the
call. Remove a directory to have it made afresh (forky moves on).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from profiler import run
from profiler.errors import ToolError
from profiler.twin import dismantling, state

MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SCRIPT = "/usr/share/debootstrap/scripts/sid"
"""Debian 12's debootstrap has no script of forky's name, but all suites since trixie use that of sid."""

PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "strace", "libbpf1")
PATIENCE = 1800.0
FORMAT = "unit-tailor image 1"


@dataclass(frozen=True)
class Image:
    """A system to boot: the version of its systemd that is expected, and Debian's name of its suite; empty: ours."""

    version: int
    suite: str


IMAGES = (Image(252, ""), Image(257, "trixie"), Image(262, "forky"))
"""The host's own systemd (Debian 12), Debian 13, and the next Debian."""


def ensure(suite: str, packages: Sequence[str] = PACKAGES) -> Path:
    """Return the root directory of a system of this suite, which is made if it does not exist yet.

    Raises ToolError if debootstrap is missing or fails.
    """
    recipe = "\n".join((FORMAT, suite, MIRROR, *packages))
    images = state.state_directory() / "images"
    images.mkdir(mode=0o700, exist_ok=True)
    place = images / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with state.locked(images, PATIENCE):
        if not place.is_dir():
            _make(suite, packages, place)
    return place


def _make(suite: str, packages: Sequence[str], place: Path) -> None:
    if shutil.which("debootstrap") is None or not Path(KEYRING).exists():
        raise ToolError(
            "debootstrap or debian-archive-keyring is not installed",
            hint="run: apt-get install debootstrap debian-archive-keyring",
        )
    unfinished = place.with_name(f".{place.name}")
    dismantling.remove_tree(unfinished)
    proxies = {name: os.environ[name] for name in ("http_proxy", "https_proxy", "no_proxy") if name in os.environ}
    run.run(
        [
            *("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", f"--keyring={KEYRING}"),
            *(suite, str(unfinished), MIRROR, SCRIPT),
        ],
        timeout=PATIENCE,
        extra_environment=proxies,
    )
    shutil.rmtree(unfinished / "var/cache/apt", ignore_errors=True)
    unfinished.rename(place)
