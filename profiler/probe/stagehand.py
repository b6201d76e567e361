"""Runs in the twin, outside of any sandbox: sets the scene for each probe and clears it up afterwards.

A program of its own (standard library only, given to python3 as text): it reads one JSON object a line and answers each
with one. What is done twice must find the same scene twice, so everything that it or a probe made is undone.

Paths are those of the service's own view, which is ``/proc/PID/root`` of the stand-in; where that view is read-only,
the twin's own root is used instead.
"""

# Each step is one call of the kernel on a path that may be any bytes:
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH116, PTH123, PTH208, PTH211
from __future__ import annotations

import contextlib
import json
import os
import pwd
import socket
import stat
import sys
from collections.abc import Callable
from typing import Any

ASIDE = ".unit-tailor-aside"
Answer = dict[str, Any]


class Scene:
    """What was changed for one probe, and how to undo it."""

    def __init__(self) -> None:
        self.views = ["", ""]  # how the root of the stand-in's view, and the twin's own, are written
        self.root = -1
        self.process = 0
        self.undo: list[tuple[str, ...]] = []
        self.listeners: list[socket.socket] = []

    def enter(self, process: int) -> Answer:
        """Take the view of a stand-in; its mounts stay reachable when it has died."""
        if self.root >= 0:
            os.close(self.root)
        self.process = process
        self.root = os.open(f"/proc/{process}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.views = [f"/proc/self/fd/{self.root}", ""]
        users = os.stat(f"/proc/{process}/ns/user").st_ino
        return {"status": status(process), "stagehand": os.getpid(), "users": users}

    def present(self, path: str, kind: str, owner: int, made_inside: bool) -> Answer:
        """Have an object at a path: the one that is there, or a stand-in of this kind and owner.

        What the service made itself is made in its own view; the rest was there before, so it is made in the twin's.
        """
        views = self.views if made_inside else self.views[1:]
        if not any(os.path.lexists(view + path) for view in self.views):
            self._made(views, path, kind, owner)
        for view in self.views:
            if os.path.lexists(view + path):
                self._keep(view, path)
                return described(view + path)
        return {}

    def absent(self, path: str, owner: int) -> Answer:
        """Have nothing at a path, but a directory for it to be in. A directory that is not empty stays."""
        for view in self.views:
            if os.path.lexists(view + path):
                if is_movable(view + path):
                    with contextlib.suppress(OSError):
                        os.rename(view + path, view + path + ASIDE)
                        self.undo.append(("return", view + path))
                        self.undo += [("remove", other + path) for other in reversed(self.views)]
                return {}
        for view in self.views:
            try:
                self._parents(view, path, owner)
                break
            except OSError:
                continue
        self.undo += [("remove", view + path) for view in reversed(self.views)]
        return {}

    def missing(self, path: str) -> Answer:
        """Leave a path as it is; what a probe makes there all the same is removed."""
        self.undo += [("remove", view + path) for view in reversed(self.views) if not os.path.lexists(view + path)]
        return {}

    def _made(self, views: list[str], path: str, kind: str, owner: int) -> None:
        for view in views:
            try:
                self._parents(view, path, owner)
                if kind == "socket":
                    self.listeners.append(listener(view + path))
                else:
                    make(kind, view + path, owner)
            except OSError:
                continue
            self.undo.append(("remove", view + path))
            return

    def renamed(self, source: str, target: str) -> Answer:
        """Expect that a probe renames one to the other, so that this is undone first."""
        for view in reversed(self.views):
            self.undo.append(("rename-back", view + source, view + target))
        return {}

    def listening(self, family: int, kind: int, address: str, port: int) -> Answer:
        """Have somebody wait at an address, unless somebody does or it is not ours."""
        end = socket.socket(family, kind)
        try:
            end.settimeout(0)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            end.bind(("\0" + address[1:]) if family == socket.AF_UNIX else (address, port))
            if kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                end.listen()
        except (OSError, TypeError):
            end.close()
        else:
            self.listeners.append(end)
        return {}

    def visit(self, family: int, kind: int, address: str, port: int) -> Answer:
        """Send something to a socket of a stand-in, or connect to it."""
        end = socket.socket(family, kind)
        end.settimeout(0)
        self.listeners.append(end)
        with contextlib.suppress(OSError):
            end.connect((address, port))
            end.send(b"x")
        return {}

    def network(self) -> Answer:
        """Say in which network the stand-in is."""
        return {"network": os.stat(f"/proc/{self.process}/ns/net").st_ino}

    def clear(self) -> Answer:
        """Undo everything, the last first."""
        for end in self.listeners:
            end.close()
        self.listeners.clear()
        while self.undo:
            with contextlib.suppress(OSError):
                undo(*self.undo.pop())
        return {}

    def _keep(self, view: str, path: str) -> None:
        # A second name keeps a file for when a probe deletes the first.
        if stat.S_ISDIR(os.lstat(view + path).st_mode):
            self.undo.append(("directory", view + path))
            return
        for other in dict.fromkeys((view, "")):
            with contextlib.suppress(OSError):
                os.link(other + path, other + path + ASIDE, follow_symlinks=False)
                self.undo.append(("keep", other + path))
                return

    def _parents(self, view: str, path: str, owner: int) -> None:
        place = ""
        for part in path.split("/")[1:-1]:
            place += "/" + part
            if not os.path.lexists(view + place):
                make("directory", view + place, owner)
                self.undo.append(("remove", view + place))


def is_movable(path: str) -> bool:
    """Whether a probe can do without what is there."""
    return not stat.S_ISDIR(os.lstat(path).st_mode) or not os.listdir(path)


def undo(what: str, path: str, other: str = "") -> None:
    """Undo one thing."""
    if what == "rename-back":
        if os.path.lexists(other) and not os.path.lexists(path):
            os.rename(other, path)
    elif what == "remove":
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.rmdir(path)
        else:
            os.unlink(path)
    elif what == "directory":
        if not os.path.lexists(path):
            os.mkdir(path, 0o755)
    elif os.path.lexists(path) and what == "keep":
        os.unlink(path + ASIDE)
    else:
        os.rename(path + ASIDE, path)


def make(kind: str, path: str, owner: int) -> None:
    """Make an object of a kind."""
    if kind == "directory":
        os.mkdir(path, 0o755)
    elif kind == "symlink":
        os.symlink("/nowhere", path)
    elif kind == "fifo":
        os.mkfifo(path, 0o644)
    elif kind in ("character", "block"):
        raise OSError("devices are there or not")
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755))
    os.chown(path, owner, group_of(owner), follow_symlinks=False)


def listener(path: str) -> socket.socket:
    """Wait at a path for everybody."""
    end = socket.socket(socket.AF_UNIX)
    try:
        end.bind(path)
        os.chmod(path, 0o777)
        end.listen()
    except OSError:
        end.close()
        raise
    return end


def group_of(owner: int) -> int:
    """Return a user's group; that of a user without a name has the same number."""
    try:
        return pwd.getpwuid(owner).pw_gid
    except KeyError:
        return owner


def described(path: str) -> Answer:
    """Say what is at a path."""
    found = os.lstat(path)
    return {"mode": found.st_mode, "size": found.st_size, "uid": found.st_uid, "gid": found.st_gid}


def status(process: int) -> dict[str, str]:
    """Return the kernel's own words about a process."""
    with open(f"/proc/{process}/status", encoding="utf-8") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def groups(owner: int) -> Answer:
    """Return the groups of a user."""
    group = group_of(owner)
    try:
        return {"group": group, "groups": os.getgrouplist(pwd.getpwuid(owner).pw_name, group)}
    except KeyError:
        return {"group": group, "groups": [group]}


def main() -> None:
    """Answer until the input ends."""
    os.umask(0o022)
    scene = Scene()
    verbs: dict[str, Callable[..., Answer]] = {
        "enter": scene.enter,
        "present": scene.present,
        "absent": scene.absent,
        "missing": scene.missing,
        "renamed": scene.renamed,
        "listening": scene.listening,
        "visit": scene.visit,
        "network": scene.network,
        "clear": scene.clear,
        "groups": groups,
    }
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        try:
            answer = verbs[verb](*arguments)
        except (OSError, ValueError, TypeError) as error:
            answer = {"error": str(error)}
        os.write(1, json.dumps(answer).encode("ascii") + b"\n")


if __name__ == "__main__":
    main()
