"""unit-tailor why"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from policy import drop_in
from policy.blame import Blame, changes_of
from profiler import profile_file, progress
from profiler.commands._output import show
from profiler.documents import cause_documents, denial_documents, document, relaxation_documents
from profiler.engines.choice import Engine
from profiler.errors import ExitCode, UsageError
from profiler.host import read_host_facts
from profiler.machine import Host
from profiler.machine_choice import require_running_systemd
from profiler.messages import blame_in_words, vanished_in_words
from profiler.options import json_option, quiet_option
from profiler.record import Recorded
from profiler.service_options import duration_option, engine_option, workload_option
from profiler.terminal import printable
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.unit_argument import unit_argument
from profiler.validate.attendance import record_attended
from profiler.validate.installed import installed
from profiler.validate.relaxing import blame_for, suggestions
from profiler.validate.validation import Verdict


@click.command("why")
@unit_argument
@workload_option
@duration_option
@engine_option
@click.option("--attach", is_flag=True, help="Watch the running service without a restart; its start-up stays unknown.")
@click.option("--profile", type=click.Path(path_type=Path, readable=False), help="A recording from before, to compare.")
@json_option
@quiet_option
def command(unit: str, workload: Workload | None, **options: Any) -> int:
    """Say what the installed drop-in denies a service that misbehaves under it, and the smallest change that allows it.

    Restarts and uses the service under the drop-in, as 'record' does. Exits 3 if something is denied.

    \b
    Example:
      unit-tailor why nginx --workload ./use-nginx.sh
    """
    require_running_systemd()
    machine = Host()
    study = Unit.load(machine, unit)
    data = installed(study).in_force
    if data is None:
        raise UsageError(f"{study.name} has no drop-in of unit-tailor", hint=f"see: systemctl cat {study.name}")
    parsed = drop_in.parse(data)
    before = profile_file.read_profile(options["profile"]) if options["profile"] else None
    recorded = _record(study, workload, options["serving_for"], options["engine"], attach=options["attach"])
    host = read_host_facts(machine)
    problem = recorded.error.message if recorded.error else recorded.lived.health.problem
    if recorded.lived.workload_error is not None:
        problem = recorded.lived.workload_error.message
    verdict = Verdict.on(parsed.assignments, recorded.profile, host, before, problem, machine=machine)
    blamed = blame_for(parsed, verdict, suggestions(parsed, verdict, host, before), host)
    answer = document(
        unit=study.name,
        fits=verdict.fits,
        problem=verdict.problem,
        blocked=denial_documents(verdict.denials),
        causes=cause_documents(blamed),
        suggestions=relaxation_documents(changes_of(blamed)),
    )
    show(options["json_style"], answer, _lines(study.name, verdict, blamed))
    return ExitCode.DONE if verdict.fits else ExitCode.DOES_NOT_FIT


def _lines(unit: str, verdict: Verdict, blamed: Sequence[Blame]) -> list[str]:
    lines = [*blame_in_words(blamed), *vanished_in_words(verdict)]
    if verdict.problem:
        lines.append(f"failed: {printable(verdict.problem)}")
    if verdict.fits:
        lines.append(f"nothing that {unit} did was denied by the drop-in")
    elif not blamed:
        lines.append("the model does not say by which line of the drop-in")
        lines.append(f"to find it by restarts: unit-tailor revert {unit}, then unit-tailor validate --bisect")
    return lines


def _record(unit: Unit, workload: Workload | None, seconds: float, engine: Engine, *, attach: bool) -> Recorded:
    with progress.step(f"watching {unit.name} under its drop-in") as step:
        if not attach:
            unit.check_may_restart()
        return record_attended(
            unit,
            workload=workload,
            serving_for=seconds,
            engine=engine,
            announce=step.detail,
            follow=step.follow,
            attach=attach,
        )
