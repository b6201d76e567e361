"""Paths of another root never lead out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.twin import inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with symlinks of all kinds, beside a directory that must not be touched."""
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "lib").symlink_to("usr/lib")
    (root / "absolute").symlink_to("/usr/lib")
    (root / "escaping").symlink_to("../outside")
    (root / "escaping-absolutely").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to("loop")
    return root


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/etc/x", "etc/x"),
        ("/lib/x", "usr/lib/x"),
        ("/absolute/x", "usr/lib/x"),
        ("/escaping/x", "outside/x"),
        ("/../../x", "x"),
        ("/etc/../lib/./x", "usr/lib/x"),
        ("/missing/../etc/x", "etc/x"),
        ("/", "."),
    ],
)
def test_symlinks_are_followed_within_the_root(root: Path, path: str, leads_to: str) -> None:
    assert inside.resolve(root, path) == root / leads_to


def test_an_absolute_symlink_starts_at_the_root(root: Path, tmp_path: Path) -> None:
    assert inside.resolve(root, "/escaping-absolutely/x") == root / str(tmp_path).lstrip("/") / "outside/x"


def test_a_loop_is_an_error(root: Path) -> None:
    with pytest.raises(OSError, match="loop"):
        inside.resolve(root, "/loop/x")


def test_written_files_replace_symlinks_instead_of_following_them(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "outside/victim"
    victim.write_text("untouched")
    (root / "etc/machine-id").symlink_to(victim)
    inside.write(root, "/etc/machine-id", "new\n", 0o444)
    assert victim.read_text() == "untouched"
    assert (root / "etc/machine-id").read_text() == "new\n"
    assert (root / "etc/machine-id").stat().st_mode & 0o777 == 0o444


def test_written_files_get_their_directories(root: Path) -> None:
    inside.write(root, "/absolute/a/b", "x")
    assert (root / "usr/lib/a/b").read_text() == "x"


def test_removing_what_is_not_there_is_no_error(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "outside/victim"
    victim.write_text("untouched")
    (root / "etc/link").symlink_to(victim)
    inside.remove(root, "/etc/link")
    inside.remove(root, "/etc/link")
    assert victim.exists()
    assert not (root / "etc/link").is_symlink()
