"""Reads a BPF ring buffer in bulk through its memory, which costs far less than a callback for each record.

The layout is that of kernel/bpf/ringbuf.c: one page with the consumer's position, one with the producer's, then the
data, mapped twice in a row so that no record is ever broken in two. Each record has a header of 8 bytes.
"""

from __future__ import annotations

import mmap
import select
import struct
from collections.abc import Iterator

_PAGE = mmap.PAGESIZE
_BUSY, _DISCARDED, _LENGTH = 1 << 31, 1 << 30, (1 << 30) - 1
_HEADER = 8
_position = struct.Struct("=Q")
_length = struct.Struct("=I")


class Ring:
    """The consumer's end of a ring buffer of ``size`` bytes behind a map's descriptor."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._size = size
        self._consumer = mmap.mmap(descriptor, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._data = mmap.mmap(descriptor, _PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE)
        self._poller = select.epoll()
        self._poller.register(descriptor, select.EPOLLIN)

    def wait(self, seconds: float) -> None:
        """Wait until there is something to read, or the time is over."""
        self._poller.poll(seconds)

    def take(self) -> list[bytes]:
        """Return the finished records and free their room."""
        return list(self._finished())

    def _finished(self) -> Iterator[bytes]:
        at = _position.unpack_from(self._consumer, 0)[0]
        end = _position.unpack_from(self._data, 0)[0]
        while at < end:
            start = _PAGE + (at & (self._size - 1))
            header = _length.unpack_from(self._data, start)[0]
            if header & _BUSY:
                break
            length = header & _LENGTH
            if not header & _DISCARDED:
                yield self._data[start + _HEADER : start + _HEADER + length]
            at += (length + _HEADER + 7) & ~7
            _position.pack_into(self._consumer, 0, at)

    def close(self) -> None:
        """Unmap everything."""
        self._poller.close()
        self._consumer.close()
        self._data.close()
