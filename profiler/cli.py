"""The command ``unit-tailor``: the group of all verbs, and the single border where errors become messages.

This module imports nothing of ``policy``: whether that is ours is checked first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from profiler import progress, standard_streams
from profiler.command_folder import CommandFolder
from profiler.errors import ExitCode, ToolError
from profiler.installation import ensure_own_policy, explain
from profiler.options import add_pager_option, quiet_option
from profiler.shell_completion import join_bash_words
from profiler.standard_streams import OutputClosed
from profiler.terminal import Style, printable, styled
from profiler.version import VERSION

COMMAND = "unit-tailor"
COMPLETION_REQUEST = "_UNIT_TAILOR_COMPLETE"
"""The environment variable by which a shell asks click for completions."""


@click.command(
    cls=CommandFolder,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try: unit-tailor COMMAND --help",
)
@click.version_option(VERSION, message=f"{COMMAND} %(version)s")
@quiet_option
@click.pass_context
def group(context: click.Context) -> None:
    """Record what a service really does, cut the tightest drop-in that it survives, and prove it by a restart."""
    context.color = True  # whether to colour was decided by profiler.terminal: click must not decide again
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(ExitCode.USAGE)


add_pager_option(group)


def main() -> int:
    """Run the command line in ``sys.argv`` and return its exit status: the console script's entry point."""
    if COMPLETION_REQUEST in os.environ:
        join_bash_words(os.environ)
        group.main(prog_name=COMMAND)
    standard_streams.install()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP, and that is respected
            signal.signal(number, _end)
    return run_command_line(sys.argv[1:])


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status, with every failure turned into a message on standard error.

    A command returns None or an ExitCode. Raises nothing but SystemExit, after SIGTERM or SIGHUP.
    """
    progress.be_quiet(quiet=False)
    try:
        ensure_own_policy()
        status = _invoke(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except OutputClosed as error:
        return error.exit_code
    except ToolError as error:
        return _complain(error.message, error.hint, error.exit_code)
    except click.ClickException as error:
        return _complain(*_in_our_words(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", "", ExitCode.INTERRUPTED)
    except Exception as error:
        return _confess(error)
    return status


def _invoke(arguments: Sequence[str]) -> int:
    """Run the group without ``click.Command.main``, which would turn any EPIPE, also of another pipe, into silence."""
    try:
        with group.make_context(COMMAND, list(arguments)) as context:
            result = group.invoke(context)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except ImportError as error:
        raise explain(error) or error from None
    return int(result) if isinstance(result, int) else ExitCode.DONE


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Unwind on SIGTERM and SIGHUP, so that every context manager puts back what it changed."""
    raise SystemExit(128 + number)


def _in_our_words(error: click.ClickException) -> tuple[str, str]:
    """Return click's complaint in the form of ours: message and hint."""
    message = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    return message[:1].lower() + message[1:], f"run: {context.command_path if context else COMMAND} --help"


def _complain(message: str, hint: str, exit_code: int) -> int:
    lines = [f"{styled('error:', Style.RED, sys.stderr)} {printable(message)}"]
    if hint:
        lines.append(f"{styled('hint:', Style.BOLD, sys.stderr)}  {printable(hint)}")
    _say(lines)
    return exit_code


def _confess(error: Exception) -> int:
    """Show a bug of ours as what it is."""
    _say([printable(line) for line in traceback.format_exc().splitlines()])
    return _complain(
        f"this is a bug in {COMMAND} {VERSION}: {type(error).__name__}: {error}",
        "please report the lines above, the command, and the output of: unit-tailor doctor --json",
        ExitCode.FAILED,
    )


def _say(lines: Sequence[str]) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody is left to tell
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
