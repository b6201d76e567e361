"""unit-tailor validate"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from profiler import profile_file, progress
from profiler.drop_in_file import read_drop_in
from profiler.errors import ExitCode
from profiler.host import read_host_facts
from profiler.machine_choice import MachineChoice, machine_options
from profiler.messages import installation_advice, verdict_in_words
from profiler.options import quiet_option
from profiler.service_options import engine_option, workload_option
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.validate.validation import validate


@click.command("validate")
@click.argument("unit")
@click.argument("drop_in", metavar="DROPIN", type=click.Path(path_type=Path, readable=False))
@workload_option
@engine_option
@click.option("--profile", type=click.Path(path_type=Path, readable=False), help="A recording of the same use, to compare with.")
@click.option("--keep", is_flag=True, help="If it fits, leave the drop-in in force until the next boot.")
@machine_options
@quiet_option
def command(unit: str, drop_in: Path, workload: Workload | None, machine_choice: MachineChoice, **options: Any) -> int:
    """Test a drop-in by a restart under a real systemd, with the workload, and put the service back.

    The drop-in is installed for this boot only. Whatever happens, the service ends up under its own settings; exits 3
    if it does not work under the drop-in, or if the drop-in denied it anything.

    \b
    Example:
      unit-tailor validate nginx nginx.conf --workload ./use-nginx.sh
    """
    parsed = read_drop_in(drop_in)
    before = profile_file.read_profile(options["profile"]) if options["profile"] else None
    with machine_choice.machine(workload) as machine:
        study = Unit.load(machine, unit)
        study.check_may_restart()
        study.check_without_ours()
        with progress.step(f"validating {study.name} under {drop_in}") as step:
            verdict = validate(
                study,
                drop_in.read_text(encoding="utf-8"),
                parsed.assignments,
                read_host_facts(machine),
                workload=workload,
                before=before,
                keep=options["keep"],
                engine=options["engine"],
                announce=step.detail,
            )
    for line in verdict_in_words(verdict, study.name):
        click.echo(line)
    if not verdict.fits:
        return ExitCode.DOES_NOT_FIT
    for line in installation_advice(study.name, drop_in):
        click.echo(line, err=True)
    return ExitCode.DONE
