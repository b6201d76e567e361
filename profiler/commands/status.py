"""unit-tailor status"""

from __future__ import annotations

import time

import click

from profiler import progress
from profiler.errors import ToolError
from profiler.machine import Host
from profiler.machine_choice import require_running_systemd
from profiler.options import JsonStyle, json_option
from profiler.terminal import printable
from profiler.unit.health import Health, observe
from profiler.unit.unit import Unit
from profiler.validate.installed import Installed, installed, permanent_path, trial_path, units_with_ours

SCHEMA_VERSION = 1


@click.command("status")
@click.argument("unit", required=False)
@json_option
def command(unit: str | None, json_style: JsonStyle) -> None:
    """Show which services have a drop-in of ours, permanent or on trial, and how they are.

    \b
    Examples:
      unit-tailor status
      unit-tailor status nginx --json
    """
    require_running_systemd()
    machine = Host()
    found = []
    for name in [unit] if unit else units_with_ours(machine):
        try:
            study = Unit.load(machine, name)
        except ToolError as error:
            if unit:
                raise
            progress.note(f"warning: {error.message}")
            continue
        found.append((installed(study), observe(study)))
    if json_style is not JsonStyle.OFF:
        document = {"schema_version": SCHEMA_VERSION, "units": [_described(*one) for one in found]}
        click.echo(json_style.render(document))
        return
    for known, health in found:
        click.echo(printable(f"{known.unit}: {_state(known)}; {health.problem or f'it is {health.active_state}'}"))
    if not found:
        progress.note("no service has a drop-in of unit-tailor")


def _state(known: Installed) -> str:
    words = []
    if known.pending:
        words.append(
            f"on trial for {max(0, known.pending.deadline - time.time()):.0f} s more: {trial_path(known.unit)}"
        )
    elif known.trial is not None:
        words.append(f"on trial: {trial_path(known.unit)}")
    if known.permanent is not None:
        words.append(f"{'edited' if known.edited else 'installed'}: {permanent_path(known.unit)}")
    if known.interrupted:
        words.append("a command was interrupted, and the next one finishes its work")
    return ", ".join(words) or "nothing of unit-tailor"


def _described(known: Installed, health: Health) -> dict[str, object]:
    return {
        "unit": known.unit,
        "permanent": permanent_path(known.unit) if known.permanent is not None else None,
        "edited": known.edited,
        "on_trial": trial_path(known.unit) if known.trial is not None else None,
        "deadline": known.pending.deadline if known.pending else None,
        "interrupted": known.interrupted,
        "active_state": health.active_state,
        "restarts": health.restarts,
        "problem": health.problem,
    }
