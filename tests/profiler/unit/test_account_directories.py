"""Which directories belong to the accounts of a service, in a tree that stands for a machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from policy.behaviour import Access, Fact, PathUse
from policy.unit_settings import UnitSettings
from profiler.machine import Host
from profiler.unit.account_directories import account_directories
from tests.requirements import require
from tests.system.conftest import is_root

PASSWD = """root:x:0:0:root:/root:/bin/bash
queue:x:150:151::/nonexistent:/usr/sbin/nologin
app:x:1005:1005::/srv/app:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
damaged:x:y
"""


class Tree(Host):
    """A directory in the place of a machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def root(self) -> Path:
        return self._root


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    require(is_root(), "giving directories to other users needs root")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    for name, uid, gid, mode in (
        ("spool/queue", 150, 0, 0o755),
        ("lib/queue-shared", 0, 151, 0o775),
        ("lib/queue-read", 0, 151, 0o750),
        ("lib/others", 160, 160, 0o777),
        ("lib/root/queue", 150, 0, 0o755),
        ("lib/root/queue/deeper", 150, 0, 0o755),
        ("cache/app", 1005, 1005, 0o700),
        ("log/nobody", 65534, 65534, 0o755),
    ):
        place = tmp_path / "var" / name
        place.mkdir(parents=True)
        place.chmod(mode)
        os.chown(place, uid, gid)
    (tmp_path / "etc/queue.d").mkdir()
    os.chown(tmp_path / "etc/queue.d", 150, 150)
    (tmp_path / "var/lib/link").symlink_to("../spool/queue")
    os.chown(tmp_path / "var/lib/link", 150, 151, follow_symlinks=False)
    return Tree(tmp_path)


def seen_as(*users: int) -> list[Fact]:
    return [Fact(PathUse("/etc/passwd", Access.READ), user=user) for user in users]


def test_what_a_system_account_may_write_to_is_its_own(tree: Tree) -> None:
    found = account_directories(tree, UnitSettings(), seen_as(0, 150))
    assert found == ("/var/lib/queue-shared", "/var/spool/queue")


def test_deeper_and_in_etc_it_must_have_been_used(tree: Tree) -> None:
    used = ("/etc/queue.d/conf/main", "/etc/passwd", "/var/lib/root/queue/deeper/gone", "/srv/x")
    facts = [Fact(PathUse(path, Access.READ), outcome, user=150) for path in used for outcome in ("ok", "ENOENT")]
    own = ("/etc/queue.d", "/var/lib/queue-shared", "/var/lib/root/queue", "/var/spool/queue")
    assert account_directories(tree, UnitSettings(), facts) == own


def test_people_and_nobody_count_only_as_the_account_of_the_unit(tree: Tree) -> None:
    assert account_directories(tree, UnitSettings(), seen_as(0, 1005, 65534)) == ()
    assert account_directories(tree, UnitSettings(user="app"), []) == ("/var/cache/app",)
    assert account_directories(tree, UnitSettings(user="1005"), []) == ("/var/cache/app",)
    assert account_directories(tree, UnitSettings(user="app", dynamic_user=True), []) == ()


def test_root_has_none(tree: Tree) -> None:
    assert account_directories(tree, UnitSettings(user="root"), seen_as(0)) == ()
