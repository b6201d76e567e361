"""When a file was created, by statx(2): Python has no way to ask on Linux."""

from __future__ import annotations

import ctypes
import struct

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_BTIME = 0x800
_LIBRARY = ctypes.CDLL(None)
_BIRTH = struct.Struct("=qI")  # struct statx_timestamp, stx_btime at offset 80 (linux/stat.h)


def birth_time(path: bytes) -> float | None:
    """Return the creation time of the object at ``path`` in seconds since the epoch.

    ``None`` if its file system keeps no such time, or the C library is too old. Raises FileNotFoundError if there is
    no such object, or it cannot be reached.
    """
    if not hasattr(_LIBRARY, "statx") or b"\0" in path:
        return None
    buffer = ctypes.create_string_buffer(256)
    if _LIBRARY.statx(_AT_FDCWD, path, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer) != 0:
        raise FileNotFoundError(path)
    if not struct.unpack_from("=I", buffer, 0)[0] & _STATX_BTIME:
        return None
    seconds, nanoseconds = _BIRTH.unpack_from(buffer, 80)
    return float(seconds + nanoseconds / 1e9)
