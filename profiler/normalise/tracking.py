"""Calls that change what must be remembered of a process. They are followed also before a service's program runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from profiler.normalise import arguments, process_descriptors
from profiler.normalise.credentials import ALL, NONE
from profiler.normalise.namespaces import kinds
from profiler.normalise.network import kind_of_socket
from profiler.normalise.processes import Directories
from profiler.normalise.sighting import Handler, Sighting
from profiler.recorders.base import RawCall, Value

TRACKERS: dict[str, Handler] = {}
"""The function that follows a successful call, by the call's name; it runs after the handler that makes the facts."""


def tracks(*names: str) -> Callable[[Handler], Handler]:
    """Register a function as the one that follows these calls."""

    def register(tracker: Handler) -> Handler:
        for name in names:
            if name in TRACKERS:
                raise TypeError(f"two trackers for {name}")
            TRACKERS[name] = tracker
        return tracker

    return register


def shared_by_clone(call: RawCall) -> frozenset[str]:
    """Return the CLONE_ flags of a fork, vfork, clone or clone3."""
    if call.name == "fork":
        return frozenset()
    if call.name == "vfork":
        return frozenset({"CLONE_VM", "CLONE_VFORK"})
    first = call.arguments[0] if call.arguments else None
    given = arguments.flags(arguments.field(first, "flags")) or arguments.flags(first)
    for value in call.arguments[1:]:
        given = given or arguments.flags(value)
    return given


def cgroup_of_clone(call: RawCall) -> Value:
    """Return the descriptor of the cgroup into which a clone3() puts the child, ``None`` if it names none."""
    return arguments.field(arguments.argument(call, 0), "cgroup")


@tracks("chdir", "fchdir")
def _changed_directory(sighting: Sighting) -> None:
    if sighting.call.name == "fchdir":
        sighting.process.directories.current = sighting.target(0)
        return
    place = sighting.place(None, 0)
    sighting.process.directories.current = place.real if place is not None else None


@tracks("chroot")
def _changed_root(sighting: Sighting) -> None:
    place = sighting.place(None, 0)
    directories = sighting.process.directories
    if place is not None and place.real == directories.moved:
        _new_top(directories, place.real)
    elif place is not None:
        directories.root = place.real


@tracks("mount")
def _mounted(sighting: Sighting) -> None:
    # As systemd changes to a service's own mount namespace: mount(root, "/", MS_MOVE), chroot(".") (mount_move_root()).
    target = sighting.place(None, 1)
    source = sighting.place(None, 0)
    if "MS_MOVE" in arguments.flags(sighting.argument(3)) and source is not None and target is not None:
        sighting.process.directories.moved = source.real if target.real == b"/" else None


@tracks("pivot_root")
def _pivoted(sighting: Sighting) -> None:
    place = sighting.place(None, 0)
    if place is not None:
        _new_top(sighting.process.directories, place.real)


def _new_top(directories: Directories, top: bytes) -> None:
    # The new root is the namespace's own: paths that the tracer shows have no prefix from now on.
    current = directories.current
    directories.root = b"/"
    directories.moved = None
    if current is not None:
        inside = current == top or current.startswith(top.rstrip(b"/") + b"/")
        directories.current = current[len(top.rstrip(b"/")) :] or b"/" if inside else None


@tracks("umask")
def _masked(sighting: Sighting) -> None:
    sighting.process.directories.umask = arguments.number(sighting.argument(0)) & 0o777


@tracks("unshare")
def _unshared(sighting: Sighting) -> None:
    given = arguments.flags(sighting.argument(0))
    process = sighting.process
    if "CLONE_FS" in given or "CLONE_NEWNS" in given:
        process.directories = replace(process.directories)
    if "CLONE_FILES" in given:
        process.descriptors = dict(process.descriptors)
    _entered(sighting, kinds(given))


@tracks("setns")
def _set_namespace(sighting: Sighting) -> None:
    _entered(sighting, kinds(arguments.flags(sighting.argument(1))))


def _entered(sighting: Sighting, entered: tuple[str, ...]) -> None:
    process = sighting.process
    if not process.studied:
        return  # systemd sets up the namespaces that are the service's own
    if "user" in entered:
        process.credentials = replace(
            process.credentials, in_user_namespace=True, permitted=ALL, effective=ALL, ambient=NONE, inheritable=NONE
        )
    if "mnt" in entered:
        process.mount_namespace = process.pid
    if "pid" in entered:
        process.children_in_pid_namespace = True


@tracks("socket")
def _new_socket(sighting: Sighting) -> None:
    sighting.ledger.sockets.put(_new_name(sighting), kind_of_socket(sighting))


@tracks("socketpair")
def _new_pair(sighting: Sighting) -> None:
    pair = sighting.argument(3)
    for end in pair if isinstance(pair, tuple) else ():
        sighting.ledger.sockets.put(sighting.descriptor_name(end), kind_of_socket(sighting))


@tracks("accept", "accept4")
def _accepted(sighting: Sighting) -> None:
    listener = sighting.ledger.sockets.learn(sighting.descriptor_name(sighting.argument(0)), type="SOCK_STREAM")
    sighting.ledger.sockets.put(_new_name(sighting), replace(listener, bound=False, device=False))


@tracks("listen")
def _listening(sighting: Sighting) -> None:
    sighting.ledger.sockets.learn(sighting.descriptor_name(sighting.argument(0)), bound=True)


@tracks("bind")
def _bound(sighting: Sighting) -> None:
    port = arguments.number(arguments.field(sighting.argument(1), "sin_port")) or arguments.number(
        arguments.field(sighting.argument(1), "sin6_port")
    )
    if port:
        sighting.ledger.sockets.learn(sighting.descriptor_name(sighting.argument(0)), bound=True)


def _new_name(sighting: Sighting) -> bytes | None:
    # Tracers without decorations do not say which socket it is: a name of our own does, until the number is reused.
    call = sighting.call
    if call.result_target is not None and call.result_target.target is not None:
        return call.result_target.target
    if call.result is None:
        return None
    name = b"socket:%d:%d:%.6f" % (sighting.process.leader, call.result, call.time)
    sighting.process.descriptors[call.result] = name
    return name


@tracks("memfd_create", "memfd_secret", "epoll_create", "epoll_create1", "eventfd", "eventfd2")
@tracks("inotify_init", "inotify_init1", "io_uring_setup")
def _nameless(sighting: Sighting) -> None:
    # Whatever file had this number before is closed. (Where the tracer names the new one, that is noted already.)
    call = sighting.call
    if call.result is not None and (call.result_target is None or call.result_target.target is None):
        sighting.process.descriptors.pop(call.result, None)


@tracks("pidfd_open")
def _process_opened(sighting: Sighting) -> None:
    process_descriptors.note(sighting)


@tracks("dup", "dup2", "dup3")
def _duplicated(sighting: Sighting) -> None:
    call, name = sighting.call, sighting.descriptor_name(sighting.argument(0))
    if call.result is not None and name is not None:
        sighting.process.descriptors[call.result] = name


@tracks("fcntl", "fcntl64")
def _fcntl_duplicated(sighting: Sighting) -> None:
    if arguments.word(sighting.argument(1)) in {"F_DUPFD", "F_DUPFD_CLOEXEC"}:
        _duplicated(sighting)
