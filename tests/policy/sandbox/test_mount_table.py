"""Which mount decides, and whom a denial blames. The errnos themselves are held against a real kernel elsewhere."""

from __future__ import annotations

import pytest

from policy.behaviour import OK, Access, Fact, FileKind, Mounted, PathPair, PathUse
from policy.host_facts import HostFacts
from policy.sandbox.denial import Denial
from policy.sandbox.hidden import EMPTY, LOST
from policy.sandbox.mount_table import UNSEEN
from policy.sandbox.sandbox import Sandbox
from policy.settings import build_sandbox, parse_settings
from policy.unit_settings import UnitSettings

HOST = HostFacts(252)


def sandbox(lines: str, unit: UnitSettings | None = None, version: int = 252) -> Sandbox:
    host = HostFacts(version)
    pairs = [line.split("=", 1) for line in lines.split("\n") if "=" in line]
    assignments = [(name.strip(), value.strip()) for name, value in pairs]
    return build_sandbox(parse_settings(assignments, host), host, unit or UnitSettings("a.service"))


def use(path: str, access: Access, outcome: str = OK, *, user: int = 0, **fields: object) -> Fact:
    kind = fields.pop("kind", FileKind.REGULAR)
    return Fact(PathUse(path, access, kind, **fields), outcome, user=user)  # type: ignore[arg-type]


def verdict(denial: Denial | None) -> tuple[str, str] | None:
    return (denial.setting, denial.outcome) if denial else None


STRICT = "ProtectSystem=strict\n"


def test_the_nearest_entry_decides() -> None:
    table = sandbox(STRICT + "ReadWritePaths=/var/lib/x\nReadOnlyPaths=/var/lib/x/static")
    assert verdict(table.judge(use("/var/lib/y", Access.WRITE))) == ("ProtectSystem=strict", "EROFS")
    assert table.judge(use("/var/lib/x/y", Access.CREATE)) is None
    static = use("/var/lib/x/static/y", Access.CREATE)
    assert verdict(table.judge(static)) == ("ReadOnlyPaths=/var/lib/x/static", "EROFS")
    assert table.judge(use("/home/user/y", Access.CREATE)) is None


def test_two_entries_are_two_mounts() -> None:
    """T1: rename between two entries is EXDEV even on one file system; a directory above both heals it."""
    moved = Fact(PathPair("rename", "/var/lib/x/a", "/var/log/x/a"))
    apart = sandbox(STRICT + "ReadWritePaths=/var/lib/x /var/log/x")
    denial = apart.judge(moved)
    assert denial is not None and (denial.directive, denial.outcome) == ("ReadWritePaths", "EXDEV")
    assert "/var/lib/x" in denial.note and "/var/log/x" in denial.note
    assert sandbox(STRICT + "ReadWritePaths=/var").judge(moved) is None
    assert sandbox("").judge(moved) is None


def test_an_entry_cannot_be_replaced() -> None:
    """T2: EBUSY where the directory is writable, EROFS where it is not."""
    replaced = Fact(PathPair("rename", "/etc/x/new", "/etc/x/conf", replaced=True))
    assert verdict(sandbox("ReadWritePaths=/etc/x/conf").judge(replaced)) == ("ReadWritePaths=/etc/x/conf", "EBUSY")
    strict = sandbox(STRICT + "ReadWritePaths=/etc/x/conf")
    assert verdict(strict.judge(replaced)) == ("ProtectSystem=strict", "EROFS")
    assert strict.judge(use("/etc/x/conf", Access.WRITE)) is None


def test_an_optional_entry_may_be_made_by_the_service_itself() -> None:
    table = sandbox("ReadWritePaths=-/srv/x/new")
    assert table.judge(use("/srv/x/new", Access.CREATE)) is None


def test_directories_of_the_unit_are_writable() -> None:
    unit = UnitSettings("a.service", writable_directories=("/var/lib/a",))
    table = sandbox(STRICT, unit)
    assert table.judge(use("/var/lib/a/data", Access.CREATE)) is None
    across = Fact(PathPair("rename", "/var/lib/a/data", "/var/lib/b"))
    denial = table.judge(across)
    assert denial is not None and denial.outcome == "EXDEV"
    assert sandbox("", unit).judge(across) is None, "without a mount namespace nothing is mounted"


def test_a_set_up_that_fails_denies_everything() -> None:
    table = sandbox("ProtectHome=tmpfs\nReadWritePaths=/home/a")
    denial = table.judge(use("/usr/bin/true", Access.EXECUTE))
    assert denial is not None
    assert denial.setting == "ReadWritePaths=/home/a"
    assert "226" in denial.note


MOUNTED = Fact(Mounted("mount", "/mnt/backup"))


@pytest.mark.parametrize("line", ["PrivateTmp=yes", "ProtectSystem=yes", "PrivateMounts=yes", "ProtectProc=invisible"])
def test_mounts_for_the_host_are_lost_in_any_private_namespace(line: str) -> None:
    assert verdict(sandbox(line).judge(MOUNTED)) == (line, UNSEEN)
    privileged = Fact(Mounted("mount", "/mnt/backup"), exec_line="+ExecStartPre")
    assert verdict(sandbox(line).judge(privileged)) == (line, UNSEEN), "T8: not even + lines escape"
    assert sandbox(line).judge(Fact(Mounted("mount", "/mnt", in_own_namespace=True))) is None
    assert sandbox(line).judge(Fact(Mounted("mount", "/mnt"), "EPERM")) is None


def test_lines_with_a_plus_escape_everything_else() -> None:
    fact = Fact(PathUse("/etc/x", Access.WRITE, FileKind.REGULAR), exec_line="+ExecStartPre")
    assert sandbox(STRICT).judge(fact) is None


def test_an_entry_through_a_symlink_counts_for_what_it_leads_to() -> None:
    """The fact says which way the service went, so an entry that people wrote the same way is understood."""
    table = sandbox(STRICT + "ReadWritePaths=/srv/link")
    there = use("/data/real/file", Access.WRITE, through="/srv/link/file")
    assert table.judge(there) is None
    assert table.judge(use("/data/real/file", Access.CREATE, through="/srv/link/file")) is None
    assert verdict(table.judge(use("/data/real/file", Access.WRITE))) == ("ProtectSystem=strict", "EROFS")


def test_a_symlink_must_be_visible_too() -> None:
    through_home = use("/etc/x", Access.READ, user=33, through="/home/a/x")
    assert verdict(sandbox("ProtectHome=yes").judge(through_home)) == ("ProtectHome=yes", "EACCES")
    assert verdict(sandbox("ProtectHome=tmpfs").judge(through_home)) == ("ProtectHome=tmpfs", "ENOENT")
    disk = use("/dev/sda", Access.LOOKUP, kind=FileKind.BLOCK, through="/dev/disk/by-id/x")
    assert verdict(sandbox("PrivateDevices=yes").judge(disk)) == ("PrivateDevices=yes", "ENOENT")


def test_permissions_count_below_an_inaccessible_path() -> None:
    """T6: ENOENT stays ENOENT only for who may override permissions."""
    missing = use("/root/.cache", Access.LOOKUP, "ENOENT")
    assert sandbox("ProtectHome=yes").judge(missing) is None
    bounded = sandbox("ProtectHome=yes\nCapabilityBoundingSet=CAP_CHOWN")
    assert verdict(bounded.judge(missing)) == ("ProtectHome=yes", "EACCES")
    assert sandbox("ProtectHome=tmpfs\nCapabilityBoundingSet=CAP_CHOWN").judge(missing) is None


def test_a_missing_home_stays_missing() -> None:
    assert sandbox("ProtectHome=yes").judge(use("/root", Access.LOOKUP, "ENOENT", user=33)) is None


def test_success_that_shows_nothing_is_a_denial() -> None:
    listed = use("/home", Access.READ, kind=FileKind.DIRECTORY)
    assert verdict(sandbox("ProtectHome=yes").judge(listed)) == ("ProtectHome=yes", EMPTY)
    kept = use("/root/.state", Access.CREATE)
    assert verdict(sandbox("ProtectHome=tmpfs").judge(kept)) == ("ProtectHome=tmpfs", LOST)
    assert verdict(sandbox("ProtectHome=tmpfs", version=257).judge(kept)) == ("ProtectHome=tmpfs", "EROFS")
    assert sandbox("TemporaryFileSystem=/root").judge(kept) is None, "there it is what the administrator wants"


def test_only_what_the_service_made_is_in_its_private_tmp() -> None:
    table = sandbox("PrivateTmp=yes")
    assert table.judge(use("/tmp/mine", Access.CREATE)) is None
    assert table.judge(use("/tmp/mine/deeper", Access.CREATE, created_by_service=True)) is None
    assert table.judge(use("/tmp/mine", Access.READ, created_by_service=True)) is None
    foreign = use("/tmp/.X11-unix/X0", Access.CONNECT, kind=FileKind.SOCKET)
    assert verdict(table.judge(foreign)) == ("PrivateTmp=yes", "ENOENT")
    assert verdict(table.judge(use("/var/tmp/lock", Access.CREATE, "EEXIST"))) == ("PrivateTmp=yes", "ok")
    assert table.judge(use("/tmp/nothing", Access.LOOKUP, "ENOENT")) is None


def test_links_in_proc_go_with_a_subset() -> None:
    mounts = use("/proc/self/mounts", Access.READ, through="/proc/mounts")
    assert verdict(sandbox("ProcSubset=pid").judge(mounts)) == ("ProcSubset=pid", "ENOENT")
    assert sandbox("ProcSubset=pid").judge(use("/proc/self/mounts", Access.READ)) is None
    assert sandbox("ProcSubset=pid").judge(use("/proc/4711/stat", Access.READ)) is None


def test_other_processes_are_hidden_by_group() -> None:
    other = use("/proc/other/stat", Access.READ, user=33)
    assert verdict(sandbox("ProtectProc=invisible").judge(other)) == ("ProtectProc=invisible", "ENOENT")
    assert verdict(sandbox("ProtectProc=noaccess").judge(other)) == ("ProtectProc=noaccess", "EPERM")
    assert sandbox("ProtectProc=invisible").judge(use("/proc/other/stat", Access.READ)) is None
    assert sandbox("ProtectProc=invisible").judge(use("/proc/own/stat", Access.READ, user=33)) is None
    untraced = "ProtectProc=ptraceable\nCapabilityBoundingSet=CAP_CHOWN"
    assert verdict(sandbox(untraced).judge(use("/proc/other/stat", Access.READ)))


def test_a_directive_that_merged_into_another_is_to_blame() -> None:
    """Below strict systemd drops the read-only /home of ProtectHome=, but that had replaced a writable one."""
    denial = sandbox(STRICT + "ProtectHome=read-only").judge(use("/home/a/x", Access.CREATE))
    assert verdict(denial) == ("ProtectHome=read-only", "EROFS")
    groups = sandbox("ProtectKernelTunables=yes\nProtectControlGroups=yes")
    denial = groups.judge(use("/sys/fs/cgroup/a/cgroup.procs", Access.WRITE))
    assert verdict(denial) == ("ProtectControlGroups=yes", "EROFS")
    assert verdict(groups.judge(use("/sys/kernel/x", Access.WRITE))) == ("ProtectKernelTunables=yes", "EROFS")
