"""Completion scripts for shells: click's own, for our command and its variable."""

from __future__ import annotations

from collections.abc import MutableMapping

from click.shell_completion import get_completion_class

from profiler.command_folder import CommandFolder

SHELLS = ("bash", "zsh", "fish")

COMMAND = "unit-tailor"
REQUEST = "_UNIT_TAILOR_COMPLETE"
"""The environment variable by which a shell asks for completions."""


# fish completes the whole of --option=value, and click only answers with the value.
_FISH_GIVEN = "    set -l given (string match -r '^--[^=]+=' -- (commandline -t));\n\n"
_FISH_LOOP = ("    for completion in", f"{_FISH_GIVEN}    for completion in")
_FISH_ANSWER = ("echo $metadata[2];", 'echo "$given"$metadata[2];')


def script(shell: str) -> str:
    """Return the script for one of ``SHELLS``, with a line end at its end. Nothing is run to make it."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"no completion for {shell}")
    # ``source`` of click's class for bash runs bash to learn its version; the template is all that we want of it.
    made = kind(CommandFolder(COMMAND), {}, COMMAND, REQUEST)
    text = (made.source_template % made.source_vars()).strip() + "\n"
    return text.replace(*_FISH_ANSWER).replace(*_FISH_LOOP) if shell == "fish" else text


def join_bash_words(environment: MutableMapping[str, str]) -> None:
    """Let click see ``--option value`` where a person types ``--option=value``: bash makes three words of that."""
    words, place = environment.get("COMP_WORDS", ""), environment.get("COMP_CWORD", "")
    if environment.get(REQUEST) != "bash_complete" or not place.isdecimal():
        return
    listed, cursor = words.split("\n"), int(place)
    if cursor < len(listed) and listed[cursor] == "=":
        listed[cursor] = ""
    elif cursor > 0 and cursor - 1 < len(listed) and listed[cursor - 1] == "=":
        del listed[cursor - 1]
        cursor -= 1
    environment.update(COMP_WORDS="\n".join(listed), COMP_CWORD=str(cursor))
