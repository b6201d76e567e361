"""The stagehand, as seen from here: a program in the twin that sets the scene for probes (see ``stagehand``)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from types import TracebackType
from typing import Any

from profiler import run
from profiler.errors import ToolError
from profiler.machine import Machine


class Stage:
    """A stagehand at work in a machine; as a context manager it is sent home at the end."""

    def __init__(self, machine: Machine) -> None:
        program = resources.files("profiler.probe").joinpath("stagehand.py").read_text(encoding="utf-8")
        command = machine.command([os.path.realpath(sys.executable), "-I", "-B", "-c", program])
        self._process = run.start(command, stdin=subprocess.PIPE)

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run.end_group(self._process)

    def ask(self, verb: str, *arguments: object) -> dict[str, Any]:
        """Have it do something, and return its answer. Raises ToolError if it has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([verb, *arguments]).encode("ascii") + b"\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            raise ToolError("the helper of the probes in the twin has died", hint="run it again") from None
        return answer
