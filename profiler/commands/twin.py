"""``unit-tailor twin``: throwaway clones of this machine, by name."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import click
from click.shell_completion import CompletionItem

from profiler import progress, run, twin
from profiler.commands._output import show
from profiler.documents import Document, document
from profiler.errors import CommandFailed, ToolError
from profiler.options import JsonStyle, json_option, quiet_option
from profiler.terminal import printable


def _complete_twins(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    try:
        return [CompletionItem(one.name) for one in twin.present() if one.name.startswith(incomplete)]
    except (ToolError, OSError):
        return []


@click.group()
def command() -> None:
    """Make, use and remove throwaway clones of this machine with a systemd of their own.

    Whatever happens in a twin leaves this machine untouched.

    \b
    Example:
      unit-tailor twin up lab --package nginx && unit-tailor twin exec lab -- systemctl status nginx
    """


@command.command()
@click.argument("name", required=False)
@click.option("-p", "--package", "packages", multiple=True, help="Debian package to add; may be repeated.")
@json_option
@quiet_option
def up(name: str | None, packages: tuple[str, ...], json_style: JsonStyle) -> None:
    """Boot a twin that stays until it is taken down, and print its name.

    \b
    Example:
      unit-tailor twin up lab --package nginx
    """
    twin.require_possible()
    _sweep()
    with contextlib.ExitStack() as until_let_go:
        machine = until_let_go.enter_context(_boot(name, packages))
        for remark in machine.record.remarks:
            progress.note(f"note: {remark}")
        show(json_style, document(**{**_described(machine), "detached": True}), [machine.name])
        progress.note(f"run commands in it: unit-tailor twin exec {machine.name} -- systemctl status")
        progress.note(f"remove it:          unit-tailor twin down {machine.name}")
        # An interrupt takes the twin down until here, and comes too late from here on: never an error and a twin both.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        machine.let_go()
        until_let_go.pop_all()


def _boot(name: str | None, packages: tuple[str, ...]) -> twin.Twin:
    try:
        return twin.up(packages, name=name, announce=progress.step)
    except CommandFailed as error:
        for line in error.output.splitlines():
            progress.note(f"  {line}")
        raise


@command.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("name", shell_complete=_complete_twins)
@click.argument("arguments", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(name: str, arguments: tuple[str, ...]) -> None:
    """Run a command in a twin; its exit status is the command's.

    \b
    Example:
      unit-tailor twin exec lab -- systemctl status
    """
    twin.require_root()
    machine = twin.find(name)
    terminal = {variable: os.environ[variable] for variable in ("TERM", "COLORTERM") if variable in os.environ}
    separator = 1 if arguments[0] == "--" else 0
    # nsenter stands between and passes no signals on: the command ends when it does.
    bound = ["setpriv", "--pdeathsig", "TERM", "--", *arguments[separator:]]
    run.become(machine.command(bound), extra_environment=terminal)


@command.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=_complete_twins)
@quiet_option
def down(names: tuple[str, ...]) -> None:
    """Take twins down: everything in them is ended and removed.

    \b
    Example:
      unit-tailor twin down lab
    """
    twin.require_root()
    _sweep()
    machines = [twin.find(name) for name in names]
    for machine in machines:
        with progress.step(f"taking down the twin {machine.name}"):
            machine.down()


@command.command("list")
@json_option
@quiet_option
def list_(json_style: JsonStyle) -> None:
    """List the twins that there are.

    \b
    Example:
      unit-tailor twin list --json
    """
    twin.require_root()
    _sweep()
    machines = twin.present()
    show(json_style, document(twins=[_described(machine) for machine in machines]), map(_line, machines))
    if not machines:
        progress.note("there is no twin; make one: unit-tailor twin up")


def _line(machine: twin.Twin) -> str:
    record = machine.record
    leader = f"pid {record.leader.pid}" if machine.is_running and record.leader else "not ready yet"
    kind = "stays" if record.detached else f"goes with process {record.owner.pid}"
    packages = f", with {' '.join(record.packages)}" if record.packages else ""
    return printable(f"{machine.name}: {leader}, made {_age(record.created)} ago, {kind}{packages}")


def _described(machine: twin.Twin) -> Document:
    record = machine.record
    return {
        "name": machine.name,
        "state": "running" if machine.is_running else "starting",
        "leader": record.leader.pid if record.leader else None,
        "created": record.created,
        "detached": record.detached,
        "owner": record.owner.pid,
        "packages": list(record.packages),
        "in_memory": record.in_memory,
        "remarks": list(record.remarks),
    }


def _age(created: float) -> str:
    seconds = max(0, int(time.time() - created))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"


def _sweep() -> None:
    swept = twin.sweep()
    for name in swept.removed:
        progress.note(f"removed what was left of the twin {name}, whose keeper was killed")
    for failure in swept.failures:
        progress.note(f"warning: {failure.message}; {failure.hint}")
