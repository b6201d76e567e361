"""Installing packages into a layer: apt-get in a tree of its own, where it can change nothing on the host.

Runs in the keeper. No service is started: there is no systemd in the tree, and policy-rc.d forbids it to init scripts.
"""

from __future__ import annotations

import os
import time

from profiler.errors import CommandFailed, ToolError
from profiler.twin import kernel_calls, nspawn, packing
from profiler.twin.job import Outcome, Report
from profiler.twin.keeper import Keeper

APT = "apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Options::=--force-confdef -o Acquire::Retries=2"
SCRIPT = f"""\
install() {{ {APT} --no-install-recommends install -- "$@"; }}
install "$@" && exit 0
echo "unit-tailor: trying again with fresh package lists"
{APT} update
install "$@"
"""
POLICY = "#!/bin/sh\n# Made by unit-tailor: nothing is started while packages are installed into a layer.\nexit 101\n"
POLICY_PATH = "/usr/sbin/policy-rc.d"

NOT_KEPT = ("/var/cache/apt", "/var/lib/apt/lists")
"""Downloads and lists of packages: large, and stale soon. The layer shows the host's instead."""

PASSED_ON = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
LAST_LINES = 15


def install(keeper: Keeper) -> None:
    """Install the job's packages and put the finished layer in its place, whole or not at all.

    Raises CommandFailed with apt's words if it refuses, ToolError if it takes too long.
    """
    policy = keeper.job.directory / "policy-rc.d"
    policy.write_text(POLICY, encoding="ascii")
    policy.chmod(0o755)
    options = [
        f"--bind-ro={policy}:{POLICY_PATH}",
        "--resolv-conf=bind-host",
        "--setenv=DEBIAN_FRONTEND=noninteractive",
    ]
    options += [f"--setenv={name}={os.environ[name]}" for name in PASSED_ON if name in os.environ]
    with keeper.own_mounts():
        command = nspawn.program_command(
            keeper.workspace.merged,
            keeper.record.name,
            ["/bin/sh", "-c", SCRIPT, "sh", *keeper.job.install],
            options,
        )
        process = keeper.start(command, nspawn.environment())
        ended = os.pidfd_open(process.pid)
        if not keeper.wait(ended, until=time.monotonic() + keeper.job.patience):
            raise ToolError(
                f"apt-get did not install {' '.join(keeper.job.install)} within {keeper.job.patience:g} s",
                hint="is the package archive reachable? try: apt-get update",
            )
        if process.wait() != 0:
            raise _refused(keeper)
        kernel_calls.unmount(str(keeper.workspace.merged))
        assert keeper.job.finished_layer is not None
        packing.pack(
            keeper.host, keeper.workspace, NOT_KEPT, keeper.job.finished_layer, archive=keeper.record.in_memory
        )
    keeper.answer(Report(Outcome.DONE))


def _refused(keeper: Keeper) -> CommandFailed:
    lines = [line for line in keeper.said().splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith("E: ")] or lines[-1:]
    packages = " ".join(keeper.job.install)
    return CommandFailed(
        f"apt-get could not install {packages}: {reasons[-1].removeprefix('E: ') if reasons else 'it said nothing'}",
        hint=f"try: apt-get update && apt-get install --simulate {packages}",
        output="\n".join(lines[-LAST_LINES:]),
    )
