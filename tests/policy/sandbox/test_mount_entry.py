"""Sorting and dropping of entries, as systemd's namespace.c does it."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from policy.sandbox.mount_entry import Mode, MountEntry, is_below, parent_of, remaining, without_aliases


def entry(path: str, mode: Mode, *, optional: bool = False) -> MountEntry:
    return MountEntry(path, mode, "ReadWritePaths", f"ReadWritePaths={path}", ignore_missing=optional)


def modes(*entries: MountEntry) -> dict[str, Mode]:
    return {path: kept.mode for path, kept in remaining(entries).mounts.items()}


def test_of_equal_paths_the_stricter_entry_wins() -> None:
    """T3 of systemd's mount engine."""
    assert modes(entry("/etc", Mode.READ_WRITE), entry("/etc", Mode.READ_ONLY)) == {"/etc": Mode.READ_ONLY}
    assert modes(entry("/tmp", Mode.READ_WRITE), entry("/tmp", Mode.PRIVATE_TMP)) == {"/tmp": Mode.PRIVATE_TMP}
    assert modes(entry("/home", Mode.IMPLICIT_READ_WRITE), entry("/home", Mode.TEMPORARY)) == {"/home": Mode.TEMPORARY}


def test_the_winner_takes_over_the_flags_of_the_others() -> None:
    kept = remaining([entry("/tmp", Mode.PRIVATE_TMP), entry("/tmp", Mode.READ_ONLY)]).mounts
    assert kept["/tmp"].refuses_writes
    kept = remaining([entry("/opt", Mode.READ_WRITE), entry("/opt", Mode.NO_EXECUTE)]).mounts
    assert kept["/opt"].no_execute


def test_nothing_is_left_below_an_inaccessible_path() -> None:
    """T4 of systemd's mount engine."""
    entries = [entry("/home", Mode.INACCESSIBLE), entry("/home/a", Mode.READ_WRITE), entry("/home/a/b", Mode.BIND)]
    assert modes(*entries) == {"/home": Mode.INACCESSIBLE}


def test_entries_below_one_of_the_same_mode_are_dropped() -> None:
    entries = [entry("/var", Mode.READ_WRITE), entry("/var/lib/x", Mode.READ_WRITE), entry("/var/y", Mode.READ_ONLY)]
    assert modes(*entries, entry("/var/y/z", Mode.READ_WRITE)) == {
        "/var": Mode.READ_WRITE,
        "/var/y": Mode.READ_ONLY,
        "/var/y/z": Mode.READ_WRITE,
    }


def test_a_path_that_a_fresh_file_system_lacks_stops_the_unit() -> None:
    """T4, T5: ReadWritePaths=/home/a under ProtectHome=tmpfs is 226/NAMESPACE."""
    left = remaining([entry("/home", Mode.TEMPORARY), entry("/home/a", Mode.READ_WRITE)])
    assert left.failure is not None and left.failure.path == "/home/a"
    assert list(left.mounts) == ["/home"]
    assert remaining([entry("/home", Mode.TEMPORARY), entry("/home/a", Mode.READ_WRITE, optional=True)]).failure is None
    assert remaining([entry("/home", Mode.TEMPORARY), entry("/home/a", Mode.BIND)]).failure is None
    assert remaining([entry("/dev", Mode.PRIVATE_DEVICES), entry("/dev/shm", Mode.READ_ONLY)]).failure is None
    assert remaining([entry("/dev", Mode.PRIVATE_DEVICES), entry("/dev/sda", Mode.READ_WRITE)]).failure is not None


def test_well_known_symlinks_are_followed() -> None:
    assert without_aliases("/var/run/x") == "/run/x"
    assert without_aliases("/lib64") == "/usr/lib64"
    assert without_aliases("/var/running") == "/var/running"
    assert modes(entry("/var/run/x", Mode.READ_WRITE)) == {"/run/x": Mode.READ_WRITE}


def test_parents() -> None:
    assert [parent_of(path) for path in ("/", "/a", "/a/b")] == ["/", "/", "/a"]
    assert is_below("/a/b", "/a") and is_below("/a", "/")
    assert not is_below("/ab", "/a") and not is_below("/a", "/a") and not is_below("/", "/")


paths = st.lists(st.sampled_from(["a", "b", "home"]), max_size=3).map(lambda parts: "/" + "/".join(parts))
entries = st.builds(entry, paths, st.sampled_from(Mode), optional=st.booleans())


@given(st.lists(entries, max_size=8), st.randoms())
def test_the_order_of_entries_does_not_matter(some: list[MountEntry], random: Random) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)
    assert modes(*some) == modes(*shuffled)


@given(st.lists(entries, max_size=8))
def test_what_is_left_is_left_again(some: list[MountEntry]) -> None:
    kept = remaining(some).mounts
    assert remaining(kept.values()).mounts == kept
