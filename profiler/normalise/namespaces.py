"""Namespaces that the service makes or enters, and its changes to the mount table."""

from __future__ import annotations

from policy.behaviour import Access, Mounted, NamespaceUsed
from profiler.normalise import arguments
from profiler.normalise.path_uses import use
from profiler.normalise.sighting import Sighting, handles

KINDS = {
    "CLONE_NEWNS": "mnt",
    "CLONE_NEWUTS": "uts",
    "CLONE_NEWIPC": "ipc",
    "CLONE_NEWUSER": "user",
    "CLONE_NEWPID": "pid",
    "CLONE_NEWNET": "net",
    "CLONE_NEWCGROUP": "cgroup",
    "CLONE_NEWTIME": "time",
}
"""The flags of clone(2) for namespaces, and the words of RestrictNamespaces= for them."""

_MOUNTING = frozenset({"mount", "umount", "umount2", "move_mount", "pivot_root", "mount_setattr", "fsmount"})


def kinds(names: frozenset[str]) -> tuple[str, ...]:
    """Return the kinds of namespaces among some CLONE_ flags, sorted."""
    return tuple(sorted(KINDS[name] for name in names if name in KINDS))


def cloned(sighting: Sighting, flags: frozenset[str]) -> None:
    """Record the namespaces of a clone(); and that clone3() was called at all, which RestrictNamespaces= refuses."""
    made = kinds(flags)
    if made or sighting.call.name == "clone3":
        sighting.emit(NamespaceUsed(sighting.call.name, made))
    if made and "user" not in made:
        sighting.needs("CAP_SYS_ADMIN", f"{sighting.call.name} of a namespace")
    structure = sighting.argument(0)
    if arguments.field(structure, "set_tid"):
        sighting.needs_one(("CAP_CHECKPOINT_RESTORE", "CAP_SYS_ADMIN"), "clone3 with set_tid")


@handles("unshare")
def _unshare(sighting: Sighting) -> None:
    made = kinds(arguments.flags(sighting.argument(0)))
    if made:
        sighting.emit(NamespaceUsed("unshare", made))
    if made and "user" not in made:
        sighting.needs("CAP_SYS_ADMIN", "unshare of a namespace")


@handles("setns")
def _enter(sighting: Sighting) -> None:
    entered = kinds(arguments.flags(sighting.argument(1)))
    sighting.emit(NamespaceUsed("setns", entered))
    sighting.needs("CAP_SYS_ADMIN", "setns")
    if "mnt" in entered or not entered:
        sighting.needs("CAP_SYS_CHROOT", "setns into a mount namespace")


@handles(
    "mount", "umount", "umount2", "pivot_root", "move_mount", "mount_setattr", "fsmount", "fsopen", "open_tree_attr"
)
def _mount(sighting: Sighting) -> None:
    name = sighting.call.name
    sighting.needs("CAP_SYS_ADMIN", name)
    if name not in _MOUNTING:
        return
    position = {"mount": (None, 1), "move_mount": (2, 3), "mount_setattr": (0, 1)}.get(name, (None, 0))
    place = sighting.place(*position) if name != "fsmount" else None
    if name == "mount":
        source = sighting.argument(0)
        if isinstance(source, bytes) and source.startswith(b"/"):
            use(sighting, sighting.find(source), Access.LOOKUP)
    use(sighting, place, Access.LOOKUP)
    sighting.emit(Mounted(name, place.path if place is not None else "", bool(sighting.process.mount_namespace)))
    if sighting.succeeded:
        sighting.ledger.paths.forget()


@handles("fsconfig")
def _configure(sighting: Sighting) -> None:
    command = arguments.word(sighting.argument(1))
    if command in {"FSCONFIG_CMD_CREATE", "FSCONFIG_CMD_CREATE_EXCL", "FSCONFIG_CMD_RECONFIGURE", "6", "7", "8"}:
        sighting.needs("CAP_SYS_ADMIN", f"fsconfig({command})")
