"""unit-tailor generate"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from policy.exposure_rating import rate
from policy.level import Level
from policy.wording import advice_in_words
from profiler import profile_file, progress
from profiler.commands._output import show, tell
from profiler.documents import generated_document
from profiler.generation import generate
from profiler.level_option import level_option
from profiler.options import JsonStyle, force_option, json_option, quiet_option
from profiler.run import pasteable
from profiler.target import target, target_option, target_remarks


@click.command("generate")
@click.argument("profile", type=click.Path(path_type=Path, readable=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    help="Write the drop-in here. Default: standard output.",
)
@force_option
@level_option
@target_option
@click.option("--template", is_flag=True, help="Make it for all instances: %i where a path names the recorded one.")
@click.option("--accept-partial", is_flag=True, help="Make a drop-in although the recording lost something.")
@json_option
@quiet_option
def command(profile: Path, output: Path | None, systemd: int | None, level: Level, **options: Any) -> None:
    """Cut the tightest drop-in that everything in a profile survives.

    \b
    Example:
      unit-tailor generate nginx.profile -o nginx.conf
    """
    output = None if output == Path("-") else output
    if output is not None:
        profile_file.check_writable(output, force=options["force"])
    recorded = profile_file.read_profile(profile)
    for line in target_remarks(systemd):
        click.echo(line, err=True)
    host = target(systemd)
    with progress.step("cutting the drop-in"):
        generated = generate(
            recorded, host, accept_partial=options["accept_partial"], level=level, template=options["template"]
        )
    tell(str(rate(generated.decision)))
    for advice in generated.advice:
        tell(f"advice: {advice_in_words(advice)}")
    style: JsonStyle = options["json_style"]
    if output is None:
        show(style, generated_document(generated, level, output), generated.text.splitlines())
        return
    profile_file.write_text(output, generated.text, mode=0o644, force=options["force"])
    if style is not JsonStyle.OFF:
        click.echo(style.render(generated_document(generated, level, output)))
    tell(f"wrote {len(generated.drop_in.settings)} settings to {output}")
    if options["template"]:
        apply = ["unit-tailor", "apply", recorded.header.unit.name, str(output), "--template"]
        tell(f"to try it for that instance and install it for all: {pasteable(apply)}")
    tell(f"next: {pasteable(['unit-tailor', 'replay', str(profile), str(output)])}")
