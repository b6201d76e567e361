"""The way it is used in earnest: on a machine where systemd is PID 1, without a twin. That machine is a twin here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from profiler import twin
from tests.requirements import require
from tests.system.conftest import COMMAND
from tests.twin_fixtures import require_twin

UNIT = """[Service]
Type=simple
StateDirectory=tailor-host
ExecStart=/bin/sh -c 'while :; do date > /var/lib/tailor-host/now; sleep 0.2; done'
ExecReload=/bin/sh -c 'touch /var/lib/tailor-host/reloaded'
"""


@pytest.mark.parametrize("running", [True, False])
def test_a_service_of_the_host_is_hardened_and_left_as_it_was(running: bool) -> None:
    require_twin()
    hidden = any(Path(place) in COMMAND.resolve().parents for place in ("/tmp", "/run"))
    visible = (COMMAND.parents[2],) if hidden else ()
    with twin.up(visible=visible) as machine:
        machine.path("/run/systemd/system/tailor-host.service").write_text(UNIT)
        machine.run(["systemctl", "daemon-reload"])
        if running:
            machine.run(["systemctl", "start", "tailor-host"])
        can_start = machine.run([str(COMMAND), "--version"], check=False)
        require(can_start.status == 0, f"the command does not run inside a twin: {can_start.stderr}")

        run = machine.run([str(COMMAND), "harden", "tailor-host", "--for=1s", "-o", "/root/out"], check=False)

        assert run.status == 0, run.stdout + run.stderr
        assert re.search(r"^\d+ facts replayed, 0 blocked$", run.stdout, re.MULTILINE)
        state = machine.run(["systemctl", "is-active", "tailor-host"], check=False).stdout.strip()
        assert state == ("active" if running else "inactive")
        assert machine.run(["systemctl", "show", "-P", "DropInPaths", "tailor-host"]).stdout.strip() == ""
        assert "ProtectSystem=strict" in machine.path("/root/out/tailor-host.conf").read_text()
        assert "TracerPid:\t0" in machine.path("/proc/1/status").read_text()
        assert list(machine.path("/run/unit-tailor").iterdir()) == []
