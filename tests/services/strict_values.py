"""The yes/no directives and the strict value of each: what the services are compared by."""

from __future__ import annotations

from policy.decide import Decision

STRICT = {
    "ProtectSystem": ("strict",),
    "ProtectHome": ("yes", "tmpfs"),
    "PrivateTmp": ("yes", "disconnected"),
    "PrivateDevices": ("yes",),
    "PrivateNetwork": ("yes",),
    "PrivateIPC": ("yes",),
    "ProtectKernelTunables": ("yes",),
    "ProtectKernelModules": ("yes",),
    "ProtectKernelLogs": ("yes",),
    "ProtectControlGroups": ("yes", "strict"),
    "ProtectClock": ("yes",),
    "ProtectHostname": ("yes",),
    "ProtectProc": ("invisible",),
    "ProcSubset": ("pid",),
    "RestrictNamespaces": ("yes",),
    "RestrictRealtime": ("yes",),
    "RestrictSUIDSGID": ("yes",),
    "LockPersonality": ("yes",),
    "MemoryDenyWriteExecute": ("yes",),
    "NoNewPrivileges": ("yes",),
    "SystemCallArchitectures": ("native",),
}
"""By name, the strictest value first; the others are no looser for what these services do."""


def relaxed(decision: Decision) -> frozenset[str]:
    """Return the directives to which a decision does not give their strict value."""
    chosen = {choice.name: choice.chosen.values() for choice in decision.choices if choice.name in STRICT}
    return frozenset(name for name, values in chosen.items() if " ".join(values).strip() not in STRICT[name])
