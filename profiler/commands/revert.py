"""unit-tailor revert"""

from __future__ import annotations

from collections.abc import Sequence

import click

from profiler import progress
from profiler.commands._output import show
from profiler.documents import document, planned_document
from profiler.machine import Host
from profiler.machine_choice import require_running_systemd
from profiler.options import JsonStyle, dry_run_option, json_option, quiet_option, template_option
from profiler.unit.unit import Unit
from profiler.unit_argument import unit_argument
from profiler.validate.installed import installed, waiting_with
from profiler.validate.transaction import home_of, other_instances, revert, to_take_away


@click.command("revert")
@unit_argument
@template_option("Take away that of the template of UNIT, an instance, from all instances; only UNIT is restarted.")
@click.option("-f", "--force", is_flag=True, help="Also if somebody edited the drop-in.")
@dry_run_option
@json_option
@quiet_option
def command(unit: str, force: bool, for_template: bool, dry_run: bool, json_style: JsonStyle) -> None:
    """Take our drop-in away and restart the service; nobody else's file is touched.

    One on trial gives way to what was there before it. (systemctl revert would remove the administrator's files too.)

    \b
    Example:
      unit-tailor revert nginx
    """
    require_running_systemd()
    study = Unit.load(Host(), unit)
    together = waiting_with(study)
    if dry_run:
        _foretell([study, *together], home_of(study, for_template=for_template), force=force, style=json_style)
        return
    with progress.step(f"reverting {study.name}") as step:
        words = revert(study, force=force, for_template=for_template, announce=step.detail)
        for other in together:
            revert(other, force=force, announce=step.detail)
    show(json_style, document(unit=study.name, now=words), [f"{study.name} has {words} again"])
    others = other_instances(study, home_of(study, for_template=True)) if for_template and not together else []
    if others:
        names = " ".join(other.name for other in others)
        progress.note(f"until they are restarted, these are under it as before: {names}")


def _foretell(units: Sequence[Unit], home: str, *, force: bool, style: JsonStyle) -> None:
    files = [to_take_away(unit, installed(unit), home, force=force) for unit in units]
    names = [unit.name for unit in units]
    removed = ", ".join(drop_in for drop_in, *_ in files)
    line = f"would remove {removed} and restart {', '.join(names)}; nothing was changed"
    everything = [path for some in files for path in some]
    show(style, planned_document(names[0], removes=everything, restarts=names), [line])
