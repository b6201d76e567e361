"""A unit read from its files, beside what systemd itself says of the same unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.errors import ToolError, UsageError
from profiler.twin import Twin
from profiler.unit.unit import OUR_DROP_IN, Unit
from profiler.unit.unit_files import find_unit_files

FILES = {
    "tailor-files-a@.service": "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true one\nExecReload=/bin/true two\n",
    "tailor-files-a@.service.d/20-b.conf": "[Service]\nExecStartPre=-/bin/true three\n",
    "tailor-files-a@x.service.d/10-a.conf": "[Service]\nExecReload=\n",
    "tailor-files-a@x.service.d/20-b.conf": "[Service]\nExecStop=/bin/true four\n",
    "tailor-.service.d/30-c.conf": "[Service]\nExecStopPost=/bin/true five\n",
    "service.d/40-d.conf": "[Unit]\nRefuseManualStop=on\n",
}


def lay_out(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / "etc/systemd/system" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_an_instance_is_read_as_systemd_reads_it(fresh_twin: Twin) -> None:
    lay_out(fresh_twin.root, FILES)
    fresh_twin.run(["systemctl", "daemon-reload"])
    unit = Unit.load(fresh_twin, "tailor-files-a@x")
    found = find_unit_files(fresh_twin.root, "tailor-files-a@x")
    assert found.name == unit.name
    assert list(found.paths) == unit.files()
    assert found.exec_lines == unit.settings().exec_lines
    assert found.can_reload == (unit.properties()["CanReload"] == "yes")
    assert found.in_session == bool(unit.properties()["PAMName"])
    refusals = []
    for check in (found.check, unit.check_may_restart):
        with pytest.raises(ToolError) as caught:
            check()
        refusals.append(caught.value.message)
    assert refusals[0] == refusals[1]


def test_an_alias_stands_for_its_unit(tmp_path: Path) -> None:
    lay_out(tmp_path, {"real.service": "[Service]\nType=notify-reload\nExecStart=/bin/true\n"})
    (tmp_path / "etc/systemd/system/other.service").symlink_to("real.service")
    found = find_unit_files(tmp_path, "other")
    assert (found.name, found.can_reload) == ("real.service", True)
    found.check()


def test_what_is_masked_or_not_there(tmp_path: Path) -> None:
    lay_out(tmp_path, {"some.service": "[Service]\n"})
    (tmp_path / "etc/systemd/system/gone.service").symlink_to("/dev/null")
    with pytest.raises(UsageError, match=r"gone\.service is masked"):
        find_unit_files(tmp_path, "gone")
    with pytest.raises(UsageError, match=r"no unit som\.service on this host; did you mean some\.service"):
        find_unit_files(tmp_path, "som")


def test_init_scripts_are_services_too(tmp_path: Path) -> None:
    (tmp_path / "etc/init.d").mkdir(parents=True)
    (tmp_path / "etc/init.d/old").write_text("#!/bin/sh\n")
    assert find_unit_files(tmp_path, "old").exec_lines == ()


def test_a_drop_in_of_ours_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, {"some.service": "[Service]\n", f"some.service.d/{OUR_DROP_IN}": "[Service]\nUser=x\n"})
    found = find_unit_files(tmp_path, "some")
    assert not [one for one in found.assignments if one.name == "User"]
    with pytest.raises(ToolError, match="runs under a drop-in of unit-tailor"):
        found.check()
