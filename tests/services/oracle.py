"""The oracle: the true minimum of each small service, found by taking things away under a real systemd.

Everything is allowed first. Then half of it is taken away, then quarters, then single items, for as long as the service
still does its work, until no single removal passes (1-minimal; other minima can exist, and the answer holds for what
the program does only). The answers are kept in ``fixtures/oracle.toml``, and compared with what is generated.

Call: ``python -m tests.services.oracle [SERVICE...]``
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from policy.capability_names import CAPABILITIES
from policy.host_facts import HostFacts
from profiler import twin
from profiler.errors import ToolError
from profiler.host import read_host_facts
from profiler.machine import Machine
from tests.services.fixture import SERVICES, Needs, Service
from tests.services.strict_values import STRICT
from tests.twin_fixtures import CHECKOUT

ANSWERS = Path(__file__).resolve().parents[2] / "fixtures" / "oracle.toml"
FAMILIES = ("AF_VSOCK", "AF_PACKET", "AF_NETLINK", "AF_INET6", "AF_INET", "AF_UNIX")
NO_FAMILY = "AF_ROSE"  # transient units do not know the word none (systemd 252): one that no program opens
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
BROAD_PATHS = ("/var", "/tmp", "/usr", "/srv", "/run", "/root", "/opt", "/home", "/etc", "/boot")
"""Taken away before the paths that a fixture names, so that a narrow one is kept where there is a choice."""

COMPOSITE = frozenset({"@known", "@system-service", "@default"})
"""Groups that hold others, and the one that every allow-list holds."""

CONFIRMATIONS = 3
"""How often the answer must pass before it is believed."""

Item = tuple[str, str]


@dataclass(frozen=True)
class Question:
    """Whether a service works with just these items allowed, and everything else denied."""

    machine: Machine
    service: Service
    groups: dict[str, frozenset[str]]

    def items(self) -> list[Item]:
        """Return everything that can be taken away, in the order in which it is tried."""
        paths = [*BROAD_PATHS, *sorted(self.service.needs.writable)]
        return [
            *(("path", path) for path in paths),
            *(("group", group) for group in sorted(self.groups)),
            *(("capability", name) for name in CAPABILITIES),
            *(("family", family) for family in FAMILIES),
            *(("namespace", kind) for kind in NAMESPACES),
            *(("directive", name) for name in STRICT if name not in {"ProtectSystem", "RestrictNamespaces"}),
        ]

    def passes(self, allowed: Iterable[Item]) -> bool:
        """Run the service once."""
        properties = [f"--property={name}={value}" for name, value in self.settings(set(allowed))]
        own = [f"--property={line}" for line in self.service.unit_lines]
        run = ["systemd-run", "--quiet", "--wait", "--collect", "--service-type=oneshot", *own, *properties, "--"]
        script = f'{{\n{self.service.prepare or ":"}\n}} >/dev/null || exit 99\nexec "$@"'
        words = ["sh", "-euc", script, "sh", *run, *self.service.command.split()]
        status = self.machine.run(words, check=False, timeout=60).status
        if status == 99:
            raise ToolError(f"{self.service.name} could not be made ready", hint="look at its prepare lines")
        return status == 0

    def settings(self, allowed: set[Item]) -> list[tuple[str, str]]:
        """Return the assignments under which just these items are allowed.

        Where all of a kind is allowed, nothing is assigned: any filter of system calls implies NoNewPrivileges= for who
        is not root.
        """
        of = {kind: [name for what, name in allowed if what == kind] for kind in {what for what, _ in self.items()}}
        calls = [name for group in of["group"] for name in sorted(self.groups[group])]
        writable = [f"-{path}" for path in sorted(of["path"])]
        open_kinds = {what for what in of if set(of[what]) == {name for kind, name in self.items() if kind == what}}
        lists = [
            ("family", "RestrictAddressFamilies", " ".join(of["family"]) or NO_FAMILY),
            ("namespace", "RestrictNamespaces", " ".join(of["namespace"]) or "yes"),
            ("group", "SystemCallFilter", " ".join(["@default", *calls])),
            ("group", "SystemCallErrorNumber", "EPERM"),
        ]
        return [
            ("ProtectSystem", "strict"),
            *((name, STRICT[name][0]) for kind, name in self.items() if kind == "directive" and name not in of[kind]),
            ("CapabilityBoundingSet", " ".join(of["capability"])),
            *((name, value) for kind, name, value in lists if kind not in open_kinds),
            *([("ReadWritePaths", " ".join(writable))] if writable else []),
        ]


def call_groups(host: HostFacts) -> dict[str, frozenset[str]]:
    """Return groups that together are all calls systemd knows; those in no other group are one of their own."""
    groups = {name: calls for name, calls in host.syscall_sets.items() if name not in COMPOSITE}
    grouped = frozenset().union(*groups.values(), host.syscall_sets["@default"])
    return {**groups, "others": host.syscall_sets["@known"] - grouped}


def minimum(items: Sequence[Item], passes: Callable[[set[Item]], bool]) -> set[Item]:
    """Return a subset of the items that passes and of which no single one can be taken away.

    Raises ToolError if not even all of them together pass, or if the answer does not pass every time.
    """
    kept = set(items)
    if not passes(kept):
        raise ToolError("it does not work with everything allowed", hint="look at its program")

    def take_away(chunk: Sequence[Item]) -> bool:
        chunk = [item for item in chunk if item in kept]
        if not chunk:
            return False
        if passes(kept - set(chunk)):
            kept.difference_update(chunk)
            return True
        if len(chunk) == 1:
            return False
        halves = chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]
        return any([take_away(half) for half in halves])

    take_away(items)
    while any([take_away([item]) for item in items if item in kept]):
        pass
    if not all(passes(kept) for _ in range(CONFIRMATIONS)):
        raise ToolError("the answer does not pass every time", hint="what the service does depends on chance")
    return kept


def needs_of(items: Iterable[Item]) -> Needs:
    """Return an answer in the words of the fixtures."""
    found = {kind: frozenset(name for what, name in items if what == kind) for kind in {what for what, _ in items}}
    none: frozenset[str] = frozenset()
    relaxed = found.get("directive", none) | ({"RestrictNamespaces"} if found.get("namespace") else none)
    return Needs(found.get("capability", none), found.get("family", none), relaxed, found.get("path", none))


def read_answers() -> dict[str, Needs]:
    """Return the answers that are kept, by service."""
    described = tomllib.loads(ANSWERS.read_text(encoding="utf-8")) if ANSWERS.is_file() else {}
    keys = ("capabilities", "families", "relaxed", "writable")
    return {name: Needs(*(frozenset(table[key]) for key in keys)) for name, table in described.items()}


def _write(answers: dict[str, dict[str, list[str]]]) -> None:
    lines = ["# Found by make oracle: what each service of fixtures/services needs at least, under a real systemd."]
    for name, table in sorted(answers.items()):
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {json.dumps(words)}" for key, words in table.items()]
    ANSWERS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def ask(machine: Machine, service: Service) -> dict[str, list[str]]:
    """Return the answer for one service, as it is written."""
    service.stage(machine)
    try:
        question = Question(machine, service, call_groups(read_host_facts(machine)))
        kept = minimum(question.items(), question.passes)
    finally:
        service.remove(machine)
    needs = needs_of(kept)
    return {
        "capabilities": sorted(needs.capabilities),
        "families": sorted(needs.families),
        "relaxed": sorted(needs.relaxed),
        "writable": sorted(needs.writable),
        "namespaces": sorted(name for kind, name in kept if kind == "namespace"),
        "groups": sorted(name for kind, name in kept if kind == "group"),
    }


def main(names: list[str]) -> int:
    """Ask about the named services, or all, keep the answers, and return 1 if one differs from what is expected."""
    answers: dict[str, dict[str, list[str]]] = {}
    if ANSWERS.is_file() and names:
        answers = tomllib.loads(ANSWERS.read_text(encoding="utf-8"))
    status = 0
    with twin.up(visible=CHECKOUT) as machine:
        for service in SERVICES:
            if names and service.name not in names:
                continue
            try:
                answers[service.name] = ask(machine, service)
            except ToolError as error:
                print(f"{service.name}: {error.message}", file=sys.stderr, flush=True)
                status = 1
                continue
            _write(answers)
            same = read_answers()[service.name] == service.needs
            status = status if same or service.explained else 1
            print(f"{service.name}: {'as expected' if same else answers[service.name]}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
