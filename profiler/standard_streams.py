"""The standard streams, made safe: all open, and failures of standard output told apart from other failed writes."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from profiler.errors import ExitCode, ToolError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

DESCRIPTOR = 1


class OutputClosed(ToolError):
    """Whoever read the output has stopped reading, as head(1) does: nothing to complain about."""

    def __init__(self) -> None:
        super().__init__("the reader of standard output has gone", exit_code=ExitCode.BROKEN_PIPE)


class _Descriptor(io.FileIO):
    """The bottom layer: its errors name standard output, so that EPIPE of some other pipe is not mistaken for ours.

    It is a terminal if it was one in the beginning: what goes through a pager ends up on one.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._read_by_a_person = super().isatty()

    def isatty(self) -> bool:
        return self._read_by_a_person

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            _discard_the_rest()
            raise OutputClosed from None
        except OSError as error:
            _discard_the_rest()
            raise ToolError(f"cannot write to standard output: {error.strerror}") from None


def install() -> None:
    """Put this in the place of ``sys.stdout``; text that the locale cannot show is written as backslash escapes.

    A standard stream that the caller closed becomes /dev/null first: otherwise the next file that is opened would get
    its number, and messages would be written into it.
    """
    for number in range(3):
        _open_if_closed(number)
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "wb", closefd=False), errors="backslashreplace", write_through=True)
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.FileIO(DESCRIPTOR, "wb", closefd=False))
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(DESCRIPTOR)),
        encoding=sys.stdout.encoding,
        errors="backslashreplace",
        line_buffering=sys.stdout.isatty(),
    )


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


def _discard_the_rest() -> None:
    """Let later writes, also the interpreter's own flush at its end, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, DESCRIPTOR)
    os.close(nowhere)
