"""Taking a twin down: its processes, control groups and files. Can be repeated, and begun at any point of its life."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from profiler.errors import ToolError
from profiler.twin import cgroups, state
from profiler.twin.host_mounts import is_below, unescape


def dismantle(directory: Path) -> None:
    """Remove everything that belongs to a twin, whose directory the caller has locked.

    It is called in the host's mount namespace, where the twin's mounts cannot be seen: they go with its processes.
    Raises ToolError naming what is left.
    """
    record = state.read_record(directory)
    if record is not None:
        _end_processes(record)
    remove_tree(directory)


def _end_processes(record: state.Record) -> None:
    places = tuple(Path(place) for place in record.cgroups)
    if not cgroups.end(places):
        raise ToolError(
            f"processes of the twin {record.name} cannot be ended",
            hint=f"see which: cat {' '.join(f'{place}/*/cgroup.procs' for place in places)}",
        )
    if record.leader is not None:
        record.leader.end(5.0)


def remove_tree(directory: Path) -> None:
    """Remove a directory of ours, but never what is mounted in it. Raises ToolError if it cannot be removed."""
    mounted = [place for place in _mount_points() if is_below(place, str(directory))]
    if mounted:
        raise ToolError(f"{mounted[0]} is mounted in a twin's directory", hint=f"run: umount {mounted[0]}")
    try:
        _remove(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ToolError(f"cannot remove {error.filename}: {error.strerror}", hint=f"run: rm -r {directory}") from None


def _remove(directory: Path) -> None:
    # A service may have set the immutable attribute, or a mode that keeps even us out.
    try:
        shutil.rmtree(directory)
    except PermissionError:
        _make_removable(directory)
        shutil.rmtree(directory)


def _make_removable(directory: Path) -> None:
    from profiler import run

    run.run(["chattr", "-R", "-f", "-i", "-a", str(directory)], check=False)
    for parent, _, _ in os.walk(directory):
        os.chmod(parent, stat.S_IRWXU)  # noqa: PTH101 (no symlinks: os.walk lists directories only)


def _mount_points() -> list[str]:
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return [unescape(line.split(" ")[4]) for line in text.split("\n") if line]
