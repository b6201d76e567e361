"""unit-tailor report"""

from __future__ import annotations

import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from policy.level import Level
from policy.report.build import report
from policy.report.model import Report
from profiler import profile_file, progress
from profiler.commands._output import show, tell
from profiler.drop_in_file import read_drop_in, remarks
from profiler.generation import generate
from profiler.level_option import level_option
from profiler.options import JsonStyle, force_option, json_option, quiet_option
from profiler.report.document import document
from profiler.report.page import page
from profiler.report.text import lines
from profiler.target import target, target_option, target_remarks
from profiler.terminal import printable

GENERATED = "what generate would write"


class Format(StrEnum):
    """What a report is written as."""

    HTML = "html"
    TEXT = "text"


@click.command("report")
@click.argument("profile", type=click.Path(path_type=Path, readable=False))
@click.argument("drop_in", metavar="[DROPIN]", required=False, type=click.Path(path_type=Path, readable=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    help="Where the page goes. Default: the profile's name with .html.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice([kind.value for kind in Format]),
    callback=lambda _context, _option, value: Format(value),
    default=Format.HTML.value,
    show_default=True,
    help="html writes one page that needs nothing else; text shows the same on the terminal.",
)
@force_option
@level_option
@target_option
@json_option
@quiet_option
def command(profile: Path, drop_in: Path | None, output: Path | None, kind: Format, **options: Any) -> None:
    """Show a recording and a drop-in as one page: what is open, what was used, line by line why.

    Without DROPIN it is about the drop-in that generate would write. The page is for you alone (0600), like the
    profile: it names every file that the service uses.

    \b
    Examples:
      unit-tailor report nginx.profile
      unit-tailor report nginx.profile nginx.conf -o nginx.html
      unit-tailor report nginx.profile --format text
    """
    style: JsonStyle = options["json_style"]
    writes_page = style is JsonStyle.OFF and kind is Format.HTML
    destination = output or profile.with_name(f"{profile.name.removesuffix('.profile')}.html")
    if writes_page or output is not None:
        profile_file.check_writable(destination, force=options["force"])
    found = _report(profile, drop_in, options["level"], options["systemd"])
    if writes_page:
        with progress.step("writing the page"):
            profile_file.write_text(destination, page(found), force=options["force"])
    elif output is not None:
        text = style.render(document(found)) if style is not JsonStyle.OFF else "\n".join(lines(found))
        profile_file.write_text(destination, text + "\n", force=options["force"])
    else:
        show(style, document(found), lines(found, _columns()))
        return
    tell(printable(f"wrote the report on {found.unit}: {destination}"))
    if writes_page:
        tell(printable(f"open it in a browser: {destination.resolve().as_uri()}"))


def _columns() -> int:
    # Lines are only broken for a person; whatever reads a pipe gets them whole.
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _report(profile: Path, drop_in: Path | None, level: Level, systemd: int | None) -> Report:
    recorded = profile_file.read_profile(profile)
    parsed = read_drop_in(drop_in) if drop_in is not None else None
    host = target(systemd)
    for line in (*target_remarks(systemd), *(remarks(parsed, host) if parsed else ())):
        click.echo(printable(line), err=True)
    with progress.step("judging the recording"):
        generated = generate(recorded, host, accept_partial=True, level=level)
        return report(
            recorded,
            generated.decision,
            parsed or generated.drop_in,
            drop_in.name if drop_in is not None else GENERATED,
            generated=parsed is None,
        )
