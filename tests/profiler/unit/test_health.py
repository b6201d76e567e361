"""What counts as well, on real services in a twin: crash loops, errors told through sd_notify, listeners, checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from profiler.errors import ToolError
from profiler.unit import health
from profiler.unit.health import Wellness, observe, wait_until_settled
from profiler.unit.life import Life, PhaseClock
from profiler.unit.unit import Unit
from profiler.unit.workload import Workload
from tests.profiler.validate.services import make, remove
from tests.twin_fixtures import TwinWith

Make = Callable[[str], Unit]


@pytest.fixture
def service(twin_with: TwinWith) -> Iterator[Make]:
    machine = twin_with()
    made = []

    def new(text: str) -> Unit:
        made.append(make(machine, "tailor-health.service", text))
        return made[-1]

    yield new
    for unit in made:
        remove(unit)


def test_a_crash_loop_is_told_before_systemd_gives_up(service: Make) -> None:
    unit = service("Restart=always\nRestartSec=50ms\nStartLimitInterval=0\nExecStart=/bin/sh -c 'exit 7'\n")

    with pytest.raises(ToolError, match=r"status 7|status=7"):
        wait_until_settled(unit)

    assert observe(unit).active_state != "failed", "systemd has not given up, so we did not wait for that"


def test_an_error_that_the_service_tells_through_sd_notify_is_a_problem(service: Make) -> None:
    unit = service(
        "Type=notify\nNotifyAccess=all\n"
        "ExecStart=/bin/sh -c 'systemd-notify --ready --status=half ERRNO=28; while :; do sleep 600; done'\n"
    )

    assert observe(unit).problem == "it reports the error No space left on device: half"


def test_a_socket_on_which_nobody_listens_any_more_is_a_problem(service: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE", 1.0)
    unit = service("ExecStart=/bin/sleep 600\n")

    problem = Wellness(frozenset({"tcp 00000000:1F90"})).problem(unit)

    assert problem == "it does not listen any more on tcp port 8080"


def test_the_check_of_the_user_decides(service: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE", 1.0)
    unit = service("ExecStart=/bin/sleep 600\n")

    assert Wellness(check=Workload("true")).problem(unit) == ""
    assert Wellness(check=Workload("echo no >&2; false")).problem(unit) == "the check failed (exit status 1): no"


RENAMING = """
import os, socket, time
name = f"/run/tailor-{os.getpid()}.tmp"
listener = socket.socket(socket.AF_UNIX)
listener.bind(name)
listener.listen()
os.rename(name, "/run/tailor.sock")
kept = socket.socket(socket.AF_UNIX)
kept.bind("/run/tailor-2.sock")
kept.listen()
time.sleep(600)
"""


def test_a_socket_that_was_renamed_listens_again_after_a_restart(
    service: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 3.0)
    program = "/var/lib/tailor-renaming.py"
    unit = service(f"ExecStartPre=/bin/rm -f /run/tailor-2.sock\nExecStart=/usr/bin/python3 {program}\n")
    unit.machine.path(program).write_text(RENAMING)
    unit.systemctl.change("restart", unit.name)
    wait_until_settled(unit)
    before = Wellness.of(unit)

    unit.systemctl.change("restart", unit.name)

    assert before.listeners == {"unix /run/tailor-*.tmp", "unix /run/tailor-2.sock"}
    assert before.problem(unit) == ""
    unit.machine.path(program).unlink()


LISTENING_AND_DYING = """
import os, socket, time
if os.path.exists("/run/tailor-dying.sock"):
    os.unlink("/run/tailor-dying.sock")
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/tailor-dying.sock")
listener.listen()
time.sleep(0.7)
raise SystemExit(3)
"""


def test_what_is_ready_and_dies_within_its_first_second_is_not_well(service: Make) -> None:
    program = "/var/lib/tailor-dying.py"
    unit = service("ExecStart=/bin/sleep 600\n")
    unit.machine.path(program).write_text(LISTENING_AND_DYING)
    unit = service(f"ExecStart=/usr/bin/python3 {program}\n")

    try:
        problem = Life(unit, wellness=Wellness(frozenset({"unix /run/tailor-dying.sock"}))).drive(PhaseClock())
        said = problem.health.problem
    except ToolError as error:  # on a slow machine
        said = error.message

    assert "status 3" in said or "status=3" in said
    unit.machine.path(program).unlink()


def test_a_service_that_ends_by_its_own_reload_is_said_to(service: Make) -> None:
    unit = service("ExecStart=/bin/sleep 600\nExecReload=/bin/kill -HUP $MAINPID\n")

    with pytest.raises(ToolError, match=r"ended on reload: it is inactive"):
        Life(unit, wellness=Wellness()).drive(PhaseClock())
    lived = Life(unit, wellness=Wellness(may_end_on_reload=True)).drive(PhaseClock())

    assert lived.ended_on_reload == "it is inactive (dead)"
    assert lived.health.problem == ""
