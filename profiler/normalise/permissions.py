"""What mode bits allow, and so when a capability must have decided.

path_resolution(7), credentials(7); generic_permission() and may_delete() of Linux fs/namei.c. Access lists are not
read: where one exists on an object that the bits refuse, the capability is assumed to be needed.
"""

from __future__ import annotations

import stat

from profiler.normalise.credentials import Credentials
from profiler.normalise.owner import Owner

READ, WRITE, SEARCH = 4, 2, 1
"""Bits of a permission, as in the last digit of a mode. SEARCH is execute for files."""

EXECUTE = SEARCH


def allowed(credentials: Credentials, owner: Owner, wanted: int) -> bool:
    """Whether the mode bits alone allow this access; the owner's digit counts for the owner, even if it is stricter."""
    if credentials.user.file_system == owner.user:
        digit = owner.mode >> 6
    elif credentials.in_group(owner.group):
        digit = owner.mode >> 3
    else:
        digit = owner.mode
    return not wanted & ~digit


def refused_in_words(credentials: Credentials, owner: Owner) -> str:
    """Return whose object refuses whom, for a reason: without paths, so that reasons stay few."""
    kind = "directory" if stat.S_ISDIR(owner.mode) else "object"
    mode = stat.S_IMODE(owner.mode)
    return f"{kind} of user {owner.user} group {owner.group} mode {mode:04o}, by user {credentials.user.file_system}"


def sticky_refuses(credentials: Credentials, directory: Owner, victim: Owner) -> bool:
    """Whether a sticky directory keeps this user from deleting or renaming an object in it (restricted deletion)."""
    own = {directory.user, victim.user}
    return bool(directory.mode & stat.S_ISVTX) and credentials.user.file_system not in own
