"""unit-tailor status"""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from policy.template import template_of
from profiler import progress
from profiler.commands._output import show
from profiler.documents import Document, document
from profiler.errors import ToolError, UsageError
from profiler.machine import Host, Machine
from profiler.machine_choice import require_running_systemd
from profiler.options import JsonStyle, json_option, quiet_option
from profiler.terminal import printable
from profiler.unit.health import Health, observe
from profiler.unit.names import GLOB, is_template, services
from profiler.unit.unit import Unit
from profiler.unit_argument import complete_units, scope_option
from profiler.validate.installed import (
    Installed,
    installed,
    permanent_path,
    running_instances,
    trial_path,
    units_with_ours,
)
from profiler.validate.placing import read


@click.command("status")
@click.argument("units", metavar="[UNIT|PATTERN]...", nargs=-1, shell_complete=complete_units)
@scope_option
@json_option
@quiet_option
def command(units: tuple[str, ...], json_style: JsonStyle) -> None:
    """Show which services have a drop-in of ours, permanent or on trial, and how they are.

    \b
    Examples:
      unit-tailor status
      unit-tailor status nginx --json
      unit-tailor status 'postgresql@*'
    """
    require_running_systemd()
    machine = Host()
    found: list[tuple[Installed, Health, list[str]]] = []
    seen: set[str] = set()
    for name in _named(machine, units) if units else units_with_ours(machine):
        if is_template(name):
            found.append((_of_template(machine, name), Health(), running_instances(machine, name)))
            continue
        try:
            study = Unit.load(machine, name)
        except ToolError as error:
            if name in units:
                raise
            progress.note(f"warning: {error.message}")
            continue
        if study.name not in seen:  # aliases match patterns as well
            found.append((installed(study), observe(study), []))
            seen.add(study.name)
    show(
        json_style,
        document(units=[_described(*one) for one in found]),
        [printable(f"{one.unit}: {_state(one)}; {_how(one, how, running)}") for one, how, running in found],
    )
    if not found:
        progress.note("no service has a drop-in of unit-tailor")


def _named(machine: Machine, units: Sequence[str]) -> list[str]:
    """Return what the user named, a pattern being all services that match it; raises UsageError if none does."""
    named: list[str] = []
    for word in units:
        named_in_full = f"{word.removesuffix('.service')}.service"
        found = services(machine, (word,)) if GLOB.search(word) else [word]
        found = [named_in_full] if is_template(named_in_full) and not GLOB.search(word) else found
        ours = units_with_ours(machine) if any(map(is_template, found)) else []
        matching = [name for name in found if not is_template(name) or name in ours or name == named_in_full]
        if not matching:
            raise UsageError(f"no service matches {word!a}", hint="list them: systemctl list-unit-files --type=service")
        named += matching
    return list(dict.fromkeys(named))


def _state(known: Installed) -> str:
    words = []
    if known.pending:
        words.append(
            f"on trial{' for all instances' * (known.pending.home != known.unit)}"
            f" for {max(0, known.pending.deadline - time.time()):.0f} s more: {trial_path(known.unit)}"
        )
    elif known.trial is not None:
        words.append(f"on trial: {trial_path(known.unit)}")
    if known.permanent is not None:
        words.append(f"{'edited' if known.edited else 'installed'}: {permanent_path(known.unit)}")
    if known.general is not None:
        what = "edited, for all instances" if known.edited_at(template_of(known.unit)) else "for all instances"
        words.append(f"{what}: {permanent_path(template_of(known.unit))}")
    if known.interrupted:
        words.append("a command was interrupted, and the next one finishes its work")
    return ", ".join(words) or "nothing of unit-tailor"


def _of_template(machine: Machine, template: str) -> Installed:
    return Installed(template, read(machine, permanent_path(template)))


def _how(known: Installed, health: Health, running: Sequence[str]) -> str:
    if is_template(known.unit):
        return f"running: {' '.join(running)}" if running else "no instance runs"
    return health.problem or f"it is {health.active_state}"


def _described(known: Installed, health: Health, running: Sequence[str]) -> Document:
    return {
        "unit": known.unit,
        "permanent": permanent_path(known.unit) if known.permanent is not None else None,
        "template": permanent_path(template_of(known.unit)) if known.general is not None else None,
        "instances": list(running),
        "edited": known.edited or (known.general is not None and known.edited_at(template_of(known.unit))),
        "on_trial": trial_path(known.unit) if known.trial is not None else None,
        "deadline": known.pending.deadline if known.pending else None,
        "interrupted": known.interrupted,
        "active_state": health.active_state,
        "restarts": health.restarts,
        "problem": health.problem,
    }
