"""unit-tailor revert"""

from __future__ import annotations

import click

from profiler import progress
from profiler.commands._output import show
from profiler.documents import document
from profiler.machine import Host
from profiler.machine_choice import require_running_systemd
from profiler.options import JsonStyle, dry_run_option, json_option, quiet_option
from profiler.unit.unit import Unit
from profiler.unit_argument import unit_argument
from profiler.validate.installed import installed, permanent_path, trial_path
from profiler.validate.transaction import revert


@click.command("revert")
@unit_argument
@click.option("-f", "--force", is_flag=True, help="Also if somebody edited the drop-in.")
@dry_run_option
@json_option
@quiet_option
def command(unit: str, force: bool, dry_run: bool, json_style: JsonStyle) -> None:
    """Take our drop-in away and restart the service; nobody else's file is touched.

    One on trial gives way to what was there before it. (systemctl revert would remove the administrator's files too.)

    \b
    Example:
      unit-tailor revert nginx
    """
    require_running_systemd()
    study = Unit.load(Host(), unit)
    if dry_run:
        found = installed(study)
        ours = trial_path(study.name) if found.trial is not None else permanent_path(study.name)
        there = found.in_force is not None
        click.echo(f"would {f'remove {ours} and restart {study.name}' if there else 'do nothing'}; nothing was changed")
        return
    with progress.step(f"reverting {study.name}") as step:
        words = revert(study, force=force, announce=step.detail)
    show(json_style, document(unit=study.name, now=words), [f"{study.name} has {words} again"])
