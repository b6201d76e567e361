"""What the kernel says on a read-only mount, operation by operation.

Measured with real bind mounts on Linux 6.18 (``tests/conformance/test_read_only_mounts.py`` measures again) and read
in ``fs/namei.c``, ``fs/open.c`` and ``fs/attr.c``: most operations ask for write access to the mount before they
look at the last name or at permissions, but not all.
"""

from __future__ import annotations

from policy.behaviour import OK, UNKNOWN, Access, FileKind, PathUse

EROFS = "EROFS"

HAPPENED = frozenset({OK, UNKNOWN})
"""Outcomes of calls that did what they were asked for, as far as anybody knows."""

BEFORE_LOOKUP = frozenset({"EFAULT", "EMFILE", "ENFILE", "ENAMETOOLONG", "ENOMEM", "ENOSYS", "EINTR", "EBADF"})
"""Errnos that a call gives before, or regardless of, what its path leads to."""

SPECIAL = frozenset({FileKind.FIFO, FileKind.SOCKET, FileKind.CHARACTER, FileKind.BLOCK})
"""Kinds that can be opened for writing on a read-only mount, because that writes nothing to it."""

_NAME_WALK = frozenset({"ENOTDIR", "ELOOP"})
# Errnos of the walk to the parent directory; what comes after the walk is kept per access below.

_KEPT = {
    # open for writing: ENOENT, EACCES, EISDIR and ETXTBSY come first. With O_TRUNC the mount is asked before the
    # permissions; a fact does not say whether O_TRUNC was given, and EACCES is taken to stay.
    Access.WRITE: frozenset({"ENOENT", "EACCES", "EISDIR", "ETXTBSY", "ENXIO", "ENODEV", "EPERM", "EEXIST"}),
    # A new name: the mount's answer is kept back until it is known that the name is new (filename_create).
    Access.CREATE: frozenset({"ENOENT", "EEXIST", "EISDIR", "EXDEV"}),
    Access.BIND: frozenset({"ENOENT", "EADDRINUSE", "EINVAL", "EAFNOSUPPORT"}),
    # An old name: the mount is asked first, so a missing name in an existing directory is EROFS as well.
    Access.DELETE: frozenset({"EXDEV"}),
    Access.METADATA: frozenset({"ENOENT", "ENOTTY"}),
    Access.TRUNCATE: frozenset({"ENOENT", "EACCES", "EISDIR", "EINVAL"}),
    Access.WRITE_PROBE: frozenset({"ENOENT", "EACCES"}),
}
_KEPT[Access.READ_WRITE] = _KEPT[Access.WRITE]

NAME_ACCESSES = frozenset({Access.CREATE, Access.DELETE, Access.BIND})
"""Accesses to a name: the mount of the directory decides, not that of the object."""


def read_only_outcome(use: PathUse, outcome: str) -> str:
    """Return the outcome on a read-only mount of a use that had this outcome on a writable one."""
    if use.access not in _KEPT or outcome in BEFORE_LOOKUP or outcome in _NAME_WALK:
        return outcome
    if use.kind in SPECIAL and use.access in {Access.WRITE, Access.READ_WRITE, Access.WRITE_PROBE}:
        return outcome
    return outcome if outcome in _KEPT[use.access] else EROFS
