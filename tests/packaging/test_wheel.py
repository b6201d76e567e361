"""The wheel holds the two packages and the manual; its command runs wherever it is called, whatever lies around."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGES = ("policy", "profiler")
MANUAL = Path("docs/man")
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: what an earlier build left in the checkout must not get into it."""
    folder = tmp_path_factory.mktemp("build")
    for name in PACKAGES:
        shutil.copytree(repository / name, folder / name, ignore=IGNORED)
    shutil.copytree(repository / MANUAL, folder / MANUAL)
    for name in ("fixtures", "tests"):  # a flat layout: setuptools could take these for packages too
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, folder)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(folder))
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture
def environment(wheel: Path, tmp_path: Path) -> Path:
    """A fresh virtual environment with the wheel installed, without any package index."""
    place = tmp_path / "environment"
    _run(sys.executable, "-m", "venv", "--without-pip", str(place))
    _run(sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), *_offline("install"), str(wheel))
    # Its dependencies are those of the environment that runs the tests; a .pth file adds them after its own packages.
    dependencies = [sysconfig.get_path("purelib"), *site.getsitepackages()]
    (_packages(place) / "dependencies.pth").write_text("".join(f"{path}\n" for path in dict.fromkeys(dependencies)))
    return place


@pytest.fixture
def command(environment: Path, tmp_path: Path) -> Command:
    """Run the installed command in an unrelated, empty directory (``elsewhere``), or with these variables set."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [environment / "bin" / "unit-tailor", *arguments],
            cwd=elsewhere,
            env={**inherited, **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_the_wheel_holds_exactly_the_two_packages_and_the_manual(wheel: Path, repository: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    written = {
        str(path.relative_to(repository))
        for package in PACKAGES
        for path in (repository / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    pages = {name for name in names if name.endswith(".1")}
    assert names - pages == written
    assert {Path(page).name for page in pages} == {page.name for page in (repository / MANUAL).iterdir()}


def test_the_manual_is_where_man_looks(environment: Path, repository: Path) -> None:
    page = repository / MANUAL / "unit-tailor-record.1"
    assert (environment / "share" / "man" / "man1" / page.name).read_bytes() == page.read_bytes()


def test_the_wheel_belongs_to_the_distribution_and_has_one_command(wheel: Path) -> None:
    assert wheel.name.startswith("unit_tailor-")
    with zipfile.ZipFile(wheel) as archive:
        (information,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        entry_points = archive.read(f"{information}/entry_points.txt").decode()
        assert sorted(archive.read(f"{information}/top_level.txt").decode().split()) == list(PACKAGES)
    assert entry_points.split() == ["[console_scripts]", "unit-tailor", "=", "profiler.cli:main"]


def test_the_command_runs_from_a_directory_with_hostile_modules(command: Command, tmp_path: Path) -> None:
    trap = tmp_path / "elsewhere"
    for name in ("policy", "profiler", "click", "json"):
        (trap / f"{name}.py").write_text("raise SystemExit('a module of the current directory was imported')\n")
    version = command("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("unit-tailor ")
    shown = command("--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Commands:" in shown.stdout


def test_all_of_policy_can_be_imported_from_the_wheel(environment: Path, repository: Path, tmp_path: Path) -> None:
    names = [
        ".".join(path.relative_to(repository).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((repository / "policy").rglob("*.py"))
    ]
    program = "import importlib, sys\nfor name in sys.argv[1:]: print(importlib.import_module(name).__file__)"
    shown = _run(str(environment / "bin" / "python"), "-I", "-c", program, *names)
    assert all(line.startswith(str(environment)) for line in shown.stdout.splitlines())
    assert len(shown.stdout.splitlines()) == len(names) > 5


def _expect_a_clear_error(shown: subprocess.CompletedProcess[str], place: Path) -> None:
    assert shown.returncode == 1
    assert shown.stdout == ""
    error, hint = shown.stderr.splitlines()
    assert error == f"error: another package named policy is in the way of unit-tailor's own: {place}"
    assert hint.startswith("hint:  ")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["doctor"]])
def test_a_foreign_package_earlier_on_the_path_is_a_clear_error(
    arguments: list[str], command: Command, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign" / "policy" / "__init__.py"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("raise SystemExit('foreign code was run')\n")
    _expect_a_clear_error(command(*arguments, PYTHONPATH=str(foreign.parent.parent)), foreign)


def test_a_foreign_module_earlier_on_the_path_is_a_clear_error(command: Command, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign" / "policy.py"
    foreign.parent.mkdir()
    foreign.write_text("raise SystemExit('foreign code was run')\n")
    _expect_a_clear_error(command("--version", PYTHONPATH=str(foreign.parent)), foreign)


def test_a_distribution_that_overwrote_our_package_is_a_clear_error(
    command: Command, environment: Path, tmp_path: Path
) -> None:
    _run(sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"),
         *_offline("install"), str(_foreign_wheel(tmp_path)))  # fmt: skip
    ours = _packages(environment) / "policy" / "__init__.py"
    assert "foreign code" in ours.read_text()
    _expect_a_clear_error(command("--version"), ours)


def test_a_part_of_ours_that_was_overwritten_is_a_clear_error(command: Command, environment: Path) -> None:
    overwritten = _packages(environment) / "policy" / "capability_names.py"
    overwritten.write_text("'''Somebody else's names.'''\n")
    shown = command("doctor")
    assert shown.returncode == 1
    error, hint = shown.stderr.splitlines()
    assert error.startswith("error: a part of unit-tailor's own policy package is missing or was overwritten: ")
    assert str(overwritten) in error
    assert hint.startswith("hint:  ")


def test_a_distribution_that_took_our_files_with_it_is_a_clear_error(
    command: Command, environment: Path, tmp_path: Path
) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    _run(*pip, *_offline("install"), str(_foreign_wheel(tmp_path)))
    _run(*pip, "uninstall", "--yes", "foreign-policy")
    shown = command("--version")
    assert shown.returncode == 1
    error, hint = shown.stderr.splitlines()
    assert error.startswith("error: this installation is incomplete: ")
    assert "policy" in error
    assert hint.startswith("hint:  ")


def _foreign_wheel(folder: Path) -> Path:
    """Make a wheel, by hand, of a distribution that ships a package named policy."""
    path = folder / "foreign_policy-1-py3-none-any.whl"
    information = "foreign_policy-1.dist-info"
    files = {
        "policy/__init__.py": "raise SystemExit('foreign code was run')\n",
        f"{information}/METADATA": "Metadata-Version: 2.1\nName: foreign-policy\nVersion: 1\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{information}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{information}/RECORD": record}.items():
            archive.writestr(name, text)
    return path


def _offline(verb: str) -> list[str]:
    return ["--disable-pip-version-check", verb, "--quiet", "--no-index", "--no-deps"]


def _packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python3*/site-packages")
    return found


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done
