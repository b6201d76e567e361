"""unit-tailor validate"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from policy.drop_in import DropIn
from profiler import profile_file, progress
from profiler.commands._output import show, tell
from profiler.documents import validation_document
from profiler.drop_in_file import origin_remarks, read_drop_in
from profiler.errors import ExitCode, UsageError
from profiler.host import read_host_facts
from profiler.machine_choice import MachineChoice, machine_options
from profiler.messages import installation_advice, relaxing_advice, validation_in_words
from profiler.options import JsonStyle, force_option, json_option, quiet_option
from profiler.service_options import check_option, engine_option, workload_option
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.unit_argument import unit_argument
from profiler.validate.relaxing import Relaxed, Trying
from profiler.validate.validation import Verdict, validate


@click.command("validate")
@unit_argument
@click.argument("drop_in", metavar="DROPIN", type=click.Path(path_type=Path, readable=False))
@workload_option
@check_option
@engine_option
@click.option(
    "--profile", type=click.Path(path_type=Path, readable=False), help="A recording of the same use, to compare with."
)
@click.option("--keep", is_flag=True, help="If it fits, leave the drop-in in force until the next boot.")
@click.option(
    "--bisect/--no-bisect",
    default=None,
    help="Find the setting to blame by restarts where the model cannot name it. Default: in a twin, and with --relax.",
)
@click.option("--relax", is_flag=True, help="Allow the least of what is blocked and try again, until it fits.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where the relaxed drop-in goes. Default: DROPIN with .relaxed before .conf.",
)
@force_option
@machine_options
@json_option
@quiet_option
def command(unit: str, drop_in: Path, workload: Workload | None, machine_choice: MachineChoice, **options: Any) -> int:
    """Test a drop-in by a restart under a real systemd, with the workload, and put the service back.

    The drop-in is installed for this boot only. Whatever happens, the service ends up under its own settings. Exits 3
    if it does not work under the drop-in or was denied anything, and names the smallest changes that would allow it.

    \b
    Example:
      unit-tailor validate nginx nginx.conf --workload ./use-nginx.sh
    """
    parsed = read_drop_in(drop_in)
    output = options["output"] or drop_in.with_name(f"{drop_in.stem}.relaxed.conf")
    if options["relax"]:
        _check_relaxable(parsed, drop_in, output, force=options["force"])
    before = profile_file.read_profile(options["profile"]) if options["profile"] else None
    with machine_choice.machine(workload) as machine:
        study = Unit.load(machine, unit)
        study.check_may_restart()
        study.check_without_ours()
        host = read_host_facts(machine)
        for line in origin_remarks(parsed, study.name, host):
            progress.note(line)
        with progress.step(f"validating {study.name} under {drop_in}") as step:

            def test(candidate: DropIn) -> Verdict:
                text = drop_in.read_text(encoding="utf-8") if candidate is parsed else candidate.render()
                return validate(
                    study,
                    text,
                    candidate.assignments,
                    host,
                    workload=workload,
                    check=options["check"],
                    before=before,
                    keep=options["keep"],
                    engine=options["engine"],
                    announce=step.detail,
                    follow=step.follow,
                )

            trying = Trying(test, host, before, step.detail, by_restarts=_by_restarts(machine_choice, options))
            relaxed = trying.until_it_fits(parsed) if options["relax"] else trying.once(parsed)
    judged = output if relaxed.relaxations else drop_in
    if relaxed.relaxations:
        profile_file.write_text(output, relaxed.drop_in.render(), mode=0o644, force=True)
        tell(f"wrote {output}")
    return _conclude(study.name, relaxed, judged, options["json_style"])


def _by_restarts(machine_choice: MachineChoice, options: dict[str, Any]) -> bool:
    # What serves others is not restarted a dozen times unless that is wanted.
    wanted: bool | None = options["bisect"]
    return (machine_choice.is_twin or options["relax"]) if wanted is None else wanted


def _check_relaxable(parsed: DropIn, drop_in: Path, output: Path, *, force: bool) -> None:
    if parsed.elsewhere:
        raise UsageError(
            f"{drop_in} sets more than [Service] settings", hint="--relax writes only those: move the others elsewhere"
        )
    profile_file.check_writable(output, force=force)


def _conclude(unit: str, relaxed: Relaxed, drop_in: Path, style: JsonStyle) -> int:
    show(style, validation_document(unit, relaxed, drop_in), validation_in_words(relaxed, unit))
    advice = installation_advice if relaxed.verdict.fits else relaxing_advice
    for line in advice(unit, drop_in):
        tell(line)
    return ExitCode.DONE if relaxed.verdict.fits else ExitCode.DOES_NOT_FIT
