"""unit-tailor confirm"""

from __future__ import annotations

import click

from profiler import progress
from profiler.machine import Host
from profiler.machine_choice import require_running_systemd
from profiler.options import quiet_option
from profiler.unit.unit import Unit
from profiler.validate.installed import permanent_path
from profiler.validate.transaction import confirm


@click.command("confirm")
@click.argument("unit")
@click.option("-f", "--force", is_flag=True, help="Also if the service failed, or if the drop-in was edited meanwhile.")
@quiet_option
def command(unit: str, force: bool) -> None:
    """Keep the drop-in that 'apply --confirm-within' put on trial; nothing is restarted.

    \b
    Example:
      unit-tailor confirm nginx
    """
    require_running_systemd()
    study = Unit.load(Host(), unit)
    confirm(study, force=force, announce=progress.note)
    click.echo(f"{study.name} keeps the drop-in: {permanent_path(study.name)}")
