"""The border of the command line: every failure becomes one message and a stable exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from profiler import cli, command_folder
from profiler.errors import CommandFailed, ExitCode, PermissionRefused, ToolError, UsageError

COMMAND = Path(sys.prefix) / "bin" / "unit-tailor"
BORDER = "import sys; from profiler import cli, standard_streams; "


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command as a user does."""
    return subprocess.run(
        [str(COMMAND), *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


@pytest.fixture
def fail_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], int]:
    """Run a command line whose command raises this, through the real border."""

    def run_failing(error: BaseException) -> int:
        @click.command()
        def failing() -> None:
            raise error

        monkeypatch.setattr(cli.group, "get_command", lambda _context, _name: failing)
        return cli.run_command_line(["failing"])

    return run_failing


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ToolError("cannot do it: No such device", hint="try another"), 1),
        (UsageError("cannot do it: No such device", hint="try another"), 2),
        (PermissionRefused("cannot do it: No such device", hint="try another"), 77),
        (CommandFailed("cannot do it: No such device", hint="try another", status=9), 1),
        (ToolError("cannot do it: No such device", hint="try another", exit_code=ExitCode.DOES_NOT_FIT), 3),
    ],
)
def test_a_tool_error_is_two_lines_and_its_exit_status(
    error: ToolError,
    status: int,
    fail_with: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fail_with(error) == status
    captured = capsys.readouterr()
    assert captured.err == "error: cannot do it: No such device\nhint:  try another\n"
    assert captured.out == ""


def test_an_error_without_a_hint_is_one_line(
    fail_with: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(ToolError("it broke"))
    assert capsys.readouterr().err == "error: it broke\n"


def test_hostile_names_in_errors_stay_on_their_line(
    fail_with: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(ToolError("cannot read /tmp/a\nerror: \x1b[2J" + os.fsdecode(b"\xff"), hint="\u202e"))
    assert capsys.readouterr().err == "error: cannot read /tmp/a\\nerror: \\x1b[2J\\xff\nhint:  \\u202e\n"


def test_a_bug_keeps_its_traceback_and_says_that_it_is_one(
    fail_with: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail_with(ZeroDivisionError("\x1b[31m")) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):\n")
    assert "this is a bug in unit-tailor" in shown.splitlines()[-2]
    assert "\x1b" not in shown


def test_a_missing_module_that_is_not_of_policy_is_a_bug(
    fail_with: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail_with(ModuleNotFoundError("No module named 'profiler.nothing'", name="profiler.nothing")) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "this is a bug" in shown


def test_a_broken_pipe_elsewhere_is_not_taken_for_a_bored_reader(
    fail_with: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail_with(BrokenPipeError(32, "Broken pipe")) == 1
    assert "this is a bug" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_has_its_own_status(
    error: BaseException, fail_with: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail_with(error) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (ExitCode.DONE, 0), (ExitCode.DOES_NOT_FIT, 3)])
def test_a_command_returns_its_exit_status(
    returned: ExitCode | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def ending() -> ExitCode | None:
        return returned

    monkeypatch.setattr(cli.group, "get_command", lambda _context, _name: ending)
    assert cli.run_command_line(["ending"]) == status


def test_version_and_help_work_without_any_other_program() -> None:
    version = run("--version", PATH="/nonexistent")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("unit-tailor ")
    for option in ("-h", "--help"):
        shown = run(option, PATH="/nonexistent")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout.startswith("Usage: unit-tailor ")


def test_help_lists_every_command_with_a_summary_and_imports_none() -> None:
    names = cli.group.list_commands(click.Context(cli.group))
    shown = run("--help", PYTHONVERBOSE="1")
    listed = [
        line.split(maxsplit=1) for line in shown.stdout.partition("Commands:\n")[2].splitlines() if line[:2] == "  "
    ]
    for name in names:
        assert command_folder.summary(name), f"the command {name} has no docstring"
    assert {row[0] for row in listed if len(row) == 2} >= set(names)
    assert "import 'profiler.command_folder'" in shown.stderr
    assert "import 'profiler.commands." not in shown.stderr


@pytest.mark.parametrize("name", command_folder.CommandFolder("all").list_commands(click.Context(click.Command("all"))))
def test_every_command_can_be_imported_and_has_help(name: str) -> None:
    shown = run(name, "--help", PATH="/nonexistent")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"Usage: unit-tailor {name} ")


def test_no_command_at_all_is_a_usage_error_that_helps() -> None:
    shown = run()
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("Usage: unit-tailor ")


@pytest.mark.parametrize("arguments", [["no-such-verb"], ["--no-such-option"], ["__init__"], ["../cli"]])
def test_bad_usage_is_told_in_our_form(arguments: list[str]) -> None:
    shown = run(*arguments)
    assert (shown.returncode, shown.stdout) == (2, "")
    error, hint = shown.stderr.splitlines()
    assert error.startswith("error: no such ")
    assert hint == "hint:  run: unit-tailor --help"


def test_a_reader_that_stops_reading_is_no_error() -> None:
    process = subprocess.Popen([COMMAND, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()  # long before the first line is written
    _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (141, b"")


def test_a_full_disk_under_standard_output_is_an_error() -> None:
    with Path("/dev/full").open("w") as full:
        shown = subprocess.run([COMMAND, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert shown.returncode == 1
    assert shown.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("redirections", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_no_harm(redirections: str) -> None:
    shown = subprocess.run(
        ["bash", "-c", f"{COMMAND} --no-such-option {redirections}"], capture_output=True, timeout=60
    )
    assert shown.returncode == 2


def test_a_locale_that_cannot_show_a_name_gets_an_escape() -> None:
    program = BORDER + "standard_streams.install(); print('naïve ' + chr(0xdcff))"
    shown = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert shown.stdout == rb"na\xefve \udcff" + b"\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_so_that_everything_is_put_back(number: signal.Signals, tmp_path: Path) -> None:
    ready, undone = tmp_path / "ready", tmp_path / "undone"
    program = f"""
import click, contextlib, pathlib, sys, time
from profiler import cli

@contextlib.contextmanager
def change():
    try:
        yield
    finally:
        pathlib.Path({str(undone)!r}).touch()

@click.command()
def waiting():
    with change():
        pathlib.Path({str(ready)!r}).touch()
        time.sleep(60)

cli.group.get_command = lambda context, name: waiting
sys.argv[1:] = ["waiting"]
sys.exit(cli.main())
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        deadline = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
    finally:
        process.kill()
    assert undone.exists()


def test_shell_completion_knows_the_options() -> None:
    shown = run(_UNIT_TAILOR_COMPLETE="bash_complete", COMP_WORDS="unit-tailor --ver", COMP_CWORD="1")
    assert shown.stdout.split() == ["plain,--version"]
