"""unit-tailor harden"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from policy.drop_in import DropIn
from policy.exposure_rating import rate
from policy.host_facts import HostFacts
from policy.replay import Replayed, replay
from policy.service_profile import Profile
from profiler import profile_file, progress
from profiler.commands._output import show, tell
from profiler.commands.record import conclude
from profiler.documents import Document, hardening_document
from profiler.errors import ExitCode
from profiler.generation import Generated, generate
from profiler.host import read_host_facts
from profiler.level_option import level_option
from profiler.machine import Machine
from profiler.machine_choice import MachineChoice, machine_options
from profiler.messages import (
    denials_in_words,
    installation_advice,
    minimisation_advice,
    minimisation_in_words,
    replay_summary,
    validation_in_words,
)
from profiler.minimisation import Order, minimal_path, minimisation_status, minimise, notes_path
from profiler.options import JsonStyle, dry_run_option, force_option, json_option, quiet_option
from profiler.plan import plan_document, plan_in_words
from profiler.planning import Request, plan_hardening
from profiler.record import Recorded
from profiler.service_options import check_option, duration_option, engine_option, workload_option
from profiler.unit.names import full_name
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.unit_argument import unit_argument
from profiler.validate.attendance import record_attended
from profiler.validate.relaxing import Relaxed, Trying
from profiler.validate.validation import Verdict, validate


@click.command("harden")
@unit_argument
@workload_option
@duration_option
@check_option
@engine_option
@click.option(
    "-o",
    "--output-directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where UNIT.conf and UNIT.profile go. Default: this directory.",
)
@force_option
@level_option
@click.option("--relax/--no-relax", default=True, help="If validation finds something blocked, allow it and try again.")
@click.option(
    "--minimise",
    is_flag=True,
    help="Then take away what the workload does not miss, by restarts in a twin: UNIT.minimal.conf. Takes minutes.",
)
@click.option("--show", is_flag=True, help="Print the drop-in as well.")
@click.option("--accept-partial", is_flag=True, help="Go on although the recording lost something.")
@dry_run_option
@machine_options
@json_option
@quiet_option
def command(unit: str, workload: Workload | None, machine_choice: MachineChoice, **options: Any) -> int:
    """Record a service, cut its drop-in, replay it and validate it by a restart: everything in one go.

    Leaves UNIT.profile and UNIT.conf, and with --minimise UNIT.minimal.conf. Exits 0 with a validated drop-in, 3 if it
    does not fit.

    \b
    Examples:
      unit-tailor harden nginx --workload ./use-nginx.sh
      unit-tailor harden redis-server --twin --package redis-server --package redis-tools --workload ./use-redis.sh
    """
    paths = _outputs(unit, options)
    if options["dry_run"]:
        return _say_plan(unit, paths, workload, machine_choice, options)
    profile_path, drop_in_path = paths
    for notes in _minimal(drop_in_path, options)[1:]:
        notes.unlink(missing_ok=True)  # answers about another drop-in
    with machine_choice.machine(workload) as machine:
        study = _study(machine, unit)
        host = read_host_facts(machine)
        recorded = _record(study, workload, options)
    status = conclude(
        recorded, profile_path, force=options["force"], accept_failed=False, next_command=recorded.lived.interrupted
    )
    if status == ExitCode.INTERRUPTED:
        return status
    with progress.step("cutting the drop-in"):
        generated = generate(recorded.profile, host, accept_partial=options["accept_partial"], level=options["level"])
        replayed = replay(recorded.profile, generated.drop_in.assignments, host)
    profile_file.write_text(drop_in_path, generated.text, mode=0o644, force=options["force"])
    style: JsonStyle = options["json_style"]
    _say(style, [str(rate(generated.decision))])
    if options["show"]:
        _say(style, ["", *generated.text.splitlines(), ""])
    _say(style, [*(f"blocked: {line}" for line in denials_in_words(replayed.denials)), replay_summary(replayed)])
    if replayed.denials:
        _answer(style, hardening_document(recorded, (profile_path, drop_in_path), generated, replayed))
        return ExitCode.DOES_NOT_FIT
    cut = _Cut(recorded, generated, replayed, host, paths)
    relaxed = _prove(cut, machine_choice, unit, workload, options)
    if options["minimise"] and relaxed.verdict.fits:
        _say(style, validation_in_words(relaxed, study.name))
        order = Order(machine_choice, study.name, relaxed.drop_in, notes_path(minimal_path(drop_in_path)), workload)
        order = replace(order, check=options["check"], before=recorded.profile, engine=options["engine"])
        return _minimise(cut, relaxed, order, style)
    _answer(style, hardening_document(recorded, paths, generated, replayed, relaxed))
    return _conclude(relaxed, study.name, drop_in_path, style)


@dataclass(frozen=True)
class _Cut:
    recorded: Recorded
    generated: Generated
    replayed: Replayed
    host: HostFacts
    paths: tuple[Path, Path]


def _outputs(unit: str, options: dict[str, Any]) -> tuple[Path, Path]:
    # Refused before any work: what exists already, unless it is to be replaced.
    base = full_name(unit).removesuffix(".service")
    profile, drop_in = (options["output_directory"] / f"{base}.{kind}" for kind in ("profile", "conf"))
    profile_file.make_directory(options["output_directory"], only_check=options["dry_run"])
    for path in (profile, drop_in, *_minimal(drop_in, options)) if options["output_directory"].exists() else ():
        profile_file.check_writable(path, force=options["force"])
    return profile, drop_in


def _minimal(drop_in: Path, options: dict[str, Any]) -> tuple[Path, ...]:
    minimal = minimal_path(drop_in)
    return (minimal, notes_path(minimal)) if options["minimise"] else ()


def _say_plan(
    unit: str, paths: tuple[Path, Path], workload: Workload | None, choice: MachineChoice, options: dict[str, Any]
) -> int:
    serving, check = options["serving_for"], options["check"]
    request = Request(choice, options["engine"], unit, (), workload, serving, check=check)
    files = (*paths, *_minimal(paths[1], options)[:1])
    plan = plan_hardening(request, files, options["level"], relax=options["relax"], minimise=options["minimise"])
    show(options["json_style"], plan_document(plan), plan_in_words(plan))
    return ExitCode.DONE


def _prove(
    cut: _Cut, machine_choice: MachineChoice, unit: str, workload: Workload | None, options: dict[str, Any]
) -> Relaxed:
    profile_path, drop_in_path = cut.paths
    # A new twin: it is as fresh as the one that was recorded, so that what is done only once is done again.
    with (
        machine_choice.machine(workload) as machine,
        progress.step(f"validating {full_name(unit)} under {drop_in_path}") as step,
    ):
        relaxed = _validate(
            _study(machine, unit),
            cut.generated,
            cut.recorded.profile,
            cut.host,
            workload=workload,
            step=step,
            options=options,
        )
    if relaxed.relaxations:
        profile_file.write_text(drop_in_path, relaxed.drop_in.render(), mode=0o644, force=True)
    tell(f"wrote {profile_path} and {drop_in_path}")
    return relaxed


def _minimise(cut: _Cut, relaxed: Relaxed, order: Order, style: JsonStyle) -> int:
    profile, drop_in = cut.paths
    output = minimal_path(drop_in)
    with progress.step(f"minimising {drop_in}") as step:
        found = minimise(order, step.detail)
    profile_file.write_text(output, found.drop_in.render(), mode=0o644, force=True)
    answer = hardening_document(
        cut.recorded, cut.paths, cut.generated, cut.replayed, relaxed, minimised=(found, output)
    )
    _answer(style, answer)
    _say(style, minimisation_in_words(found))
    for line in (f"wrote {output}", *minimisation_advice(found, order, drop_in, profile, output)):
        tell(line)
    return minimisation_status(found, order)


def _validate(
    study: Unit,
    generated: Generated,
    before: Profile,
    host: HostFacts,
    *,
    workload: Workload | None,
    step: progress.Step,
    options: dict[str, Any],
) -> Relaxed:
    def test(candidate: DropIn) -> Verdict:
        return validate(
            study,
            candidate.render(),
            candidate.assignments,
            host,
            workload=workload,
            check=options["check"],
            before=before,
            engine=options["engine"],
            announce=step.detail,
            follow=step.follow,
        )

    trying = Trying(test, host, before, step.detail)
    return trying.until_it_fits(generated.drop_in) if options["relax"] else trying.once(generated.drop_in)


def _conclude(relaxed: Relaxed, name: str, drop_in_path: Path, style: JsonStyle) -> int:
    _say(style, validation_in_words(relaxed, name))
    if not relaxed.verdict.fits:
        return ExitCode.DOES_NOT_FIT
    for line in installation_advice(name, drop_in_path):
        tell(line)
    return ExitCode.DONE


def _record(study: Unit, workload: Workload | None, options: dict[str, Any]) -> Recorded:
    with progress.step(f"recording {study.name}") as step:
        return record_attended(
            study,
            workload=workload,
            serving_for=options["serving_for"],
            engine=options["engine"],
            announce=step.detail,
            follow=step.follow,
        )


def _study(machine: Machine, name: str) -> Unit:
    unit = Unit.load(machine, name)
    unit.check_may_restart()
    unit.check_without_ours()
    return unit


def _answer(style: JsonStyle, answer: Document) -> None:
    if style is not JsonStyle.OFF:
        click.echo(style.render(answer))


def _say(style: JsonStyle, lines: Iterable[str]) -> None:
    for line in lines if style is JsonStyle.OFF else ():
        click.echo(line)
