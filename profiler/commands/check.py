"""unit-tailor check"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from policy.drift import Drift, drift
from policy.drop_in import DropIn
from policy.level import Level
from profiler import profile_file, progress
from profiler.check_formats import Format, check_document, render
from profiler.commands._output import show
from profiler.drop_in_file import read_drop_in, remarks
from profiler.errors import ExitCode, UsageError
from profiler.options import JsonStyle, force_option, json_option, quiet_option
from profiler.target import target, target_option, target_remarks
from profiler.terminal import printable

_LEVEL = re.compile(r"level: (\w+)")


@click.command("check")
@click.argument("profile", type=click.Path(path_type=Path, readable=False))
@click.argument("drop_in", metavar="DROPIN", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--format",
    "wanted",
    type=click.Choice([one.value for one in Format]),
    default=Format.TEXT.value,
    show_default=True,
    help="For people, or for what shows results of tests (JUnit) or of analysis (SARIF 2.1.0).",
)
@click.option(
    "--fail-on",
    type=click.Choice(["slack", "blocked", "never"]),
    default="slack",
    show_default=True,
    help="What makes the check fail: settings that could be tighter as well, or blocked facts only.",
)
@click.option(
    "--level",
    type=click.Choice([level.value for level in Level]),
    help="How tight the drop-in ought to be. Default: the level that it was made with.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, readable=False), help="Where the result goes. Default: stdout."
)
@force_option
@target_option
@json_option
@quiet_option
def command(profile: Path, drop_in: Path, systemd: int | None, **options: Any) -> ExitCode:
    """Check in a build whether a drop-in still fits a profile: nothing blocked, and nothing looser than it need be.

    Exits 0 if there is no drift, 3 if a recorded fact would be blocked, 1 if only a setting could be tighter.

    \b
    Examples:
      unit-tailor check nginx.profile debian/nginx.conf
      unit-tailor check nginx.profile nginx.conf --format junit -o check.xml
    """
    output: Path | None = options["output"] if options["output"] != Path("-") else None
    style: JsonStyle = options["json_style"]
    wanted = Format(options["wanted"])
    if style is not JsonStyle.OFF and wanted is not Format.TEXT:
        raise UsageError(f"--json and --format={wanted} are two answers at once", hint="leave one of them out")
    if output is not None:
        profile_file.check_writable(output, force=options["force"])
    recorded, parsed, host = profile_file.read_profile(profile), read_drop_in(drop_in), target(systemd)
    for line in (*target_remarks(systemd), *remarks(parsed, host)):
        click.echo(printable(line), err=True)
    level = Level(options["level"]) if options["level"] else level_of(parsed)
    with progress.step(f"comparing {drop_in} with what {profile} needs"):
        found = drift(recorded, parsed.assignments, host, level)
    text = render(found, wanted, parsed, str(drop_in))
    answer = check_document(found, recorded, level, parsed)
    if output is None:
        show(style, answer, text.splitlines())
    else:
        text = text if style is JsonStyle.OFF else style.render(answer) + "\n"
        profile_file.write_text(output, text, mode=profile_file.READABLE, force=options["force"])
        progress.note(f"wrote {output}")
    return _status(found, options["fail_on"])


def level_of(parsed: DropIn) -> Level:
    """Return the level that a drop-in of ours says it was made with, standard for any other."""
    said = [match[1] for line in parsed.header if (match := _LEVEL.fullmatch(line))]
    return Level(said[0]) if said and said[0] in set(Level) else Level.STANDARD


def _status(found: Drift, fail_on: str) -> ExitCode:
    if fail_on != "never" and found.replayed.denials:
        return ExitCode.DOES_NOT_FIT
    return ExitCode.FAILED if fail_on == "slack" and found.slack else ExitCode.DONE
