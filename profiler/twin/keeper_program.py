"""The program that a keeper runs: one job, given as its only argument."""

from __future__ import annotations

import sys
from pathlib import Path

from profiler.twin import booting, installing
from profiler.twin.job import Job
from profiler.twin.keeper import Keeper, become_keeper


def main() -> None:
    """Do the job in ``sys.argv[1]``."""
    become_keeper()
    job = Job.from_text(sys.argv[1])
    Keeper(job).keep(installing.install if job.install else booting.boot)


def command_line(job: Job) -> list[str]:
    """Return the command line that runs a keeper from this very installation, whatever else is in the way."""
    home = Path(__file__).resolve().parent.parent.parent
    program = f"import sys; sys.path.insert(0, {str(home)!r}); from profiler.twin.keeper_program import main; main()"
    return [sys.executable, "-I", "-c", program, job.to_text()]
