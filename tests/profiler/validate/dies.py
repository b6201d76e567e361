"""Does one thing to a service and gets a signal just before its n-th change to the machine; run as a program.

The changes are what Python's own audit events (sys.addaudithook) show of us: files made, renamed and removed, and
programs started that change something. Nothing in the tool knows of this.

    python -m tests.profiler.validate.dies TWIN UNIT ACTION N [SIGNAL]

The signal is SIGKILL unless another is named. With N = 0 it lives, and prints the name of every point.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from policy.drop_in import stamped
from profiler import twin
from profiler.engines.choice import Engine
from profiler.generation import generate
from profiler.host import read_host_facts
from profiler.unit.unit import Unit
from profiler.validate.attendance import record_attended
from profiler.validate.transaction import apply, confirm, revert
from profiler.validate.validation import validate
from tests.profiler.validate.services import DROP_IN

ASSIGNMENTS = [("NoNewPrivileges", "yes")]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGING = {"daemon-reload", "restart", "start", "stop", "reload", "reset-failed", "systemd-run", "strace", "sh"}
FILES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}


def act(unit: Unit, action: str) -> None:
    """Do what is to be interrupted."""
    match action.split():
        case ["record", *engine]:
            record_attended(unit, serving_for=0.1, engine=Engine(engine[0]) if engine else Engine.AUTO)
        case ["harden"]:
            recorded = record_attended(unit, serving_for=0.1)
            host = read_host_facts(unit.machine)
            cut = generate(recorded.profile, host).drop_in
            validate(unit, cut.render(), cut.assignments, host)
        case ["validate"]:
            validate(unit, DROP_IN.decode(), ASSIGNMENTS, read_host_facts(unit.machine))
        case ["apply"]:
            apply(unit, stamped(DROP_IN, "test"), ASSIGNMENTS)
        case ["apply", "template"]:
            apply(unit, stamped(DROP_IN, "test"), ASSIGNMENTS, for_template=True)
        case ["confirm", "template"]:
            confirm(unit)
        case ["revert", "template"]:
            revert(unit, for_template=True)
        case ["try"]:
            apply(unit, stamped(DROP_IN, "test"), ASSIGNMENTS, confirm_within=300)
        case ["confirm"]:
            confirm(unit)
        case ["revert"]:
            revert(unit)


class Points:
    """Counts the changes, and dies before the n-th."""

    def __init__(self, deadly: int, number: signal.Signals) -> None:
        self.deadly = deadly
        self.number = number
        self.names: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Be told of an audit event."""
        name = self._change(event, arguments)
        if not name:
            return
        self.names.append(name)
        if len(self.names) == self.deadly:
            os.kill(os.getpid(), self.number)

    def _change(self, event: str, arguments: tuple[Any, ...]) -> str:
        if event == "subprocess.Popen":
            words = [os.fsdecode(word) for word in arguments[1]]
            inner = words[words.index("--all") + 2 :] if "--all" in words else words
            verb = inner[1] if inner[0] == "systemctl" else inner[0]
            return " ".join(inner[:2])[:40] if verb in CHANGING else ""
        if event in FILES and "tailor" in str(arguments[0]):
            return f"{event} {os.path.basename(str(arguments[0]))}"  # noqa: PTH119
        if event == "open" and arguments[2] & WRITING and "tailor" in str(arguments[0]):
            return f"open {os.path.basename(str(arguments[0]))}"  # noqa: PTH119
        return ""


def main() -> None:
    """Run the program."""
    machine, name, action, deadly, *number = sys.argv[1:]
    unit = Unit.load(twin.find(machine), name)
    points = Points(int(deadly), signal.Signals[number[0]] if number else signal.SIGKILL)
    sys.addaudithook(points)
    act(unit, action)
    print("\n".join(points.names))


if __name__ == "__main__":
    main()
