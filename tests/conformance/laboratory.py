"""A booted machine in which probes run as units: what came of each of them without and with settings."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from policy.host_facts import HostFacts
from policy.settings import Assignment
from profiler import twin
from profiler.host import read_host_facts
from profiler.machine import Machine
from tests.conformance import call_probes, images, path_probes, privilege_probes
from tests.conformance.probe_kind import TESTER, TESTER_NAME, Probe
from tests.conformance.tree import PLACES, Tree, roots

HERE = Path(__file__).parent
PROGRAMS = "/usr/lib/unit-tailor-conformance"
RESULTS = "/var/lib/unit-tailor-conformance"
USERS = (0, TESTER)

_NUMBERS = """
import ctypes, json, sys
library = ctypes.CDLL("libseccomp.so.2")
numbers = {name: library.seccomp_syscall_resolve_name(name.encode()) for name in json.load(sys.stdin)}
print(json.dumps({name: number for name, number in numbers.items() if number >= 0}))
"""

Result = tuple[str, str]
"""An outcome and an answer; see the actor."""


@dataclass
class Run:
    """What came of the probes in one unit, by name. ``failure``: why the unit did not get to run any of them.

    ``traces`` are the probes whose effect was seen from outside afterwards.
    """

    results: dict[str, Result] = field(default_factory=dict)
    failure: str = ""
    traces: frozenset[str] = frozenset()
    unit: str = ""
    probes: tuple[Probe, ...] = ()


class Laboratory:
    """One machine with the actor, the files and the peers in place."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.host: HostFacts = read_host_facts(machine)
        self.tree = Tree(machine.root)
        self._count = 0
        self._furnish()
        peers = {name: self._start_peer(name, user) for name, user in (("root", 0), (TESTER_NAME, TESTER))}
        numbers = self._numbers()
        self.unreachable = sorted(name for name in self._known() if name not in numbers)
        self.probes = {user: tuple(_probes(user, peers, numbers)) for user in USERS}

    def baseline(self) -> dict[int, Run]:
        """Return what comes of each probe without any setting, for each user. Unstable results are left out.

        An answer that differs from one time to the next is replaced by a question mark.
        """
        found = {}
        for user in USERS:
            first, second = (self.run((), user, self.probes[user]) for _ in range(2))
            if first.failure or second.failure:
                raise RuntimeError(f"the probes do not run without any setting: {first.failure or second.failure}")
            found[user] = Run({name: _stable(result, second.results[name]) for name, result in first.results.items()})
        return found

    def run(self, settings: Sequence[Assignment], user: int, probes: Sequence[Probe]) -> Run:
        """Run probes as a unit with these settings."""
        self._count += 1
        name = f"probe-{self._count}.service"
        self.tree.restore()
        actions = [[number, probe.apart, *probe.action] for number, probe in enumerate(probes)]
        self.machine.path(f"{PROGRAMS}/actions.json").write_text(json.dumps(actions), encoding="utf-8")
        unit = self.machine.path(f"/run/systemd/system/{name}")
        unit.write_text(_unit(settings, user), encoding="utf-8")
        for old in ("output", "errors"):
            self.machine.path(f"{RESULTS}/{old}").unlink(missing_ok=True)
        # A unit with a name that is new is found without daemon-reload.
        self.machine.run(["systemctl", "start", name], check=False, timeout=120)
        run = self._read(probes)
        run.unit, run.probes = name, tuple(probes)
        if not run.results:
            shown = self.machine.run(["systemctl", "show", "-pResult,ExecMainStatus,ExecMainCode", name]).stdout.split()
            run.failure = " ".join((*shown, *self._said("errors").split("\n")[-3:]))
        run.traces = frozenset(probe.name for probe in probes if probe.trace and self._left(probe.trace))
        self._clean_up(name, unit, failed=bool(run.failure))
        return run

    def _left(self, path: str) -> bool:
        return os.path.lexists(self.tree.inside(path))

    def _said(self, name: str) -> str:
        path = self.machine.path(f"{RESULTS}/{name}")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _read(self, probes: Sequence[Probe]) -> Run:
        run = Run()
        for line in self._said("output").splitlines():
            number, outcome, answer = json.loads(line)
            run.results[probes[number].name] = (outcome, answer)
        return run

    def _clean_up(self, name: str, unit: Path, *, failed: bool) -> None:
        unit.unlink()
        for line in (self.machine.path("/proc/1/mountinfo")).read_text(encoding="utf-8").splitlines():
            target = line.split(" ")[4]
            if target.startswith("/var/lib/probe/"):
                self.machine.run(["umount", target])
        if failed:
            self.machine.run(["systemctl", "reset-failed", name], check=False)

    def _furnish(self) -> None:
        machine = self.machine
        for directory in (PROGRAMS, RESULTS, "/run/systemd/system", "/run/user", "/usr/lib/modules"):
            machine.path(directory).mkdir(parents=True, exist_ok=True)
        machine.path("/root").chmod(0o755)  # else the tester would see nothing of it with or without a sandbox
        for program in ("actor.py", "actor_verbs.py", "actor_calls.py", "peers.py"):
            shutil.copy(HERE / program, machine.path(PROGRAMS))
        with machine.path("/etc/passwd").open("a", encoding="utf-8") as file:
            file.write(f"{TESTER_NAME}:x:{TESTER}:{TESTER}::/nonexistent:/usr/sbin/nologin\n")
        with machine.path("/etc/group").open("a", encoding="utf-8") as file:
            file.write(f"{TESTER_NAME}:x:{TESTER}:\n")
        self.tree.restore()

    def _start_peer(self, name: str, user: int) -> int:
        sockets = [f"{roots(place, user)}/socket" for place in (*PLACES, "/dev/shm/probe")]
        offers = (
            [str(privilege_probes.PORT), privilege_probes.ABSTRACT, str(privilege_probes.SEGMENT)]
            if user == 0
            else ["0", "-", "0"]
        )
        command = ["systemd-run", "--quiet", f"--unit=peer-{name}", f"--uid={user}", "--property=Type=exec"]
        self.machine.run([*command, "python3", "-I", "-B", f"{PROGRAMS}/peers.py", *offers, *sockets])
        shown = self.machine.run(["systemctl", "show", "-PMainPID", f"peer-{name}.service"]).stdout
        self._await(sockets[-1])
        return int(shown)

    def _await(self, path: str) -> None:
        self.machine.run(["sh", "-c", f"for i in $(seq 100); do [ -S {path} ] && exit 0; sleep 0.05; done; exit 1"])

    def _known(self) -> frozenset[str]:
        return self.host.syscall_sets.get("@known", frozenset())

    def _numbers(self) -> Mapping[str, int]:
        said = self.machine.run(["python3", "-I", "-c", _NUMBERS], stdin=json.dumps(sorted(self._known()))).stdout
        numbers: dict[str, int] = json.loads(said)
        return numbers


def _stable(first: Result, second: Result) -> Result:
    if first[0] != second[0]:
        return "unstable", ""
    return first if first == second else (first[0], "?")


def _unit(settings: Sequence[Assignment], user: int) -> str:
    """Return a unit file: the output is opened before the sandbox is set up."""
    lines = [
        "[Service]",
        "Type=oneshot",
        f"StandardInput=file:{PROGRAMS}/actor.py",  # the default, /dev/null, may be forbidden
        f"StandardOutput=truncate:{RESULTS}/output",
        f"StandardError=truncate:{RESULTS}/errors",
        f"ExecStart=/usr/bin/python3 -E -s -B {PROGRAMS}/actor.py {PROGRAMS}/actions.json",
        *([f"User={TESTER_NAME}"] if user else []),
        *(f"{name}={value}" for name, value in settings),
    ]
    return "\n".join(lines) + "\n"


def _probes(user: int, peers: Mapping[str, int], numbers: Mapping[str, int]) -> Iterator[Probe]:
    for probe in (
        *path_probes.tree_probes(user),
        *path_probes.crossing_probes(user),
        *path_probes.system_probes(dict(peers)),
        *call_probes.system_call_probes(numbers),
        *call_probes.argument_probes(user),
        *call_probes.clock_probes(),
        *privilege_probes.capability_probes(),
        *privilege_probes.process_probes(peers),
        *privilege_probes.network_probes(),
    ):
        if probe.applies_to(user):
            yield probe


@contextmanager
def booted(image: images.Image) -> Iterator[Laboratory]:
    """Boot a machine with the image's systemd and furnish it."""
    root = images.ensure(image.suite) if image.suite else None
    with twin.up(image=root) as machine:
        yield Laboratory(machine)
