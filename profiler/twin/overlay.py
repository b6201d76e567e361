"""The twin's files: an overlay over each tree of the host, so that whatever is written stays in the twin.

See the kernel's Documentation/filesystems/overlayfs.rst. The overlays are mounted in a mount namespace of the twin's
own: the host never sees them, and they cannot outlive the twin's processes.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from profiler.errors import PermissionRefused, ToolError
from profiler.twin import kernel_calls
from profiler.twin.host_mounts import MADE_AFRESH, HostTrees, Tree, is_below
from profiler.twin.kernel_calls import MountFlag

ONE_DEVICE = "xino=on"
"""Files of different layers have one st_dev, as on a real disk, and inode numbers that are unique."""

UPPER, WORK = "upper", "work"
OPAQUE = "trusted.overlay.opaque"

SMALL_FILE = 1 << 20
"""Up to this size (bytes) a file that is a mount of its own, as a container's /etc/hosts, is copied."""

OPTIONS = "redirect_dir=on,volatile"
"""Renaming a directory of the host works as on a real disk; fsync(2) costs nothing, as nothing needs to survive."""


@dataclass(frozen=True)
class Workspace:
    """Where a twin's files are made: changes are kept in ``store``, the whole is seen at ``merged``."""

    store: Path
    merged: Path

    def upper(self, tree: Tree) -> Path:
        """Return the folder in which the changes to a tree are kept."""
        return self.store / tree.identifier / UPPER


def prepare_store(workspace: Workspace) -> bool:
    """Make the folders, and mount a tmpfs as the store if its file system cannot hold changes; say whether it was.

    Root directories of containers are themselves overlays, which cannot. The caller is in a mount namespace of its
    own. Raises PermissionRefused or ToolError if no overlay can be mounted here.
    """
    for directory in (workspace.store, workspace.merged):
        directory.mkdir(mode=0o700, exist_ok=True)
    if _try_to_hold(workspace) is None:
        return False
    try:
        kernel_calls.mount("tmpfs", str(workspace.store), "tmpfs", data="mode=0700")
    except OSError as error:
        raise refusal(error) from None
    still_refused = _try_to_hold(workspace)
    if still_refused is not None:
        raise refusal(still_refused)
    return True


def mount_trees(host: HostTrees, layers: Sequence[Path], workspace: Workspace) -> tuple[str, ...]:
    """Mount a writable copy of the host's trees at ``merged``, with the layers (the topmost first) in between.

    Returns what differs from the host, in words. Raises ToolError if the root cannot be mounted.
    """
    root, *others = host.trees
    try:
        _mount_overlay(root, layers, workspace)
    except OSError as error:
        raise refusal(error) from None
    remarks = [f"{target} is a network file system and is left out" for target in host.left_out]
    return (*remarks, *filter(None, (_mount_nested(tree, layers, workspace) for tree in others)))


def refusal(error: OSError) -> ToolError:
    """Return what to tell the user when the kernel refuses an overlay."""
    message = f"cannot mount an overlay over /: {error.strerror}"
    if error.errno in (errno.EPERM, errno.EACCES):
        return PermissionRefused(
            message, hint="a twin needs root with CAP_SYS_ADMIN; in a container: run it privileged"
        )
    if error.errno == errno.ENODEV:
        return ToolError(message, hint="this kernel has no overlayfs; run: modprobe overlay")
    return ToolError(message, hint=f"see what the kernel says: dmesg | tail (kernel {os.uname().release})")


def hide(host: HostTrees, workspace: Workspace, path: str) -> None:
    """Make a directory of the host empty in the twin. To be called before the trees are mounted. Raises OSError."""
    if any(is_below(path, top) for top in MADE_AFRESH):
        return
    tree = host.holding(path)
    place, origin = workspace.upper(tree), Path(tree.target)
    place.mkdir(parents=True, exist_ok=True)
    for name in Path(path).relative_to(tree.target).parts:
        _copy_attributes(origin, place)
        place, origin = place / name, origin / name
        place.mkdir(exist_ok=True)
    _copy_attributes(origin, place)
    os.setxattr(place, OPAQUE, b"y")


def _is_kept_in(layer: Path, tree: Tree) -> bool:
    """Whether a layer lies in the file system of a tree, and not in another that is mounted below it."""
    return is_below(str(layer), tree.target) and layer.stat().st_dev == Path(tree.target).stat().st_dev


def _set_apart(tree: Tree, workspace: Workspace) -> Path:
    """Return a view of a tree as a file system of its own.

    A layer that is kept in the very tree it is stacked on makes overlayfs refuse (ELOOP: "overlapping lowerdir path").
    """
    place = workspace.store / tree.identifier
    view, empty, work = place / "base", place / "nothing", place / "nothing-work"
    for directory in (view, empty, work):
        directory.mkdir()
    data = f"lowerdir={escape(tree.target)},upperdir={escape(str(empty))},workdir={escape(str(work))},volatile"
    kernel_calls.mount("overlay", str(view), "overlay", MountFlag.READ_ONLY, data)
    return view


def escape(path: str) -> str:
    """Escape a path for the options of an overlay mount, where comma and colon separate."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _try_to_hold(workspace: Workspace) -> OSError | None:
    """Return why the store cannot hold an overlay's changes, or None if it can."""
    probe = workspace.store / "probe"
    upper, work = probe / UPPER, probe / WORK
    try:
        upper.mkdir(parents=True)
        work.mkdir()
        os.setxattr(upper, OPAQUE, b"y")
        data = f"lowerdir=/,upperdir={escape(str(upper))},workdir={escape(str(work))}"
        kernel_calls.mount("overlay", str(workspace.merged), "overlay", data=data)
        kernel_calls.unmount(str(workspace.merged))
    except OSError as error:
        return error
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    return None


def _mount_overlay(tree: Tree, layers: Sequence[Path], workspace: Workspace) -> None:
    upper, work = workspace.upper(tree), workspace.store / tree.identifier / WORK
    for directory in (upper, work):
        directory.mkdir(parents=True, exist_ok=True)
    _copy_attributes(Path(tree.origin), upper)
    lower = [layer / tree.identifier for layer in layers if (layer / tree.identifier).is_dir()]
    base = _set_apart(tree, workspace) if any(_is_kept_in(layer, tree) for layer in lower) else Path(tree.origin)
    data = ",".join(
        [
            "lowerdir=" + ":".join(escape(str(path)) for path in [*lower, base]),
            f"upperdir={escape(str(upper))}",
            f"workdir={escape(str(work))}",
            OPTIONS,
            *([ONE_DEVICE] if upper.stat().st_dev != base.stat().st_dev else []),
        ]
    )
    target = str(workspace.merged) + tree.target.rstrip("/")
    kernel_calls.mount("overlay", target, "overlay", tree.flags & ~MountFlag.READ_ONLY, data)


def _mount_nested(tree: Tree, layers: Sequence[Path], workspace: Workspace) -> str:
    """Mount one tree below the root; return a remark if it is not as on the host."""
    target = str(workspace.merged) + tree.target
    try:
        if not Path(tree.target).is_dir():
            _give_file(tree, target)
        elif MountFlag.READ_ONLY in tree.flags:
            _bind_read_only(tree, target)
        else:
            _mount_overlay(tree, layers, workspace)
    except OSError as first:
        try:
            _bind_read_only(tree, target)
        except OSError as error:
            return f"{tree.target} could not be included: {error.strerror}"
        return f"{tree.target} is read-only, as no overlay could be mounted over it: {first.strerror}"
    return ""


def _give_file(tree: Tree, target: str) -> None:
    if Path(tree.target).is_file() and Path(tree.target).stat().st_size <= SMALL_FILE:
        shutil.copyfile(tree.target, target)
    else:
        _bind_read_only(tree, target)


def _bind_read_only(tree: Tree, target: str) -> None:
    kernel_calls.mount(tree.target, target, "", MountFlag.BIND)
    kernel_calls.mount("", target, "", MountFlag.BIND | MountFlag.REMOUNT | MountFlag.READ_ONLY | tree.flags)


def _copy_attributes(origin: Path, place: Path) -> None:
    """Give a directory in the upper layer the attributes of the one it covers: the upper one's are shown."""
    found = origin.stat()
    os.chown(place, found.st_uid, found.st_gid)
    shutil.copystat(origin, place)
