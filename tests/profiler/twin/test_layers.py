"""Packages are installed into a layer once, whole or not at all, and never on the host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from profiler import twin
from profiler.errors import CommandFailed, UsageError
from profiler.twin import layers, state
from tests.profiler.twin.leftovers import look, none_within
from tests.requirements import require
from tests.twin_fixtures import require_twin

SMALL = "hello"
"""A package without dependencies besides libc, which nobody has on a server."""

ANOTHER = "sl"
BUILDER = f"from profiler import twin; print(flush=True); twin.up(packages=[{SMALL!r}]).down()"


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory of the test's own, in which no twin may be left."""
    require_twin()
    directory = tmp_path / "state"
    monkeypatch.setenv(state.VARIABLE, str(directory))
    yield directory
    assert not none_within(10, directory)


@pytest.fixture(scope="module", autouse=True)
def archive() -> None:
    """Packages can be had at all."""
    require(Path("/usr/bin/apt-get").exists(), "this is no Debian: there is no apt-get")
    answer = subprocess.run(["apt-get", "install", "--print-uris", "-qq", SMALL], capture_output=True, check=False)
    require(answer.returncode == 0, f"apt-get does not know the package {SMALL}; run: apt-get update")
    require(layers.not_installed([SMALL]) == (SMALL,), f"the package {SMALL} is installed on this machine")


def host() -> tuple[bytes, float]:
    """What an installation on the host would change."""
    return Path("/var/lib/dpkg/status").read_bytes(), Path("/var/lib/dpkg").stat().st_mtime


def finished(directory: Path) -> list[Path]:
    return [path for path in (directory / "layers").glob("*") if not path.name.startswith(".")]


@contextmanager
def _counted(calls: list[str], text: str) -> Iterator[None]:
    calls.append(text)
    yield


def counting(calls: list[str]) -> Callable[[str], AbstractContextManager[None]]:
    return lambda text: _counted(calls, text)


def test_a_package_is_there_in_the_twin_and_not_on_the_host(own_state: Path) -> None:
    before = host()
    with twin.up(packages=[SMALL]) as machine:
        assert machine.run([SMALL]).stdout == "Hello, world!\n"
        status = machine.run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", SMALL]).stdout
        assert status == "installed"
        assert machine.run(["dpkg", "--audit"]).stdout == ""
        assert machine.record.packages == (SMALL,)
        numbers = machine.run(["stat", "--format=%d", "/", "/etc/passwd", "/etc/machine-id", "/usr/bin/hello"]).stdout
        assert len(set(numbers.split())) == 1, "a file system with several device numbers"
    assert host() == before
    assert not Path("/usr/bin/hello").exists()


def test_a_layer_is_reused_and_holds_no_downloads(own_state: Path) -> None:
    calls: list[str] = []
    for _ in range(2):
        twin.up(packages=[SMALL, SMALL], announce=counting(calls)).down()
    assert len([text for text in calls if "install" in text]) == 1
    (layer,) = finished(own_state)
    names = {str(path.relative_to(layer)) for path in layer.rglob("*")}
    assert "root/usr/bin/hello" in names
    assert not [name for name in names if name.endswith((".deb", ".lz4", "pkgcache.bin")) or "apt/lists" in name]
    forbidding = layer / "root/usr/sbin/policy-rc.d"  # at most the empty place where it was mounted: boots take it away
    assert not forbidding.exists() or forbidding.stat().st_size == 0
    assert not [name for name in names if name.startswith(("root/run/", "root/tmp/", "root/proc/"))]


def test_an_installed_package_needs_no_layer(own_state: Path) -> None:
    assert layers.ensure(["bash", "coreutils"], nullcontext) == ()
    assert finished(own_state) == []


def test_a_package_that_does_not_exist_is_said_by_apt(own_state: Path) -> None:
    before = host()
    with pytest.raises(CommandFailed, match="Unable to locate package no-such-package-at-all") as caught:
        twin.up(packages=["no-such-package-at-all"])
    assert "E: " in caught.value.output
    assert host() == before
    assert finished(own_state) == []
    assert not look(own_state)


@pytest.mark.parametrize("name", ["", "-o=x", "--help", "a b", "a;b", "../x", "A", "x\n", "a*", "hello-"[:-1] + "/sid"])
def test_what_cannot_be_a_package_is_refused(own_state: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a package"):
        twin.up(packages=[name])


def test_two_builders_make_one_layer(own_state: Path) -> None:
    builders = [subprocess.Popen([sys.executable, "-c", BUILDER], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [builder.wait(120) for builder in builders] == [0, 0]
    assert len(finished(own_state)) == 1


@pytest.mark.parametrize(("number", "delay"), [(signal.SIGINT, 0.6), (signal.SIGKILL, 0.3), (signal.SIGKILL, 1.1)])
def test_a_builder_that_is_stopped_leaves_no_half_layer(own_state: Path, number: int, delay: float) -> None:
    before = host()
    with subprocess.Popen(
        [sys.executable, "-c", BUILDER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as builder:
        assert builder.stdout is not None
        builder.stdout.readline()
        time.sleep(delay)
        builder.send_signal(number)
        builder.wait(30)
    assert not none_within(20, own_state)
    for layer in finished(own_state):
        assert (layer / "root/usr/bin/hello").is_file(), "half a layer was left at its place"
    assert host() == before
    with twin.up(packages=[SMALL]) as machine:
        assert machine.run([SMALL]).stdout == "Hello, world!\n"


def test_a_layer_is_named_after_packages_and_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path / "status"
    status.write_text("Package: one\n")
    monkeypatch.setattr(layers, "STATUS", status)
    first = layers.digest([SMALL, ANOTHER])
    assert layers.digest([ANOTHER, SMALL]) == first
    assert layers.digest([SMALL]) != first
    status.write_text("Package: two\n")
    assert layers.digest([SMALL, ANOTHER]) != first


def test_old_layers_are_forgotten_unless_a_twin_uses_them(own_state: Path) -> None:
    with twin.up(packages=[SMALL]):
        (used,) = finished(own_state)
        unused = used.with_name("0" * 32)
        (unused / "root").mkdir(parents=True)
        recent = used.with_name("1" * 32)
        (recent / "root").mkdir(parents=True)
        for layer in (used, unused):
            os.utime(layer, (0, 0))
        twin.up(packages=[ANOTHER]).down()
        assert used.exists()
        assert recent.exists()
        assert not unused.exists()
