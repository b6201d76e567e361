"""Files without a name (O_TMPFILE of open(2)), and the links that give them one."""

from __future__ import annotations

import re
from dataclasses import replace

from profiler.normalise.paths import Resolved
from profiler.normalise.sighting import Ledger

NAME = "#tmpfile"
"""What stands for all of them in facts: the kernel's own names hold the number of an inode."""

_KERNELS_NAME = re.compile(rb"#[0-9]+")  # fs/dcache.c, d_mark_tmpfile(), Linux 6.1
_BY_DESCRIPTOR = re.compile(rb"/proc/(?:[0-9]+|self|thread-self)/(?:task/[0-9]+/)?fd/[0-9]+")


def made_in(ledger: Ledger, directory: Resolved) -> Resolved:
    """Return what stands for a file without a name that was made in this directory; and remember the directory."""
    ledger.nameless.setdefault(directory.real, directory)
    return _inside(directory.real, directory.path, directory)


def linked(ledger: Ledger, source: Resolved) -> list[Resolved]:
    """Return what a link may have been made from, if that had no name; else the source itself.

    Where only ``/proc/self/fd/N`` is known, any nameless file of the recording may be meant. Where none was made, the
    source stays as it is: nothing is known about it, so nothing is assumed.
    """
    if _KERNELS_NAME.fullmatch(source.real.rsplit(b"/", 1)[-1]):
        return [_inside(source.parent, source.path.rsplit("/", 1)[0], source)]
    if _BY_DESCRIPTOR.fullmatch(source.real) and ledger.nameless:
        way = replace(source, links=(*source.links, source.real))  # the last link leads there, as the kernel goes
        return [_inside(place.real, place.path, way) for _, place in sorted(ledger.nameless.items())]
    return [source]


def _inside(real: bytes, path: str, like: Resolved) -> Resolved:
    return Resolved(
        real.rstrip(b"/") + b"/" + NAME.encode(), f"{path.rstrip('/')}/{NAME}", "", like.links, like.directories
    )
