"""From assignments to a sandbox: the merged settings of a unit, parsed by the directive classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from policy.directives.base import Directive, all_directives
from policy.host_facts import HostFacts
from policy.sandbox.sandbox import Sandbox
from policy.unit_settings import ALIASES, UnitSettings

Assignment = tuple[str, str]
"""A directive's name and a value as written."""


def parse_settings(assignments: Sequence[Assignment], host: HostFacts) -> dict[str, Directive]:
    """Return every known directive with the value that systemd makes of these assignments."""
    written: dict[str, list[str]] = {}
    for name, value in assignments:
        written.setdefault(ALIASES.get(name, name), []).append(value)
    return {name: kind.parse(written.get(name, []), host) for name, kind in all_directives().items()}


def unknown_directives(assignments: Sequence[Assignment]) -> tuple[str, ...]:
    """Return the names among these assignments that this model does not judge, in order of appearance."""
    known = all_directives()
    return tuple(dict.fromkeys(name for name, _ in assignments if ALIASES.get(name, name) not in known))


def build_sandbox(directives: Mapping[str, Directive], host: HostFacts, unit: UnitSettings) -> Sandbox:
    """Return the sandbox that systemd would set up for these directives."""
    sandbox = Sandbox(host, unit)
    for directive in directives.values():
        if not directive.unenforced(host):
            directive.contribute(sandbox)
    return sandbox


def unenforced_directives(assignments: Sequence[Assignment], host: HostFacts) -> dict[str, str]:
    """Return the names among these assignments that the target does nothing about, with the reason, in order."""
    known = all_directives()
    reasons = {name: known[name].unenforced(host) for name, value in assignments if name in known and value.strip()}
    return {name: reason for name, reason in reasons.items() if reason}
