"""unit-tailor minimise"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from profiler import profile_file, progress
from profiler.commands._output import show, tell
from profiler.documents import minimisation_document
from profiler.drop_in_file import read_drop_in
from profiler.errors import UsageError
from profiler.machine_choice import MachineChoice, machine_options
from profiler.messages import minimisation_advice, minimisation_in_words
from profiler.minimisation import Order, minimal_path, minimisation_status, minimise, notes_path
from profiler.options import force_option, json_option, quiet_option
from profiler.service_options import check_option, engine_option, workload_option
from profiler.unit.names import full_name
from profiler.unit.workload import Workload
from profiler.unit_argument import unit_argument


@click.command("minimise")
@unit_argument
@click.argument("drop_in", metavar="DROPIN", type=click.Path(path_type=Path, readable=False))
@workload_option
@check_option
@engine_option
@click.option(
    "--profile", type=click.Path(path_type=Path, readable=False), help="The recording that DROPIN was cut from."
)
@click.option("--only", metavar="DIRECTIVE", multiple=True, help="Look at this directive only. May be repeated.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where the smaller drop-in goes. Default: DROPIN with .minimal before .conf.",
)
@force_option
@machine_options
@json_option
@quiet_option
def command(unit: str, drop_in: Path, workload: Workload | None, machine_choice: MachineChoice, **options: Any) -> int:
    """Take away from a drop-in whatever the workload does not miss, piece by piece, by restarts in a twin.

    What is left was tried alone, and the service, its workload or the check failed without it. It holds for this
    workload only: what the workload does not do may be refused. Takes one restart for each piece that is missed.
    Ctrl-C keeps what is proven so far; the same command goes on from there (answers are noted beside the output).

    \b
    Example:
      unit-tailor minimise nginx nginx.conf --profile nginx.profile --package nginx --workload ./use-nginx.sh
    """
    parsed = read_drop_in(drop_in)
    if parsed.elsewhere:
        raise UsageError(f"{drop_in} sets more than [Service] settings", hint="move the others to a file of their own")
    output = options["output"] or minimal_path(drop_in)
    profile_file.check_writable(output, force=options["force"])
    order = Order(
        machine_choice,
        full_name(unit),
        parsed,
        notes_path(output),
        workload,
        options["check"],
        profile_file.read_profile(options["profile"]) if options["profile"] else None,
        options["only"],
        options["engine"],
    )
    with progress.step(f"minimising {drop_in} for {order.unit}") as step:
        found = minimise(order, step.detail)
    profile_file.write_text(output, found.drop_in.render(), mode=0o644, force=True)
    tell(f"wrote {output}")
    show(options["json_style"], minimisation_document(order.unit, found, output), minimisation_in_words(found))
    for line in minimisation_advice(found, order, drop_in, options["profile"], output):
        tell(line)
    return minimisation_status(found, order)
