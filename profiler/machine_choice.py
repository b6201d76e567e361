"""Which machine a command works on: this host where systemd runs, a twin of it elsewhere or when asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from profiler.errors import PermissionRefused, ToolError, UsageError
from profiler.machine import Host, Machine
from profiler.progress import step
from profiler.unit.workload import Workload

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class MachineChoice:
    """What the user asked for: ``twin`` is None where the machine decides."""

    twin: bool | None = None
    packages: tuple[str, ...] = ()

    @property
    def is_twin(self) -> bool:
        """Whether a twin will be used."""
        return not Host.has_systemd() if self.twin is None else self.twin

    @contextmanager
    def machine(self, workload: Workload | None = None) -> Iterator[Machine]:
        """Yield the machine; a twin is booted for it and gone afterwards, and sees what the workload's command names.

        Raises PermissionRefused when not root, UsageError for ``--no-twin`` where no systemd runs.
        """
        self.check()
        if self.is_twin:
            from profiler.twin import up

            with up(packages=self.packages, announce=step, visible=hidden_places(workload)) as twin:
                yield twin
            return
        yield Host()

    def check(self) -> tuple[str, ...]:
        """Return the packages that would be installed in a twin; nothing is booted.

        Raises what ``machine`` raises before it boots anything.
        """
        require_root()
        if self.is_twin:
            from profiler import twin

            twin.require_possible()
            return twin.missing(self.packages)
        if self.packages:
            raise UsageError("--package goes with a twin only: nothing is installed on this host", hint="add --twin")
        if not Host.has_systemd():
            raise UsageError("systemd is not running on this host", hint="leave out --no-twin: a twin has one")
        return ()


HIDDEN_IN_A_TWIN = (Path("/tmp"), Path("/run"), Path("/dev/shm"))
"""Where a twin, as a machine that has just booted, has empty file systems of its own."""


def hidden_places(workload: Workload | None) -> tuple[Path, ...]:
    """Return the current directory and the files that a workload names, as far as a twin would not see them.

    A file is shown with the directory that it is in: it may need what lies beside it.
    """
    named = [Path(word) for word in workload.words if word.startswith("/")] if workload is not None else []
    beside = [place if place.parent in HIDDEN_IN_A_TWIN else place.parent for place in named if place.exists()]
    places = [Path.cwd(), *beside]
    hidden = [place for place in places if any(root in place.parents for root in HIDDEN_IN_A_TWIN)]
    return tuple(place for place in dict.fromkeys(hidden) if not any(other in place.parents for other in hidden))


def require_root() -> None:
    """Raise PermissionRefused unless this process is root."""
    if os.geteuid() != 0:
        raise PermissionRefused(
            "studying a service needs root: it is traced and restarted", hint="run the same command with sudo"
        )


def require_running_systemd() -> None:
    """Raise PermissionRefused when not root, ToolError where no systemd runs: what is installed is installed here."""
    require_root()
    if not Host.has_systemd():
        raise ToolError(
            "systemd is not running on this host: there is nothing to install for",
            hint="try drop-ins in a twin instead: unit-tailor validate UNIT DROPIN --twin",
        )


def machine_options(command: Command) -> Command:
    """Add ``--twin/--no-twin`` and ``--package``, handed to the command as ``machine_choice: MachineChoice``."""

    def with_choice(*arguments: Any, twin: bool | None, packages: tuple[str, ...], **options: Any) -> Any:
        return command(*arguments, machine_choice=MachineChoice(twin, packages), **options)

    with_choice.__name__ = command.__name__
    with_choice.__doc__ = command.__doc__
    with_choice.__dict__.update(command.__dict__)
    package = click.option(
        "--package",
        "packages",
        multiple=True,
        metavar="NAME",
        help="Install this Debian package in the twin (not on the host). May be repeated.",
    )
    twin = click.option(
        "--twin/--no-twin",
        default=None,
        help="Work in a throwaway twin of this machine, or not. Default: a twin where systemd is not running.",
    )
    decorated: Any = package(twin(with_choice))
    return decorated  # type: ignore[no-any-return]
