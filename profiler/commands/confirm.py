"""unit-tailor confirm"""

from __future__ import annotations

import click

from policy.template import template_of
from profiler import progress
from profiler.commands._output import show
from profiler.documents import document
from profiler.machine import Host
from profiler.machine_choice import require_running_systemd
from profiler.messages import template_advice
from profiler.options import JsonStyle, json_option, quiet_option
from profiler.unit.unit import Unit
from profiler.unit_argument import unit_argument
from profiler.validate.installed import permanent_path
from profiler.validate.transaction import confirm


@click.command("confirm")
@unit_argument
@click.option("-f", "--force", is_flag=True, help="Also if the service failed, or if the drop-in was edited meanwhile.")
@json_option
@quiet_option
def command(unit: str, force: bool, json_style: JsonStyle) -> None:
    """Keep the drop-in that 'apply --confirm-within' put on trial; nothing is restarted.

    With 'apply --template' it is then installed for the template, for all instances that were tried.

    \b
    Example:
      unit-tailor confirm nginx
    """
    require_running_systemd()
    study = Unit.load(Host(), unit)
    path = confirm(study, force=force, announce=progress.note)
    show(json_style, document(unit=study.name, drop_in=path), [f"{study.name} keeps the drop-in: {path}"])
    template = template_of(study.name)
    if template and path == permanent_path(template):
        for line in template_advice(study.name, template):
            progress.note(line)
