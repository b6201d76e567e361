"""apply, status, confirm, why and revert as a user types them, on a machine where systemd is PID 1: a twin here."""

from __future__ import annotations

import json
import time
from pathlib import Path

from profiler import twin
from profiler.run import Completed
from tests.requirements import require
from tests.system.conftest import COMMAND
from tests.twin_fixtures import require_twin

UNIT = """[Service]
ExecStart=/bin/sh -c 'while :; do date > /srv/tailor-now; sleep 0.2; done'
"""
SOUND = "[Service]\nProtectHome=yes\nNoNewPrivileges=yes\n"
DEADLY = "[Service]\nSystemCallFilter=~execve\n"
FILE = "/etc/systemd/system/tailor-host.service.d/zz-unit-tailor.conf"


def test_the_life_of_a_drop_in() -> None:
    require_twin()
    hidden = any(Path(place) in COMMAND.resolve().parents for place in ("/tmp", "/run"))
    with twin.up(visible=(COMMAND.parents[2],) if hidden else ()) as machine:

        def unit_tailor(*words: str) -> Completed:
            return machine.run([str(COMMAND), *words], check=False)

        machine.path("/etc/systemd/system/tailor-host.service").write_text(UNIT)
        machine.path("/root/sound.conf").write_text(SOUND)
        machine.path("/root/deadly.conf").write_text(DEADLY)
        machine.run(["systemctl", "daemon-reload"])
        machine.run(["systemctl", "start", "tailor-host"])
        can_start = unit_tailor("--version")
        require(can_start.status == 0, f"the command does not run inside a twin: {can_start.stderr}")

        nothing = unit_tailor("confirm", "tailor-host")
        assert nothing.status == 2
        assert "error: tailor-host.service has no drop-in that waits for its confirmation" in nothing.stderr

        failed = unit_tailor("apply", "tailor-host", "/root/deadly.conf")
        assert failed.status == 3, failed.stdout + failed.stderr
        assert "it has its settings before again" in failed.stdout
        assert json.loads(unit_tailor("status", "--json").stdout)["units"] == []

        tried = unit_tailor("apply", "tailor-host", "/root/sound.conf", "--confirm-within", "2min", "--check", "true")
        assert tried.status == 0, tried.stdout + tried.stderr
        known = json.loads(unit_tailor("status", "tailor-host", "--json").stdout)["units"][0]
        assert known["permanent"] is None
        assert known["on_trial"].startswith("/run/systemd/system.control/tailor-host.service.d/")
        assert 60 < known["deadline"] - time.time() < 121

        assert unit_tailor("confirm", "tailor-host").stdout == f"tailor-host.service keeps the drop-in: {FILE}\n"
        assert machine.path(FILE).read_text().endswith(SOUND)
        shown = machine.run(["systemctl", "show", "-P", "ProtectHome", "tailor-host"]).stdout
        assert shown == "yes\n"

        quiet = unit_tailor("why", "tailor-host", "--for", "1s")
        assert quiet.status == 0, quiet.stdout + quiet.stderr

        with machine.path(FILE).open("a") as file:
            file.write("ProtectSystem=strict\n")
        machine.run(["systemctl", "daemon-reload"])
        why = unit_tailor("why", "tailor-host", "--for", "1s")
        assert why.status == 3, why.stdout + why.stderr
        assert "/srv/tailor-now" in why.stdout
        assert "ProtectSystem=strict" in why.stdout
        assert "the smallest change: " in why.stdout

        refused = unit_tailor("revert", "tailor-host")
        assert refused.status == 2
        assert "was changed since unit-tailor wrote it" in refused.stderr
        assert unit_tailor("revert", "tailor-host", "--force").status == 0
        assert machine.run(["systemctl", "show", "-P", "DropInPaths", "tailor-host"]).stdout.strip() == ""
        assert machine.run(["systemctl", "is-active", "tailor-host"]).stdout == "active\n"
        assert list(machine.path("/run/unit-tailor").iterdir()) == []
