"""The unit under study: its name, its settings as systemd merges them, its Exec lines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from policy.unit_settings import ExecLine
from profiler.errors import ToolError, UsageError
from profiler.twin import Twin
from profiler.unit.names import full_name
from profiler.unit.unit import DIRECTORY_ROOTS, OUR_DROP_IN, Unit, exec_lines, writable_directories

FRAGMENT = """[Service]
Type=oneshot
RemainAfterExit=yes
StateDirectory=tailor-one tailor-two
CapabilityBoundingSet=CAP_CHOWN
ExecStartPre=-/bin/true one ; +/bin/true two
ExecStart=/bin/true \\
# a comment inside
    three
ExecReload=/bin/true
"""

DROP_IN = "[Service]\nExecReload=\nExecReload=!/bin/false\nCapabilityBoundingSet=CAP_KILL\n"


@pytest.fixture
def unit(session_twin: Twin) -> Iterator[Unit]:
    name = "tailor-unit.service"
    fragment = session_twin.path(f"/run/systemd/system/{name}")
    drop_ins = session_twin.path(f"/run/systemd/system/{name}.d")
    drop_ins.mkdir()
    fragment.write_text(FRAGMENT)
    (drop_ins / "10-other.conf").write_text(DROP_IN)
    session_twin.run(["systemctl", "daemon-reload"])
    yield Unit.load(session_twin, "tailor-unit")
    for path in drop_ins.iterdir():
        path.unlink()
    drop_ins.rmdir()
    fragment.unlink()
    session_twin.run(["systemctl", "daemon-reload"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("some", "some.service"),
        ("some.service", "some.service"),
        ("some@1.2", "some@1.2.service"),
        (r"a\x2db", r"a\x2db.service"),
    ],
)
def test_a_name_gets_its_suffix_as_with_systemctl(name: str, expected: str) -> None:
    assert full_name(name) == expected


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a\n", "some.timer", "x" * 300, "ü"])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        full_name(name)


def test_settings_are_merged_from_all_files(unit: Unit) -> None:
    settings = unit.settings()

    assert settings.type == "oneshot"
    assert settings.values("CapabilityBoundingSet") == ("CAP_CHOWN", "CAP_KILL")
    assert settings.writable_directories == ("/var/lib/tailor-one", "/var/lib/tailor-two")
    assert settings.runs_as_root


def test_exec_lines_keep_prefixes_and_resets(unit: Unit) -> None:
    assert unit.settings().exec_lines == (
        ExecLine("ExecStartPre", "-", "/bin/true"),
        ExecLine("ExecStartPre", "+", "/bin/true"),
        ExecLine("ExecStart", "", "/bin/true"),
        ExecLine("ExecReload", "!", "/bin/false"),
    )


def test_our_own_drop_in_is_not_the_unit_s(unit: Unit) -> None:
    before = unit.settings()
    path = unit.machine.path(f"/run/systemd/system/{unit.name}.d/{OUR_DROP_IN}")
    path.write_text("[Service]\nNoNewPrivileges=yes\n")
    unit.systemctl.daemon_reload()

    assert unit.settings() == before
    with pytest.raises(ToolError, match="runs under a drop-in of unit-tailor"):
        unit.check_without_ours()


def test_a_unit_that_does_not_exist_is_named(session_twin: Twin) -> None:
    with pytest.raises(UsageError, match=r"there is no unit tailor-nothing\.service"):
        Unit.load(session_twin, "tailor-nothing")


def test_an_empty_assignment_takes_commands_away() -> None:
    lines = exec_lines([("ExecStart", "/bin/a"), ("ExecStart", ""), ("ExecStart", "@/bin/b b")])

    assert lines == (ExecLine("ExecStart", "@", "/bin/b"),)


def test_the_directories_of_a_user_that_comes_and_goes_are_reached_through_links() -> None:
    properties = dict.fromkeys(DIRECTORY_ROOTS, "") | {"StateDirectory": "a", "RuntimeDirectory": "b"}
    assert writable_directories(properties | {"DynamicUser": "no"}) == ("/var/lib/a", "/run/b")
    assert writable_directories(properties | {"DynamicUser": "yes"}) == ("/var/lib/a", "/var/lib/private/a", "/run/b")
