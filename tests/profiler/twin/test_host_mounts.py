"""Which of the host's file systems a twin gets."""

from __future__ import annotations

from profiler.twin import host_mounts
from profiler.twin.host_mounts import Tree, parse
from profiler.twin.kernel_calls import MountFlag

ROOT = "20 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"


def test_a_single_root_is_one_tree() -> None:
    assert parse(ROOT).trees == (Tree("/"),)


def test_pseudo_file_systems_and_what_nspawn_makes_afresh_are_not_taken() -> None:
    text = "\n".join(
        [
            ROOT,
            "21 20 0:5 / /proc rw - proc proc rw",
            "22 20 0:6 / /sys rw - sysfs sysfs rw",
            "23 20 0:7 / /tmp rw - tmpfs tmpfs rw",
            "24 20 0:8 / /run/user/1000 rw - tmpfs tmpfs rw",
            "25 20 0:9 / /var/lib/nfs/rpc_pipefs rw - rpc_pipefs sunrpc rw",
            "26 20 0:10 / /home/me/auto rw - autofs auto rw",
        ]
    )
    assert [tree.target for tree in parse(text).trees] == ["/"]


def test_real_file_systems_come_parents_first_with_their_flags() -> None:
    text = "\n".join(
        [
            ROOT,
            "32 31 8:2 / /var/log rw,nosuid,noexec - xfs /dev/sda2 rw",
            "31 20 8:1 / /var rw,nosuid,nodev - ext4 /dev/sda1 rw",
            "33 20 8:3 / /usr ro - ext4 /dev/sda3 ro",
        ]
    )
    text = "\n".join(sorted(text.split("\n"), key=lambda line: line.split()[4]))
    assert parse(text).trees == (
        Tree("/"),
        Tree("/usr", MountFlag.READ_ONLY),
        Tree("/var", MountFlag.NO_SUID | MountFlag.NO_DEVICES),
        Tree("/var/log", MountFlag.NO_SUID | MountFlag.NO_EXECUTION),
    )


def test_what_a_later_mount_covers_is_not_seen() -> None:
    text = "\n".join(
        [
            ROOT,
            "31 20 8:1 / /srv/www rw - ext4 /dev/sda1 rw",
            "32 20 8:2 / /srv rw - ext4 /dev/sda2 rw",
            "33 20 8:3 / /opt rw,nosuid - ext4 /dev/sda3 rw",
            "34 33 8:4 / /opt rw - ext4 /dev/sda4 rw",
        ]
    )
    assert parse(text).trees == (Tree("/"), Tree("/opt"), Tree("/srv"))


def test_network_file_systems_are_left_out_and_named() -> None:
    found = parse(ROOT + "\n31 20 0:40 / /home rw - nfs4 server:/home rw")
    assert (found.trees, found.left_out) == ((Tree("/"),), ("/home",))


def test_blanks_and_newlines_in_mount_points_are_understood() -> None:
    found = parse(ROOT + "\n31 20 0:40 / /srv/a\\040b\\012c rw - ext4 /dev/sda1 rw")
    assert found.trees[1].target == "/srv/a b\nc"


def test_optional_fields_do_not_shift_the_type() -> None:
    found = parse("31 20 0:40 / / rw shared:1 master:2 propagate_from:3 - proc proc rw\n" + ROOT)
    assert found.trees == (Tree("/"),)


def test_the_tree_that_holds_a_path_is_the_deepest() -> None:
    found = parse(ROOT + "\n31 20 8:1 / /var rw - ext4 /dev/sda1 rw")
    assert found.holding("/var/lib/x").target == "/var"
    assert found.holding("/var").target == "/var"
    assert found.holding("/variable").target == "/"


def test_without_takes_away_what_is_mounted_there_or_below() -> None:
    found = parse(ROOT + "\n31 20 8:1 / /srv/a rw - ext4 /dev/sda1 rw\n32 20 8:2 / /srv/ab rw - ext4 /dev/sda2 rw")
    assert [tree.target for tree in found.without("/srv/a").trees] == ["/", "/srv/ab"]


def test_identifiers_differ_for_different_targets_and_are_file_names() -> None:
    targets = ["/", "/root", "/a/b", "/a_b", "/a_2fb", "/a b", "/ä", "/\udcff"]
    identifiers = [Tree(target).identifier for target in targets]
    assert len(set(identifiers)) == len(targets)
    assert all("/" not in identifier and ":" not in identifier and identifier.isascii() for identifier in identifiers)


def test_this_machine_has_a_root() -> None:
    assert host_mounts.host_trees().trees[0].target == "/"
