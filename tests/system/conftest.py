"""Each real daemon is hardened once, by the command line as a user would; the tests look at what came of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from policy.service_profile import Profile
from profiler import profile_file
from tests.requirements import require
from tests.system.daemons import ALL_DAEMONS, Daemon

COMMAND = Path(sys.executable).parent / "unit-tailor"


@dataclass(frozen=True)
class Hardened:
    """What ``unit-tailor harden`` left."""

    daemon: Daemon
    directory: Path
    finished: subprocess.CompletedProcess[str]

    @property
    def profile_path(self) -> Path:
        return self.directory / f"{self.daemon.unit.removesuffix('.service')}.profile"

    @property
    def drop_in_path(self) -> Path:
        return self.directory / f"{self.daemon.unit.removesuffix('.service')}.conf"

    @property
    def profile(self) -> Profile:
        return profile_file.read_profile(self.profile_path)


def unit_tailor(*arguments: str | Path, timeout: float = 300, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the installed command."""
    words = [str(COMMAND), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="session")
def hardened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Hardened]:
    """Return a function that hardens a daemon of ``fixtures/daemons`` on its first call."""
    done: dict[str, Hardened] = {}

    def harden(name: str) -> Hardened:
        require(is_root(), "hardening a service in a twin needs root")
        if name not in done:
            daemon = next(daemon for daemon in ALL_DAEMONS if daemon.name == name)
            directory = tmp_path_factory.mktemp(name)
            done[name] = Hardened(
                daemon, directory, unit_tailor("harden", daemon.unit, *daemon.options, "-o", directory)
            )
        return done[name]

    return harden


def is_root() -> bool:
    """Whether the tests run as root."""
    import os

    return os.geteuid() == 0
