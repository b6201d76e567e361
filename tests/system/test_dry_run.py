"""Commands with --dry-run: what would be done or refused is said, and nothing happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from profiler import twin
from profiler.run import Completed
from tests.requirements import require
from tests.system.conftest import COMMAND, is_root, unit_tailor
from tests.system.test_bad_input import assert_refused
from tests.twin_fixtures import require_twin

UNIT = """[Service]
ExecStart=/bin/sleep infinity
ExecReload=/bin/true
WatchdogSec=30
"""


def test_on_a_host_nothing_is_touched() -> None:
    require_twin()
    hidden = any(Path(place) in COMMAND.resolve().parents for place in ("/tmp", "/run"))
    with twin.up(visible=(COMMAND.parents[2],) if hidden else ()) as machine:

        def try_out(*words: str) -> Completed:
            return machine.run([str(COMMAND), *words, "--dry-run"], check=False)

        machine.path("/etc/systemd/system/tailor-dry.service").write_text(UNIT)
        machine.run(["systemctl", "daemon-reload"])
        asleep = try_out("record", "tailor-dry", "--attach", "-o", "/root/a.profile")
        assert (asleep.status, asleep.stdout) == (1, "")
        assert "tailor-dry.service is not running" in asleep.stderr
        machine.run(["systemctl", "start", "tailor-dry"])
        before = state(machine)

        told = try_out("harden", "tailor-dry", "-o", "/root/out", "--engine", "strace", "--workload", "true", "--json")
        assert told.status == 0, told.stderr
        plan = json.loads(told.stdout)
        assert (plan["machine"], plan["engine"], plan["starts"]) == ("this host", "strace", 4)
        recording, _, validation = plan["stages"]
        assert recording["steps"][0].startswith("restart it")
        assert "reload it (ExecReload)" in recording["steps"]
        assert "WatchdogSec=" in recording["changes"][1]["reason"]
        assert validation["changes"][0]["what"].endswith("/tailor-dry.service.d/zzz-unit-tailor-test.conf")
        assert plan["files"] == ["/root/out/tailor-dry.profile", "/root/out/tailor-dry.conf"]

        machine.run(["sed", "-i", "/^WatchdogSec=/s/^/PAMName=login\\n/", "/etc/systemd/system/tailor-dry.service"])
        machine.run(["systemctl", "daemon-reload"])
        assert json.loads(try_out("record", "tailor-dry", "-o", "/root/a.profile", "--json").stdout)["engine"] != "ebpf"

        watched = try_out("record", "tailor-dry", "--attach", "-o", "/root/a.profile")
        assert "would start and stop nothing: tailor-dry.service runs on" in watched.stdout
        machine.path("/root/a.conf").write_text("[Service]\nPrivateTmp=yes\n")
        before = state(machine)
        applied = json.loads(try_out("apply", "tailor-dry", "/root/a.conf", "--json").stdout)
        assert applied["writes"] == "/etc/systemd/system/tailor-dry.service.d/zz-unit-tailor.conf"
        assert applied["restarts"] == ["tailor-dry.service"]
        reverted = try_out("revert", "tailor-dry")
        assert (reverted.status, "has no drop-in" in reverted.stderr) == (2, True)
        in_the_system = try_out("harden", "systemd-journald", "-o", "/root/out")
        assert (in_the_system.status, "not safe" in in_the_system.stderr) == (1, True)
        assert state(machine) == before

        installed = Path(applied["writes"])
        machine.path(str(installed.parent)).mkdir()
        machine.path(str(installed)).write_text("# not what we wrote\n")
        machine.run(["systemctl", "daemon-reload"])
        for words in (("apply", "tailor-dry", "/root/a.conf"), ("revert", "tailor-dry")):
            assert try_out(*words).status == machine.run([str(COMMAND), *words], check=False).status == 2
            assert json.loads(try_out(*words, "--force", "--json").stdout)["restarts"] == ["tailor-dry.service"]
        assert machine.path(str(installed)).read_text() == "# not what we wrote\n"

        machine.path("/etc/systemd/system/tailor-many@.service").write_text(UNIT)
        both = ["tailor-many@a.service", "tailor-many@b.service"]
        machine.run(["systemctl", "daemon-reload"])
        machine.run(["systemctl", "start", *both])
        many = ("tailor-many@a", "/root/a.conf", "--template", "--confirm-within", "5min")
        assert json.loads(try_out("apply", *many, "--json").stdout)["restarts"] == both
        machine.run([str(COMMAND), "apply", *many])
        told = json.loads(try_out("revert", "tailor-many@b", "--json").stdout)
        assert sorted(told["restarts"]) == both
        assert [any(name in path for path in told["removes"]) for name in both] == [True, True]


def state(machine: twin.Twin) -> tuple[str, list[str]]:
    shown = machine.run(["systemctl", "show", "-pInvocationID,MainPID,DropInPaths,NRestarts", "tailor-dry"]).stdout
    there = machine.run(["find", "/root", "/run/unit-tailor", "/run/systemd/system"], check=False).stdout
    return shown, sorted(there.splitlines())


def test_in_a_twin_nothing_is_booted(tmp_path: Path) -> None:
    require_twin()
    before = {one.name for one in twin.present()}
    told = unit_tailor("harden", "systemd-hostnamed", "--twin", "-o", "new/place", "--dry-run", cwd=tmp_path)
    there = Path("/lib/systemd/system/systemd-hostnamed.service").exists()
    require(there, "systemd-hostnamed is not installed, any unit that is would do")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("would work on a twin of this machine: asked for with --twin")
    assert told.stdout.endswith("nothing was done\n")
    assert list(tmp_path.iterdir()) == []
    assert {one.name for one in twin.present()} <= before


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (("record", "tailor-nowhere", "--twin"), 2, "no unit tailor-nowhere.service"),
        (("record", "tailor-nowhere@", "--twin"), 2, "is a template"),
        (("record", "some", "--twin", "--package", "Bad_Name"), 2, "not the name of a package"),
        (("record", "some", "--twin", "-o", "good"), 2, "File exists"),
        (("harden", "some", "--twin", "-o", "good/out"), 1, "Not a directory"),
        (("record",), 2, "say what to record"),
    ],
)
def test_what_is_refused_in_earnest_is_refused(words: tuple[str, ...], status: int, part: str, tmp_path: Path) -> None:
    require(is_root(), "the check of rights comes first, so root")
    (tmp_path / "good").write_text("")
    assert_refused([*words, "--dry-run"], status, part, cwd=tmp_path)
    assert_refused(words, status, part, cwd=tmp_path)
