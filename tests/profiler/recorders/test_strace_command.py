"""Whether strace can work, and how it is refused."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.engines.tracing import UNPRIVILEGED
from profiler.errors import ToolError
from profiler.machine import Host
from profiler.recorders import strace_command
from profiler.recorders.strace import StraceRecorder
from tests.profiler.recorders.process_tree import process_tree
from tests.profiler.recorders.test_strace_process import recording_for_ever
from tests.requirements import require

pytestmark = pytest.mark.usefixtures("strace_leaves_nothing")
REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAMS = REPOSITORY / "fixtures" / "programs"


def test_strace_is_available_here() -> None:
    answer = strace_command.availability(Host(), ())
    assert (answer.available, answer.reason, answer.remedy) == (True, "", "")


def test_every_call_that_is_printed_raw_is_known_to_this_strace_or_optional() -> None:
    argument = next(word for word in strace_command.arguments("x") if word.startswith("raw="))
    assert all(name.startswith("?") for name in argument.removeprefix("raw=").split(","))
    known = [name.removeprefix("?") for name in argument.removeprefix("raw=").split(",")]
    # Without the question marks a misspelt name is an error; futex_waitv and the like are newer than some versions.
    completed = Host().run(["strace", "-e", "trace=" + ",".join(known), "-o", "/dev/null", "true"], check=False)
    assert completed.status == 0, completed.stderr


WEAK = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace", "--", sys.executable, "-c"]
"""Runs Python as root without CAP_SYS_PTRACE."""


def test_a_process_that_is_traced_already_is_refused() -> None:
    with process_tree() as tree, StraceRecorder(tree, lambda event: None):
        with pytest.raises(ToolError, match="traces it already"), StraceRecorder(tree, lambda event: None):
            pass
        assert all(strace_command.tracers(tree, 1))


def test_a_process_that_is_gone_is_refused() -> None:
    missing = pytest.raises(ToolError, match="no such process")
    with process_tree() as tree, missing, StraceRecorder(tree, print, pids=(4000000,)):
        pass


@pytest.mark.parametrize("from_outside", [True, False])
def test_without_the_capability_it_is_refused(from_outside: bool) -> None:
    with process_tree() as tree:
        machine, pid = ("Host()", tree.init) if from_outside else (f"ProcessTree({tree.init})", 1)
        command = [*WEAK, recording_for_ever(machine, pid)]
        completed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert completed.returncode == 1
        assert "profiler.errors.PermissionRefused: " in completed.stderr
        assert strace_command.tracers(tree, 1) == [0]


def test_availability_names_the_missing_capability() -> None:
    require(os.geteuid() == 0, "giving up a capability needs root")
    source = (
        f"import sys; sys.path[:0] = {[str(REPOSITORY), *sys.path]!r}\n"
        "from profiler.machine import Host\nfrom profiler.recorders import strace_command\n"
        "print(strace_command.availability(Host()))"
    )
    completed = subprocess.run([*WEAK, source], capture_output=True, text=True, timeout=60, check=False)
    assert "available=False" in completed.stdout
    assert "CAP_SYS_PTRACE" in completed.stdout


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--", sys.executable, "-c"]
"""Runs Python as a user without privileges."""

RECORDS_WEAKLY = """
import sys; sys.path[:0] = {path!r}
from profiler.engines.choice import Engine
from profiler.machine import Host
from profiler.record import record_command
done = record_command(Host(), [{program!r}], engine=Engine.STRACE)
print({{loss.kind: loss.sample for loss in done.profile.header.losses}})
"""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that everybody can reach; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_program_that_does_not_get_its_privileges_is_told(open_to_all: Path) -> None:
    """# hard case 20: a tracer without privileges takes them away, so their use was not observed."""
    require(os.geteuid() == 0, "needs root")
    require(not os.statvfs(open_to_all).f_flag & os.ST_NOSUID, f"{open_to_all} is mounted nosuid")
    program = open_to_all / "identify"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o4755)
    source = RECORDS_WEAKLY.format(path=[str(REPOSITORY), *sys.path], program=str(program))
    can_read = subprocess.run(
        [*NOBODY, "import profiler.cli, psutil"], capture_output=True, cwd=REPOSITORY, check=False
    )
    require(can_read.returncode == 0, f"not everybody can read {REPOSITORY}")
    done = subprocess.run([*NOBODY, source], capture_output=True, text=True, timeout=120, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    assert "euid" not in done.stdout, "the kernel gave it what its file says"
    assert ast.literal_eval(done.stdout.splitlines()[-1])[UNPRIVILEGED] == str(program)
