"""The Debian package: built by one target, installed, run and removed, in a twin; nothing of it stays behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from profiler import profile_file
from profiler.twin import Twin
from tests.policy.services import web_server
from tests.twin_fixtures import TwinWith

PLACE = "/root/unit-tailor-deb"


@pytest.fixture(scope="session")
def package(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, as ``make deb`` builds it."""
    output = tmp_path_factory.mktemp("deb")
    built = subprocess.run([repository / "tools" / "build_deb.sh", output], capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    return Path(built.stdout.strip())


@pytest.fixture
def installed(package: Path, twin_with: TwinWith) -> Twin:
    """A twin with the package installed by dpkg."""
    machine = twin_with("python3-click", "python3-psutil", "python3-jinja2")
    machine.path(PLACE).mkdir(exist_ok=True)
    machine.path(f"{PLACE}/unit-tailor.deb").write_bytes(package.read_bytes())
    machine.run(["dpkg", "-i", f"{PLACE}/unit-tailor.deb"])
    return machine


def test_the_same_checkout_gives_the_same_package(package: Path, repository: Path, tmp_path: Path) -> None:
    again = subprocess.run(
        [repository / "tools" / "build_deb.sh", tmp_path], capture_output=True, text=True, timeout=120
    )
    assert Path(again.stdout.strip()).read_bytes() == package.read_bytes()


def test_it_holds_all_that_it_should(package: Path, repository: Path) -> None:
    listed = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, timeout=60).stdout
    names = {line.split()[5].removeprefix("./") for line in listed.splitlines()}
    for name in ("policy", "profiler"):
        for path in (repository / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"usr/lib/unit-tailor/{path.relative_to(repository)}" in names
    assert not any("__pycache__" in name or name.startswith("usr/lib/python") for name in names)
    for wanted in (
        "usr/share/man/man1/unit-tailor-record.1.gz",
        "usr/share/bash-completion/completions/unit-tailor",
        "usr/share/zsh/vendor-completions/_unit-tailor",
        "usr/share/fish/vendor_completions.d/unit-tailor.fish",
        "usr/share/doc/unit-tailor/copyright",
    ):
        assert wanted in names


@pytest.mark.long
def test_installed_run_and_removed(installed: Twin, tmp_path: Path) -> None:
    assert installed.run(["/usr/bin/unit-tailor", "--version"]).stdout.startswith("unit-tailor ")
    doctor = installed.run(["unit-tailor", "doctor", "--json=short"], check=False)
    assert doctor.stdout.startswith('{"schema_version": 1'), doctor.stderr

    profile_file.write_profile(tmp_path / "web.profile", web_server())
    installed.path(f"{PLACE}/web.profile").write_bytes((tmp_path / "web.profile").read_bytes())
    # A trap beside the files: the program must not look for modules there.
    installed.path(f"{PLACE}/policy.py").write_text("raise SystemExit('the current directory was searched')\n")
    script = f"cd {PLACE} && unit-tailor generate web.profile -o web.conf && unit-tailor replay web.profile web.conf"
    replayed = installed.run(["sh", "-c", script])
    assert "0 blocked" in replayed.stdout

    recorded = installed.run(
        ["sh", "-c", f"cd {PLACE} && unit-tailor record -o true.profile --json -- true"], check=False
    )
    assert recorded.status == 0, recorded.stderr
    assert '"partial": false' in recorded.stdout

    installed.run(["dpkg", "--purge", "unit-tailor"])
    for gone in ("/usr/lib/unit-tailor", "/usr/bin/unit-tailor", "/usr/share/doc/unit-tailor"):
        assert not installed.path(gone).exists(), gone
    installed.run(["rm", "-r", PLACE])
