"""The file systems that make up the host's tree: an overlay over ``/`` does not see what is mounted below it.

Each real file system becomes a tree of its own in the twin. Pseudo file systems (proc, sysfs, ...) are made afresh by
nspawn, network file systems are left out, because a server that does not answer would hold up the twin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from profiler.twin.kernel_calls import PLAIN, MountFlag

# fmt: off
PSEUDO = frozenset({
    "autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
    "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs",
    "selinuxfs", "smackfs", "sysfs", "tracefs",
})
"""File systems that hold no files of the host: their contents are made by the kernel."""

NETWORK = frozenset({
    "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs",
})
# fmt: on

MADE_AFRESH = ("/dev", "/proc", "/run", "/sys", "/tmp")
"""What nspawn gives a container of its own."""

FLAGS = {
    "ro": MountFlag.READ_ONLY,
    "nosuid": MountFlag.NO_SUID,
    "nodev": MountFlag.NO_DEVICES,
    "noexec": MountFlag.NO_EXECUTION,
}


@dataclass(frozen=True)
class Tree:
    """A file system of the host at its place. ``flags`` are the mount's own.

    ``image`` is a directory that stands in for it: the root of another system.
    """

    target: str
    flags: MountFlag = PLAIN
    image: str = ""

    @property
    def origin(self) -> str:
        """Where its files are."""
        return self.image or self.target

    @property
    def identifier(self) -> str:
        """A file name that is unique for the target: ``root`` for ``/``, else the path, with the rest in hex."""
        if self.target == "/":
            return "root"
        encoded = bytes(self.target, "utf-8", "surrogateescape")
        return "mount" + "".join(
            chr(byte) if chr(byte).isalnum() and byte < 128 else f"_{byte:02x}" for byte in encoded
        )


@dataclass(frozen=True)
class HostTrees:
    """The host's trees, parents first, and the mount points of network file systems that were left out."""

    trees: tuple[Tree, ...]
    left_out: tuple[str, ...]

    def without(self, path: str) -> HostTrees:
        """Return these trees without those mounted at or below ``path``."""
        return replace(self, trees=tuple(tree for tree in self.trees if not is_below(tree.target, path)))

    def holding(self, path: str) -> Tree:
        """Return the tree that an absolute path lies in."""
        return max((tree for tree in self.trees if is_below(path, tree.target)), key=lambda tree: len(tree.target))


def image_trees(image: Path) -> HostTrees:
    """Return the trees of a machine whose root is a directory of this one."""
    return HostTrees((Tree("/", image=str(image)),), ())


def host_trees() -> HostTrees:
    """Return the trees of the machine this process runs on. Raises OSError if /proc is not mounted."""
    return parse(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))


def parse(mountinfo: str) -> HostTrees:
    """Return the trees that the text of /proc/PID/mountinfo describes (proc_pid_mountinfo(5))."""
    visible: dict[str, tuple[str, MountFlag]] = {}
    for line in mountinfo.split("\n"):
        fields = line.split(" ")
        if "-" not in fields[6:]:
            continue
        target, file_system = unescape(fields[4]), fields[fields.index("-", 6) + 1]
        # What is mounted later at the same place or above hides what was there.
        visible = {place: kept for place, kept in visible.items() if not is_below(place, target)}
        visible[target] = (file_system, _flags(fields[5]))
    visible.setdefault("/", ("", PLAIN))
    wanted = {target: kept for target, kept in sorted(visible.items()) if _belongs(target, kept[0])}
    return HostTrees(
        trees=tuple(Tree(target, flags) for target, (kind, flags) in wanted.items() if kind not in NETWORK),
        left_out=tuple(target for target, (kind, _) in wanted.items() if kind in NETWORK),
    )


def is_below(path: str, top: str) -> bool:
    """Whether an absolute path is ``top`` or lies below it."""
    return path == top or path.startswith(top.rstrip("/") + "/")


def unescape(field: str) -> str:
    """Undo the octal escapes of mountinfo: blank, tab, newline, backslash and ``#``."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _flags(options: str) -> MountFlag:
    flags = PLAIN
    for option in options.split(","):
        flags |= FLAGS.get(option, PLAIN)
    return flags


def _belongs(target: str, file_system: str) -> bool:
    return file_system not in PSEUDO and not any(is_below(target, top) for top in MADE_AFRESH)
