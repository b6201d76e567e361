"""Completion scripts for shells: click's own, for our command and its variable."""

from __future__ import annotations

from click.shell_completion import get_completion_class

from profiler.command_folder import CommandFolder

SHELLS = ("bash", "zsh", "fish")

COMMAND = "unit-tailor"
REQUEST = "_UNIT_TAILOR_COMPLETE"
"""The environment variable by which a shell asks for completions."""


def script(shell: str) -> str:
    """Return the script for one of ``SHELLS``, with a line end at its end. Nothing is run to make it."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"no completion for {shell}")
    # ``source`` of click's class for bash runs bash to learn its version; the template is all that we want of it.
    made = kind(CommandFolder(COMMAND), {}, COMMAND, REQUEST)
    return (made.source_template % made.source_vars()).strip() + "\n"
