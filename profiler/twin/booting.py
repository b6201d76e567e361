"""Booting a twin: from mounted trees to a systemd that says it is ready. Runs in the keeper."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from profiler.errors import CommandFailed, ToolError
from profiler.twin import cgroups, network, nspawn, process_identity
from profiler.twin.job import Outcome, Report
from profiler.twin.keeper import Keeper

LEADER = re.compile(rb"^X_NSPAWN_LEADER_PID=([0-9]+)$", re.MULTILINE)
READY = re.compile(rb"^READY=1$", re.MULTILINE)
LAST_LINES = 15


def boot(keeper: Keeper) -> None:
    """Boot, report that the twin is ready, and return when it has shut itself down.

    Raises ToolError if it does not become ready in the time the job allows.
    """
    with keeper.own_mounts():
        machine_id = nspawn.furnish(keeper.workspace.merged)
        inner_network = network.make_dead_end()
        ears = _Ears.open()
        command = nspawn.boot_command(
            keeper.workspace.merged,
            keeper.record.name,
            machine_id,
            network.path_of(inner_network),
            visible=keeper.job.visible,
        )
        process = keeper.start(command, nspawn.environment({"NOTIFY_SOCKET": ears.address}))
    _wait_until_ready(keeper, ears, process)
    ears.socket.close()
    _make_room_for_commands(keeper)
    keeper.answer(Report(Outcome.DONE))
    keeper.wait(os.pidfd_open(process.pid))


def _make_room_for_commands(keeper: Keeper) -> None:
    for place in keeper.record.cgroups:
        if (payload := Path(place, cgroups.PAYLOAD)).is_dir():
            (payload / cgroups.COMMANDS).mkdir(exist_ok=True)


@dataclass(frozen=True)
class _Ears:
    """The socket that nspawn tells its state to, as sd_notify(3) has it; abstract, so there is no file to remove.

    Abstract names belong to a network namespace: nobody but this twin's processes can write to it.
    """

    socket: socket.socket
    address: str

    @classmethod
    def open(cls) -> _Ears:
        name = f"unit-tailor-{secrets.token_hex(8)}"
        ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        ears.bind(b"\0" + name.encode("ascii"))
        return cls(ears, f"@{name}")


def _wait_until_ready(keeper: Keeper, ears: _Ears, process: Popen[bytes]) -> None:
    deadline = time.monotonic() + keeper.job.patience
    ended = os.pidfd_open(process.pid)
    while True:
        readable = keeper.wait(ears.socket.fileno(), ended, until=deadline)
        if ears.socket.fileno() in readable:
            message = ears.socket.recv(65536)
            if leader := LEADER.search(message):
                keeper.note(leader=process_identity.identify(int(leader[1])))
            if READY.search(message):
                os.close(ended)
                return
        elif readable:
            raise failure(keeper.said(), f"nspawn ended with status {process.wait()}")
        else:
            raise failure(keeper.said(), f"it was not ready within {keeper.job.patience:g} s")


def failure(said: str, reason: str) -> ToolError:
    """Return the error of a twin that did not boot, with the last lines of what was said on its console."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    last = f": {lines[-1]}" if lines else ""
    return CommandFailed(
        f"the twin did not boot, {reason}{last}",
        hint="run: unit-tailor doctor (it says what this machine lacks for a twin)",
        output="\n".join(lines[-LAST_LINES:]),
    )
