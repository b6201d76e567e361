"""Layers as they are kept: a directory for each tree of the host; where the disk cannot hold those, a tar archive.

The root of an ordinary container is itself an overlay, on which overlayfs refuses whiteouts and its own attributes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from profiler import run
from profiler.twin.host_mounts import HostTrees
from profiler.twin.overlay import Workspace

ARCHIVE = ".tar"
TAR = ("tar", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner")
PATIENCE = 600.0


def unpacked(layer: Path, store: Path) -> Path:
    """Return the layer as a directory, unpacked into the store if it is kept as an archive. Raises CommandFailed."""
    if layer.suffix != ARCHIVE:
        return layer
    place = store / "layers" / layer.stem
    place.mkdir(parents=True)
    run.run([*TAR, "--extract", f"--file={layer}", f"--directory={place}"], timeout=PATIENCE)
    return place


def pack(host: HostTrees, workspace: Workspace, not_kept: tuple[str, ...], finished: Path, *, archive: bool) -> None:
    """Make a layer of the changes in a workspace that is no longer mounted, and move it to ``finished`` in one step.

    What was changed below the directories ``not_kept`` is left out. Raises OSError or CommandFailed.
    """
    layer = workspace.store / "layer"
    layer.mkdir()
    for tree in host.trees:
        if workspace.upper(tree).is_dir():
            workspace.upper(tree).rename(layer / tree.identifier)
    for path in not_kept:
        tree = host.holding(path)
        shutil.rmtree(layer / tree.identifier / os.path.relpath(path, tree.target), ignore_errors=True)
    if archive:
        packed = workspace.merged.with_name("layer" + ARCHIVE)
        run.run([*TAR, "--create", f"--file={packed}", f"--directory={layer}", "."], timeout=PATIENCE)
        os.sync()
        packed.rename(finished.with_name(finished.name + ARCHIVE))
        return
    os.sync()  # the overlay was told not to care
    layer.rename(finished)
