"""unit-tailor replay"""

from __future__ import annotations

from pathlib import Path

import click

from policy.replay import Replayed, replay
from profiler import profile_file
from profiler.commands._output import show
from profiler.drop_in_file import read_drop_in, remarks
from profiler.errors import ExitCode
from profiler.messages import denials_in_words, replay_summary
from profiler.options import JsonStyle, json_option, quiet_option
from profiler.replay_document import replay_document
from profiler.run import pasteable
from profiler.target import target, target_option, target_remarks
from profiler.terminal import printable


@click.command("replay")
@click.argument("profile", type=click.Path(path_type=Path, readable=False))
@click.argument("drop_in", metavar="DROPIN", type=click.Path(path_type=Path, readable=False))
@target_option
@json_option
@quiet_option
def command(profile: Path, drop_in: Path, systemd: int | None, json_style: JsonStyle) -> int:
    """Replay a recording against a drop-in, ours or anybody's: would it have blocked anything?

    Exits 0 if nothing would be blocked, 3 otherwise.

    \b
    Example:
      unit-tailor replay nginx.profile nginx.conf
    """
    recorded = profile_file.read_profile(profile)
    parsed = read_drop_in(drop_in)
    host = target(systemd)
    for line in (*target_remarks(systemd), *remarks(parsed, host)):
        click.echo(printable(line), err=True)
    replayed = replay(recorded, parsed.assignments, host)
    show(json_style, replay_document(replayed), _lines(replayed))
    if replayed.denials:
        return ExitCode.DOES_NOT_FIT
    unit = recorded.header.unit.name
    click.echo(f"next: {pasteable(['unit-tailor', 'validate', unit, str(drop_in)])} --workload COMMAND", err=True)
    return ExitCode.DONE


def _lines(replayed: Replayed) -> list[str]:
    kinds = {"blocked": replayed.blocked, "changed": replayed.changed, "still refused": replayed.still_refused}
    listed = [
        f"{word}: {line}" for word, denials in kinds.items() for line in denials_in_words(denials, shown=len(denials))
    ]
    return [*listed, replay_summary(replayed)]
