"""Control groups of version 2, by which the kernel's side knows what belongs to a unit."""

from __future__ import annotations

from pathlib import Path

_INITIAL_NAMESPACE = 4026531835  # PROC_CGROUP_INIT_INO of linux/proc_ns.h


def mount_point(mountinfo: str) -> Path | None:
    """Return where the whole hierarchy of version 2 is mounted, by the text of /proc/self/mountinfo."""
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if " - cgroup2 " in line and fields[3] == "/":
            return Path(fields[4].replace("\\040", " "))
    return None


def group_of(process: int) -> str:
    """Return the group of a process in version 2 (``/`` for the top), as this process's namespace shows it.

    Raises OSError if the process is gone.
    """
    for line in Path(f"/proc/{process}/cgroup").read_text(encoding="utf-8").splitlines():
        if line.startswith("0::"):
            return line[3:]
    return "/"


def identify(mount: Path, group: str) -> tuple[int, int] | None:
    """Return the id and the level of an existing group, ``None`` if there is none."""
    try:
        found = (mount / group.strip("/")).stat()
    except OSError:
        return None
    return found.st_ino, len([part for part in group.split("/") if part])


def in_initial_namespace() -> bool:
    """Whether paths that this process sees are those that the kernel has."""
    return Path("/proc/self/ns/cgroup").stat().st_ino == _INITIAL_NAMESPACE
