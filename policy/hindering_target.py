"""A target with one of the things that it may lack for a directive to be proposed."""

from __future__ import annotations

from dataclasses import replace

from policy.directives.base import Directive
from policy.host_facts import HostFacts

VERSIONS_AHEAD = 20
"""How many versions of systemd after the target's are asked about."""

NEW_KERNEL = (99, 0)

_MODULES = frozenset({"bpf"})


def other_targets(kind: type[Directive], host: HostFacts) -> list[tuple[str, HostFacts]]:
    """Return what the target is, or lacks, in words, and the target as it would be otherwise; the last has it all."""
    version = host.systemd_version
    found = [
        (f"its systemd is {version}, and {newer} is needed", replace(host, systemd_version=newer))
        for newer in range(version + 1, version + VERSIONS_AHEAD + 1)
    ]
    found += [(f"its kernel is {'.'.join(map(str, host.kernel))}, which is too old", replace(host, kernel=NEW_KERNEL))]
    lacking = [option for option in kind.needs if f"+{option}" not in host.features]
    built = replace(host, features=host.features | {f"+{option}" for option in kind.needs})
    if lacking:
        found.append((f"its systemd is not known to be built with {' '.join(lacking)}", built))
    modules = replace(built, security_modules=(host.security_modules or frozenset()) | _MODULES)
    found.append(("its kernel is not known to have the security module bpf", modules))
    found += [(why, replace(host, refused={})) for why in host.refused.values()]
    everything = replace(modules, systemd_version=version + VERSIONS_AHEAD, kernel=NEW_KERNEL, refused={})
    return [*found, ("it lacks several things that are needed", everything)]
