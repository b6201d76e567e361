"""Small services in a twin on which changes are tried: one per way in which systemd learns that a service is up."""

from __future__ import annotations

from profiler.twin import Twin
from profiler.unit.unit import Unit

TYPES = {
    "simple": "Type=simple\nExecStart=/bin/sleep 600\n",
    "notify": (
        "Type=notify\nNotifyAccess=all\n"
        "ExecStart=/bin/sh -c 'systemd-notify --ready --status=working; while :; do sleep 600; done'\n"
    ),
    "forking": "Type=forking\nExecStart=/bin/sh -c 'sleep 600 &'\n",
}
"""The [Service] section of each kind."""

DROP_IN = b"[Service]\nNoNewPrivileges=yes\n"
"""A drop-in whose effect the kernel shows."""


def unit_text(service: str) -> str:
    """Return the unit file of a service."""
    return f"[Service]\nTimeoutStopSec=3\n{service}"


def make(machine: Twin, name: str, service: str, *, start: bool = True) -> Unit:
    """Make a service, and start it."""
    machine.path(f"/etc/systemd/system/{name}").write_text(unit_text(service))
    machine.run(["systemctl", "daemon-reload"])
    unit = Unit.load(machine, name)
    if start:
        unit.systemctl.change("start", name)
    return unit


def remove(unit: Unit) -> None:
    """Take a service away with everything that belongs to it."""
    machine = unit.machine
    machine.run(["systemctl", "stop", unit.name, "unit-tailor-revert-*"], check=False)
    places = ("/etc/systemd/system", "/run/systemd/system", "/run/systemd/system.control")
    machine.run(["rm", "-rf", *(f"{place}/{unit.name}{suffix}" for place in places for suffix in ("", ".d"))])
    machine.run(["sh", "-c", "rm -f -- /run/unit-tailor/*"])
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "reset-failed", unit.name], check=False)


def no_new_privileges(unit: Unit) -> bool:
    """Whether the running process is under the drop-in: the kernel's word, not systemd's."""
    main = unit.properties()["MainPID"]
    try:
        return "NoNewPrivs:\t1" in unit.machine.path(f"/proc/{main}/status").read_text()
    except OSError:
        return False


def transients(unit: Unit) -> list[str]:
    """Return the guards and timers of ours that systemd has."""
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend"]
    command += ["unit-tailor-guard-*", "unit-tailor-revert-*"]
    return [line for line in unit.machine.run(command).stdout.splitlines() if line.startswith("unit-tailor-")]


def left_behind(unit: Unit) -> list[str]:
    """Return the files of ours, and the half-written ones, that there are for a unit."""
    places = ["/run/unit-tailor", "/run/systemd", "/etc/systemd/system"]
    pattern = ["(", "-name", f"{unit.name}.*", "-o", "-name", "*unit-tailor*.conf*", ")", "-not", "-type", "d"]
    found = unit.machine.run(["find", *places, *pattern], check=False).stdout.splitlines()
    return sorted(path for path in found if "/transient/" not in path)
