"""The rules themselves: each must find what it is there to find, and leave alone what is allowed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.linters import rules
from tests.linters.sources import Source

Rule = Callable[[Source], list[str]]

BAD: list[tuple[Rule, str, str]] = [
    (rules.policy_imports_only_what_computes, "policy/x.py", "import subprocess"),
    (rules.policy_imports_only_what_computes, "policy/x.py", "def f():\n    from time import monotonic"),
    (rules.policy_imports_only_what_computes, "policy/x.py", "import profiler.run"),
    (rules.policy_imports_only_what_computes, "policy/x.py", "import importlib"),
    (rules.policy_imports_only_what_computes, "policy/x.py", "from pathlib import Path"),
    (rules.policy_touches_nothing, "policy/x.py", "open('/etc/passwd')"),
    (rules.policy_touches_nothing, "policy/x.py", "reader = open"),
    (rules.policy_touches_nothing, "policy/x.py", "import os\nos.getpid()"),
    (rules.policy_touches_nothing, "policy/x.py", "from os import environ"),
    (rules.policy_touches_nothing, "policy/x.py", "import os\nos.path.exists('/')"),
    (rules.policy_touches_nothing, "policy/x.py", "import posixpath\nposixpath.realpath('/')"),
    (rules.policy_touches_nothing, "policy/x.py", "print('x')"),
    (rules.only_run_starts_processes, "profiler/x.py", "import subprocess\nsubprocess.run(['true'])"),
    (rules.only_run_starts_processes, "profiler/x.py", "import subprocess\nsubprocess.Popen(['true'])"),
    (rules.only_run_starts_processes, "profiler/x.py", "from subprocess import check_output"),
    (rules.only_run_starts_processes, "profiler/x.py", "from subprocess import Popen\nPopen(['true'])"),
    (rules.only_run_starts_processes, "profiler/x.py", "import os\nos.execvp('true', [])"),
    (rules.only_run_starts_processes, "profiler/x.py", "import os\nos.fork()"),
    (rules.nothing_runs_through_a_shell, "profiler/run.py", "f('x', shell=True)"),
    (rules.nothing_runs_through_a_shell, "profiler/run.py", "f('x', shell=wanted)"),
    (rules.only_commands_print, "profiler/unit/x.py", "print('x')"),
    (rules.only_commands_print, "profiler/unit/x.py", "import sys\nsys.stderr.write('x')"),
    (rules.only_commands_print, "policy/x.py", "import click\nclick.echo('x')"),
    (rules.modules_are_short, "policy/x.py", "x = 1\n" * 401),
    (rules.functions_are_short, "policy/x.py", "def f():\n" + "    x = 1\n" * 50),
    (rules.public_names_are_documented, "policy/x.py", "x = 1"),
    (rules.public_names_are_documented, "policy/x.py", '"""X."""\ndef f(): ...'),
    (rules.public_names_are_documented, "policy/x.py", '"""X."""\nclass C:\n    """C."""\n    def f(self): ...'),
    (rules.no_service_is_special, "policy/x.py", "if name == 'nginx.service': pass"),
    (rules.no_service_is_special, "policy/x.py", "paths = [b'/var/lib/redis']"),
    (rules.no_service_is_special, "policy/x.py", "x = f'{root}/etc/postgresql'"),
    (rules.no_service_is_special, "policy/x.py", "def is_nginx(): ..."),
    (rules.no_service_is_special, "policy/x.py", "def f(redis): ..."),
    (rules.recorders_do_not_know_each_other, "profiler/recorders/strace.py", "import profiler.recorders.ebpf"),
    (
        rules.recorders_do_not_know_each_other,
        "profiler/recorders/strace_lines.py",
        "from profiler.recorders import ptrace",
    ),
    (rules.recorders_do_not_know_each_other, "profiler/recorders/base.py", "from profiler.recorders import strace"),
]

GOOD: list[tuple[Rule, str, str]] = [
    (
        rules.policy_imports_only_what_computes,
        "policy/x.py",
        "import re\nfrom collections.abc import Set\nimport policy.y",
    ),
    (
        rules.policy_imports_only_what_computes,
        "policy/x.py",
        "from importlib import resources\nimport importlib.resources",
    ),
    (rules.policy_touches_nothing, "policy/x.py", "import os, posixpath\nos.fsdecode(b'')\nposixpath.join('a', 'b')"),
    (rules.policy_touches_nothing, "policy/x.py", "self.open()"),
    (rules.only_run_starts_processes, "profiler/run.py", "import subprocess\nsubprocess.Popen([])"),
    (
        rules.only_run_starts_processes,
        "profiler/x.py",
        "import subprocess\ndef f(p: subprocess.Popen[bytes]): subprocess.PIPE",
    ),
    (rules.nothing_runs_through_a_shell, "profiler/run.py", "f('x', shell=False)"),
    (rules.only_commands_print, "profiler/commands/x.py", "print('x')"),
    (rules.modules_are_short, "policy/x.py", "x = 1\n" * 400),
    (rules.functions_are_short, "policy/x.py", "def f():\n" + "    x = 1\n" * 49),
    (rules.public_names_are_documented, "policy/x.py", '"""X."""\ndef _f(): ...\nclass _C:\n    def f(self): ...'),
    (rules.no_service_is_special, "policy/x.py", '"""Such as nginx."""\nX = 1\n"""As redis does."""  # like nginx\n'),
    (rules.no_service_is_special, "policy/x.py", "synchronous = 'crond'"),
    (rules.recorders_do_not_know_each_other, "profiler/recorders/strace.py", "import profiler.recorders.strace_lines"),
    (
        rules.recorders_do_not_know_each_other,
        "profiler/recorders/strace.py",
        "from profiler.recorders.base import Losses",
    ),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_the_rule_finds_it(rule: Rule, path: str, text: str) -> None:
    assert rule(Source(path, text))


@pytest.mark.parametrize(("rule", "path", "text"), GOOD)
def test_the_rule_leaves_it_alone(rule: Rule, path: str, text: str) -> None:
    assert rule(Source(path, text)) == []


def test_every_rule_has_an_example_of_both() -> None:
    own = {
        rule for name, rule in vars(rules).items() if getattr(rule, "__annotations__", {}).get("return") == "list[str]"
    }
    public = {rule for rule in own if not rule.__name__.startswith("_")}
    assert public == {rule for rule, _, _ in BAD} == {rule for rule, _, _ in GOOD}
