"""unit-tailor record"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from profiler import profile_file, progress
from profiler.commands._output import show, tell
from profiler.documents import recording_document
from profiler.errors import ExitCode, UsageError
from profiler.machine_choice import MachineChoice, machine_options
from profiler.messages import recording_summary
from profiler.options import JsonStyle, dry_run_option, force_option, json_option, quiet_option
from profiler.plan import plan_document, plan_in_words
from profiler.planning import Request, plan_recording
from profiler.record import Recorded, record_command
from profiler.service_options import duration_option, engine_option, workload_option
from profiler.unit.names import full_name
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from profiler.unit_argument import complete_units, scope_option
from profiler.validate.attendance import record_attended

SEPARATOR = "--"


class WithCommand(click.Command):
    """A click command that keeps apart what stands behind ``--``: click itself would mix it with the arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words behind ``--`` away and keep them in ``ctx.meta``."""
        ours, given, theirs = _split(args)
        ctx.meta[SEPARATOR] = tuple(theirs) if given else None
        return super().parse_args(ctx, ours)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show both forms."""
        return [*super().collect_usage_pieces(ctx), "| -- COMMAND..."]


def _split(args: list[str]) -> tuple[list[str], bool, list[str]]:
    if SEPARATOR not in args:
        return args, False, []
    place = args.index(SEPARATOR)
    return args[:place], True, args[place + 1 :]


@click.command("record", cls=WithCommand)
@click.argument("unit", required=False, shell_complete=complete_units)
@scope_option
@workload_option
@duration_option
@engine_option
@click.option("--attach", is_flag=True, help="Watch the running service without a restart; its start-up stays unknown.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the profile goes. Default: UNIT.profile.")
@force_option
@click.option("--accept-failed-workload", is_flag=True, help="Keep the recording even if the workload failed.")
@dry_run_option
@machine_options
@json_option
@quiet_option
@click.pass_context
def command(
    context: click.Context,
    /,
    unit: str | None,
    workload: Workload | None,
    machine_choice: MachineChoice,
    **options: Any,
) -> int:
    """Record what a service does: from its first instruction through start-up, workload, reload and stop.

    UNIT is restarted, used and left as it was found. With "-- COMMAND..." a command is recorded instead.

    \b
    Examples:
      unit-tailor record nginx --workload ./use-nginx.sh -o nginx.profile
      unit-tailor record redis-server --twin --package redis-server --for 30s
      unit-tailor record postgresql@15-main --attach --for 10min
      unit-tailor record -o job.profile -- /usr/local/bin/nightly-job
    """
    words = context.meta[SEPARATOR]
    if (unit is None) == (words is None) or words == ():
        raise UsageError("say what to record: a unit, or -- and a command", hint="run: unit-tailor record --help")
    name = full_name(unit) if unit is not None else Path(words[0]).name
    destination = options["output"] or Path(f"{name.removesuffix('.service')}.profile")
    profile_file.check_writable(destination, force=options["force"])
    if options["attach"] and unit is None:
        raise UsageError("--attach goes with a unit that runs", hint="give the name of a unit instead of a command")
    style: JsonStyle = options["json_style"]
    if options["dry_run"]:
        watch = (options["serving_for"], options["attach"])
        request = Request(machine_choice, options["engine"], unit, words or (), workload, *watch)
        plan = plan_recording(request, destination)
        show(style, plan_document(plan), plan_in_words(plan))
        return ExitCode.DONE
    with machine_choice.machine(workload) as machine:
        if unit is None:
            recorded = record_command(machine, words, engine=options["engine"])
        else:
            recorded = _record(Unit.load(machine, unit), workload, options)
    status = conclude(recorded, destination, force=options["force"], accept_failed=options["accept_failed_workload"])
    if style is not JsonStyle.OFF:
        click.echo(style.render(recording_document(recorded, destination)))
    return status


def _record(unit: Unit, workload: Workload | None, options: dict[str, Any]) -> Recorded:
    unit.check_without_ours()
    if not options["attach"]:
        unit.check_may_restart()
    with progress.step(f"recording {unit.name}") as step:
        return record_attended(
            unit,
            workload=workload,
            serving_for=options["serving_for"],
            engine=options["engine"],
            announce=step.detail,
            follow=step.follow,
            attach=options["attach"],
        )


def conclude(
    recorded: Recorded, destination: Path, *, force: bool, accept_failed: bool, next_command: bool = True
) -> int:
    """Write the profile, say what is in it and what to do next; raise what went wrong unless that is accepted."""
    if recorded.error is not None:
        raise recorded.error
    if recorded.lived.workload_error is not None and not accept_failed:
        raise recorded.lived.workload_error
    profile_file.write_profile(destination, recorded.profile, force=force)
    for line in recording_summary(recorded, destination, next_command=next_command):
        tell(line)
    if recorded.lived.interrupted:
        return ExitCode.INTERRUPTED
    if recorded.profile.is_partial:
        return ExitCode.INCOMPLETE
    return recorded.status if recorded.status > 0 else ExitCode.DONE
