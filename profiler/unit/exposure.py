"""systemd-analyze security: a unit's exposure level, 0.0 (perfect) to 10.0."""

from __future__ import annotations

import re

from profiler.errors import ToolError
from profiler.machine import Machine

_OVERALL = re.compile(r"Overall exposure level for (?P<unit>\S+): (?P<level>\d+\.\d)")


def exposure(machine: Machine, unit: str) -> float:
    """Return the exposure level of a loaded unit under the settings that systemd has for it now.

    Raises ToolError if systemd-analyze(1) prints no level.
    """
    completed = machine.run(["systemd-analyze", "security", "--no-pager", unit], check=False)
    match = _OVERALL.search(completed.stdout)
    if match is None:
        raise ToolError(f"systemd-analyze security printed no exposure level for {unit}", hint=completed.stderr.strip())
    return float(match["level"])
