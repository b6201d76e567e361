"""unit-tailor apply"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from policy.drop_in import stamped
from profiler import progress
from profiler.commands._output import show
from profiler.documents import applied_document, planned_document
from profiler.drop_in_file import check_for_template, origin_remarks, read_drop_in, remarks
from profiler.errors import ExitCode
from profiler.host import read_host_facts
from profiler.machine import Host
from profiler.machine_choice import require_running_systemd
from profiler.messages import template_advice
from profiler.options import JsonStyle, dry_run_option, json_option, quiet_option, template_option
from profiler.service_options import check_option, seconds
from profiler.terminal import printable
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.unit_argument import unit_argument
from profiler.validate.installed import installed, permanent_path, trial_path
from profiler.validate.transaction import Applied, apply, home_of, other_instances, refuse
from profiler.version import VERSION


@click.command("apply")
@unit_argument
@click.argument("drop_in", metavar="DROPIN", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--confirm-within",
    metavar="TIME",
    callback=lambda _context, _option, value: seconds(value) if value else 0.0,
    help="Go back by itself after this time (10min) unless 'unit-tailor confirm UNIT' comes.",
)
@check_option
@template_option("Try it for UNIT, an instance, and all others that run; then install it for the template.")
@click.option("-f", "--force", is_flag=True, help="Replace an installed drop-in of ours that somebody edited.")
@dry_run_option
@json_option
@quiet_option
def command(unit: str, drop_in: Path, confirm_within: float, check: Workload | None, **options: Any) -> int:
    """Install a drop-in for good, restart the service under it, and go back by itself if it is not well.

    Only our own file is touched. Exits 3 if the service was not well and has its settings before again.

    \b
    Examples:
      unit-tailor apply nginx nginx.conf
      unit-tailor apply nginx nginx.conf --confirm-within 10min --check 'curl -sf http://localhost/'
      unit-tailor apply postgresql@15-main postgresql.conf --template
    """
    require_running_systemd()
    parsed = read_drop_in(drop_in)
    machine = Host()
    study = Unit.load(machine, unit)
    study.check_may_restart()
    home = home_of(study, for_template=options["for_template"])
    if options["for_template"]:
        check_for_template(parsed, drop_in, force=options["force"])
    host = read_host_facts(machine)
    for line in (*remarks(parsed, host), *origin_remarks(parsed, study.name, host)):
        click.echo(line, err=True)
    if options["dry_run"]:
        _foretell(study, home, confirm_within, force=options["force"], style=options["json_style"])
        return ExitCode.DONE
    with progress.step(f"applying {drop_in} to {study.name}") as step:
        applied = apply(
            study,
            stamped(drop_in.read_bytes(), VERSION),
            parsed.assignments,
            confirm_within=confirm_within,
            check=check,
            force=options["force"],
            for_template=options["for_template"],
            announce=step.detail,
        )
    _say(study, home, applied, confirm_within, options["json_style"])
    return ExitCode.DOES_NOT_FIT if applied.problem else ExitCode.DONE


def _foretell(study: Unit, home: str, confirm_within: float, *, force: bool, style: JsonStyle) -> None:
    units = [study, *other_instances(study, home)]
    refuse(units, home, force=force)
    where = trial_path(study.name) if confirm_within else permanent_path(home)
    again = "replace" if installed(study).at(home) is not None and not confirm_within else "write"
    names = [unit.name for unit in units]
    line = f"would {again} {where} and restart {', '.join(names)}; nothing was changed"
    show(style, planned_document(study.name, writes=where, restarts=names), [line])


def _say(study: Unit, home: str, applied: Applied, confirm_within: float, style: JsonStyle) -> None:
    path = trial_path(study.name) if applied.pending else permanent_path(home)
    for warning in applied.warnings:
        click.echo(f"systemd ignores: {printable(warning)}", err=True)
    show(style, applied_document(study.name, applied, path), _lines(study, applied, confirm_within, path))
    if applied.pending:
        progress.note(f"to keep it: unit-tailor confirm {study.name}")
    elif applied.problem:
        progress.note(f"next, to see what is denied: unit-tailor validate {study.name} DROPIN --workload COMMAND")
    elif home != study.name:
        for line in template_advice(study.name, home):
            progress.note(line)
    else:
        progress.note(f"to undo it: unit-tailor revert {study.name}")


def _lines(study: Unit, applied: Applied, confirm_within: float, path: str) -> list[str]:
    if applied.problem:
        return [
            f"failed: {printable(applied.problem)}",
            f"{applied.unit or study.name} does not work under the drop-in; it has its settings before again",
        ]
    names, works = ", ".join(applied.tried or (study.name,)), "work" if len(applied.tried) > 1 else "works"
    if applied.pending:
        return [f"{names} {works} under the drop-in, which goes away in {confirm_within:g} s, or at a reboot"]
    return [f"{names} {works} under the drop-in: {path}"]
