"""unit-tailor revert"""

from __future__ import annotations

import click

from profiler import progress
from profiler.commands._output import show
from profiler.documents import document, planned_document
from profiler.machine import Host
from profiler.machine_choice import require_running_systemd
from profiler.options import JsonStyle, dry_run_option, json_option, quiet_option, template_option
from profiler.unit.unit import Unit
from profiler.unit_argument import unit_argument
from profiler.validate.installed import installed, running_instances, waiting_with
from profiler.validate.transaction import home_of, revert, to_take_away


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
    if dry_run:
        files = to_take_away(study, installed(study), home_of(study, for_template=for_template), force=force)
        line = f"would remove {files[0]} and restart {study.name}; nothing was changed"
        show(json_style, planned_document(study.name, removes=files, restarts=[study.name]), [line])
        return
    with progress.step(f"reverting {study.name}") as step:
        together = _on_trial_together(study)
        words = revert(study, force=force, for_template=for_template, announce=step.detail)
        for other in together:
            revert(other, force=force, announce=step.detail)
    others = _under_it_still(study) if for_template and not together else []
    show(json_style, document(unit=study.name, now=words), [f"{study.name} has {words} again"])
    if others:
        progress.note(f"until they are restarted, these are under it as before: {' '.join(others)}")


def _on_trial_together(study: Unit) -> list[Unit]:
    """Return the other instances for which the same drop-in of a template is on trial."""
    pending = installed(study).pending
    return [Unit(study.machine, name) for name in waiting_with(study, pending.home)] if pending else []


def _under_it_still(study: Unit) -> list[str]:
    names = running_instances(study.machine, home_of(study, for_template=True))
    others = [Unit(study.machine, name) for name in names if name != study.name]
    return [other.name for other in others if installed(other).permanent is None]
