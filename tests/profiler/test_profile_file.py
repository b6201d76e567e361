"""Reading and writing the files of users: whole or not at all, nothing replaced unasked, each error with a remedy."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import tempfile
from pathlib import Path

import pytest

from policy.behaviour import Fact, SystemCall
from policy.recording import Header
from policy.service_profile import Profile, dumps
from policy.unit_settings import UnitSettings
from profiler import profile_file
from profiler.errors import ExitCode, PermissionRefused, ToolError, UsageError
from tests.requirements import require

PROFILE = Profile(Header(UnitSettings("a.service")), frozenset({Fact(SystemCall("read"))}))


def leftovers(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_profile_is_private_and_reads_back(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        profile_file.write_profile(tmp_path / "a.profile", PROFILE)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.profile").stat().st_mode) == 0o600
    assert profile_file.read_profile(tmp_path / "a.profile") == PROFILE
    assert leftovers(tmp_path) == ["a.profile"]


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0o777)
    try:
        profile_file.write_text(tmp_path / "a.conf", "x", mode=profile_file.READABLE)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.conf").stat().st_mode) == 0o644


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("precious")
    with pytest.raises(UsageError, match="File exists") as error:
        profile_file.write_text(path, "new")
    assert "--force" in error.value.hint
    assert error.value.exit_code == ExitCode.USAGE
    with pytest.raises(UsageError, match="File exists"):
        profile_file.check_writable(path)
    assert path.read_text() == "precious"
    profile_file.check_writable(path, force=True)
    assert path.read_text() == "precious"
    profile_file.write_text(path, "new", force=True)
    assert path.read_text() == "new"
    assert leftovers(tmp_path) == ["a"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["symlink", "dangling", "fifo", "directory"])
def test_nothing_but_a_regular_file_is_written_to(tmp_path: Path, kind: str, force: bool) -> None:
    victim, path = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious")
    match kind:
        case "symlink":
            path.symlink_to(victim)
        case "dangling":
            path.symlink_to(tmp_path / "new")
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
    with pytest.raises(UsageError, match="cannot write"):
        profile_file.check_writable(path, force=force)
    with pytest.raises(UsageError, match="cannot write"):
        profile_file.write_text(path, "new", force=force)
    assert victim.read_text() == "precious"
    assert leftovers(tmp_path) == ["out", "victim"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    original = profile_file._refuse_target

    def slow(directory: int, name: str, shown: Path, force: bool) -> None:
        original(directory, name, shown, force)
        path.symlink_to(tmp_path / "elsewhere")

    monkeypatch.setattr(profile_file, "_refuse_target", slow)
    with pytest.raises(UsageError, match="File exists"):
        profile_file.write_text(path, "new")
    assert leftovers(tmp_path) == ["a"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    old = tmp_path / "old"
    old.write_text("precious")
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # writing more fails with EFBIG, as on a full disk
    try:
        for path, force in ((tmp_path / "new", False), (old, True)):
            with pytest.raises(ToolError, match="File too large") as error:
                profile_file.write_text(path, "x" * 10_000, force=force)
            assert error.value.exit_code == ExitCode.FAILED
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert leftovers(tmp_path) == ["old"]
    assert old.read_text() == "precious"


def test_an_interruption_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        profile_file.write_text(tmp_path / "a", "x")
    assert leftovers(tmp_path) == []


def test_a_missing_directory_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory") as error:
        profile_file.check_writable(tmp_path / "none" / "a")
    assert "mkdir" in error.value.hint


@pytest.mark.parametrize("path", [Path(), Path(".."), Path("/"), Path("/tmp/..")])
def test_a_directory_is_no_file(path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        profile_file.write_text(path, "x", force=True)


def test_a_directory_of_others_needs_rights() -> None:
    require(os.geteuid() == 0, "not root: no second user to be")
    with tempfile.TemporaryDirectory(prefix="unit-tailor-test-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "secret").touch(mode=0o600)
        os.seteuid(65534)
        try:
            with pytest.raises(PermissionRefused, match="Permission denied") as refused:
                profile_file.write_text(directory / "a", "x")
            with pytest.raises(UsageError, match="Permission denied") as unreadable:
                profile_file.read_profile(directory / "secret")
        finally:
            os.seteuid(0)
    assert refused.value.exit_code == ExitCode.PERMISSION
    assert "sudo" in refused.value.hint
    assert "readable" in unreadable.value.hint


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", "No such file"),
        (".", "Is a directory"),
        ("garbage", "not a unit-tailor profile"),
        ("empty", "not a unit-tailor profile"),
        ("a\0b", "null"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "garbage").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(UsageError, match=words) as error:
        profile_file.read_profile(tmp_path / name)
    assert error.value.hint
    assert str(tmp_path) in error.value.message


def test_damage_and_newer_versions_are_named(tmp_path: Path) -> None:
    text = dumps(PROFILE)
    path = tmp_path / "a.profile"
    path.write_text(text[:-10])
    with pytest.raises(UsageError, match=r"a\.profile:4: the end is missing"):
        profile_file.read_profile(path)
    path.write_text(text.replace('"unit-tailor-profile":1', '"unit-tailor-profile":2'))
    with pytest.raises(UsageError, match=r"newer unit-tailor \(format 2\); this one reads up to 1") as error:
        profile_file.read_profile(path)
    assert "upgrade" in error.value.hint
    path.write_bytes(text.encode().replace(b"read", b"re\xffd"))
    with pytest.raises(UsageError, match="digest"):
        profile_file.read_profile(path)


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_file, "LARGEST", 2 * 1024**2)
    path = tmp_path / "a.profile"
    with path.open("wb") as file:
        file.truncate(2 * 1024**2 + 1)
    with pytest.raises(UsageError, match="larger than 2 MiB"):
        profile_file.read_profile(path)


def test_the_system_s_word_is_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=os.strerror(errno.ENAMETOOLONG)):
        profile_file.write_text(tmp_path / ("a" * 300), "x")
