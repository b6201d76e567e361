"""Every failure the user can act on, and the exit codes.

::

    ToolError                 the user can act: message, hint, exit code
    +-- UsageError            bad input: exit status 2
    +-- PermissionRefused     missing rights: exit status 77
    +-- CommandFailed         another program said no

Anything else is a bug of ours and keeps its traceback. Caught once, in ``profiler.cli``.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The stable exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DOES_NOT_FIT = 3
    INCOMPLETE = 5
    PERMISSION = 77
    INTERRUPTED = 130
    BROKEN_PIPE = 141  # as a shell reports SIGPIPE: whoever read the output stopped reading


MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "an error that you can act on, or the answer is no: diff found a difference, check found slack",
    ExitCode.USAGE: "bad usage or bad input; nothing was changed",
    ExitCode.DOES_NOT_FIT: "the drop-in does not fit: replay or check found denials, or validation failed and the "
    "service was put back",
    ExitCode.INCOMPLETE: "the recording is incomplete",
    ExitCode.PERMISSION: "rights are missing",
    ExitCode.INTERRUPTED: "interrupted (128 plus the number for other signals), after putting everything back",
    ExitCode.BROKEN_PIPE: "the reader of the output stopped reading",
}
"""What each exit code tells, for the documentation."""


class ToolError(Exception):
    """A failure that the user can act on.

    ``message`` says what failed, on what, and the system's word for it; ``hint`` the cause and what to type.
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


class UsageError(ToolError):
    """Bad input: an unknown unit, an unreadable file, a malformed value. Nothing was changed."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, exit_code=ExitCode.USAGE)


class PermissionRefused(ToolError):
    """The operation needs rights that this process does not have."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, exit_code=ExitCode.PERMISSION)


class CommandFailed(ToolError):
    """Another program said no. ``status`` is its exit status, negative for the signal that ended it."""

    def __init__(self, message: str, *, hint: str = "", status: int = 1, output: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.output = output
