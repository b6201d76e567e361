"""unit-tailor revert"""

from __future__ import annotations

import click

from profiler import progress
from profiler.machine import Host
from profiler.machine_choice import require_running_systemd
from profiler.options import quiet_option
from profiler.unit.unit import Unit
from profiler.validate.transaction import revert


@click.command("revert")
@click.argument("unit")
@click.option("-f", "--force", is_flag=True, help="Also if somebody edited the drop-in.")
@quiet_option
def command(unit: str, force: bool) -> None:
    """Take our drop-in away and restart the service; nobody else's file is touched.

    One on trial gives way to what was there before it. (systemctl revert would remove the administrator's files too.)

    \b
    Example:
      unit-tailor revert nginx
    """
    require_running_systemd()
    study = Unit.load(Host(), unit)
    with progress.step(f"reverting {study.name}") as step:
        words = revert(study, force=force, announce=step.detail)
    click.echo(f"{study.name} has {words} again")
