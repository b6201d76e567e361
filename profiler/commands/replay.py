"""unit-tailor replay"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from policy.drop_in import DropIn
from policy.replay import Replayed, replay
from policy.service_profile import Profile
from profiler import profile_file, progress
from profiler.commands._output import show, tell
from profiler.drop_in_file import read_drop_in, remarks
from profiler.errors import ExitCode, UsageError
from profiler.host import read_host_facts
from profiler.machine_choice import MachineChoice
from profiler.messages import denials_in_words, replay_summary
from profiler.options import JsonStyle, json_option, quiet_option
from profiler.probe.agreement import Agreement, compare
from profiler.probe.probing import probe
from profiler.probe.report import agreement_document, agreement_in_words
from profiler.replay_document import replay_document
from profiler.run import pasteable
from profiler.target import target, target_option, target_remarks
from profiler.terminal import printable


@click.command("replay")
@click.argument("profile", type=click.Path(path_type=Path, readable=False))
@click.argument("drop_in", metavar="DROPIN", type=click.Path(path_type=Path, readable=False))
@target_option
@click.option(
    "--probe",
    "is_probing",
    is_flag=True,
    help="Also do each recorded behaviour in the real sandbox, in a twin, and compare with the model.",
)
@click.option(
    "--package",
    "packages",
    multiple=True,
    metavar="NAME",
    help="With --probe: install this Debian package in the twin. May be repeated.",
)
@json_option
@quiet_option
def command(profile: Path, drop_in: Path, systemd: int | None, json_style: JsonStyle, **options: Any) -> int:
    """Replay a recording against a drop-in, ours or anybody's: would it have blocked anything?

    The model answers, offline. With --probe a real systemd answers too: in a twin of this machine a stand-in for the
    service does what was recorded, with the drop-in and without; what differs from the model is named. Exits 0 if
    nothing would be blocked, 3 otherwise.

    \b
    Examples:
      unit-tailor replay nginx.profile nginx.conf
      unit-tailor replay nginx.profile nginx.conf --probe --package nginx
    """
    if systemd is not None and options["is_probing"]:
        raise UsageError("--probe meets the systemd of this machine", hint="leave out --systemd")
    if options["packages"] and not options["is_probing"]:
        raise UsageError("--package goes with --probe", hint="add --probe")
    recorded = profile_file.read_profile(profile)
    parsed = read_drop_in(drop_in)
    host = target(systemd)
    for line in (*target_remarks(systemd), *remarks(parsed, host)):
        click.echo(printable(line), err=True)
    replayed = replay(recorded, parsed.assignments, host)
    agreement = _probed(recorded, parsed, options["packages"]) if options["is_probing"] else None
    probed = {"probe": agreement_document(agreement) if agreement else None}
    lines = [*_lines(replayed), *(agreement_in_words(agreement, verbose=True) if agreement else ())]
    show(json_style, {**replay_document(replayed), **probed}, lines)
    if replayed.denials or (agreement and agreement.is_blocked):
        return ExitCode.DOES_NOT_FIT
    unit = recorded.header.unit.name
    tell(f"next: {pasteable(['unit-tailor', 'validate', unit, str(drop_in)])} --workload COMMAND")
    return ExitCode.DONE


def _lines(replayed: Replayed) -> list[str]:
    kinds = {"blocked": replayed.blocked, "changed": replayed.changed, "still refused": replayed.still_refused}
    listed = [
        f"{word}: {line}" for word, denials in kinds.items() for line in denials_in_words(denials, shown=len(denials))
    ]
    return [*listed, replay_summary(replayed)]


def _probed(recorded: Profile, parsed: DropIn, packages: tuple[str, ...]) -> Agreement:
    with MachineChoice(twin=True, packages=packages).machine() as machine, progress.step("probing the sandbox") as step:
        facts = recorded.facts
        probed = probe(machine, recorded.header.unit, parsed.assignments, facts, announce=step.detail)
        return compare(recorded, parsed.assignments, read_host_facts(machine), probed)
