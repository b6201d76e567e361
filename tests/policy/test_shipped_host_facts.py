"""The shipped tables: complete, closed, and the same as what the target itself says."""

from __future__ import annotations

import shutil

import pytest

from policy import shipped_host_facts
from policy.shipped_host_facts import (
    expand_sets,
    for_version,
    made_with,
    service_settings,
    shipped_versions,
    shortcoming,
    table_version,
)
from profiler.host import parse_features, parse_version, read_syscall_sets
from profiler.machine import Host
from tests.requirements import require


def test_sets_are_expanded_however_deep() -> None:
    nested = {
        "@a": frozenset({"read", "@b", "@gone"}),
        "@b": frozenset({"write", "@c"}),
        "@c": frozenset({"close", "@a"}),
        "@self": frozenset({"@self", "open"}),
    }
    everything = frozenset({"read", "write", "close"})
    assert expand_sets(nested) == {
        "@a": everything,
        "@b": everything,
        "@c": everything,
        "@self": frozenset({"open"}),
    }


@pytest.mark.parametrize("version", shipped_versions())
def test_tables_are_complete(version: int) -> None:
    facts = for_version(version)
    assert facts.systemd_version == version
    assert all(not name.startswith("@") for members in facts.syscall_sets.values() for name in members)
    assert all(facts.syscall_sets.values())
    assert facts.syscall_sets["@system-service"] >= facts.syscall_sets["@basic-io"]
    assert len(facts.syscall_sets["@known"]) > 400  # no superset: 252.39 has uretprobe in @system-service only
    assert "execve" in facts.syscall_sets["@default"]
    assert "+SECCOMP" in facts.features
    assert service_settings(version) >= {"ReadWritePaths", "ExecStart", "PrivateTmp", "KillMode", "MemoryMax"}
    assert "ListenStream" not in service_settings(version)


def test_the_sizes_are_those_of_debian_12() -> None:
    sets = for_version(252).syscall_sets
    assert (len(sets["@default"]), len(sets["@system-service"])) == (63, 376)


def test_the_nearest_lower_version_stands_in_and_that_is_said() -> None:
    lowest, highest = shipped_versions()[0], shipped_versions()[-1]
    assert table_version(highest + 7) == highest
    assert table_version(lowest - 1) == lowest
    assert for_version(highest + 7).systemd_version == highest + 7
    assert str(highest) in shortcoming(highest + 7)
    assert shortcoming(highest) == ""


@pytest.mark.parametrize(("version", "table"), [(240, 245), (245, 245), (251, 245), (252, 252), (256, 252), (300, 257)])
def test_the_nearest_lower_of_several_is_chosen(monkeypatch: pytest.MonkeyPatch, version: int, table: int) -> None:
    monkeypatch.setattr(shipped_host_facts, "shipped_versions", lambda: (245, 252, 257))
    assert table_version(version) == table
    assert bool(shortcoming(version)) == (version != table)


def test_the_table_agrees_with_this_machine() -> None:
    require(shutil.which("systemd-analyze") is not None, "systemd is not installed: the table has no judge")
    said = Host().run(["systemctl", "--version"]).stdout
    version = parse_version(said)
    require(version in shipped_versions(), f"no table of systemd {version} is shipped: nothing to compare")
    build = made_with(version)
    require(said.splitlines()[0] == build, f"the table was made with {build}: other builds may differ")
    facts = for_version(version)
    assert facts.syscall_sets == read_syscall_sets(Host())
    assert facts.features == parse_features(said)
