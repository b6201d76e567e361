"""A drop-in for all instances: specifiers where a path names the instance, and the same paths back for each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.behaviour import Access, FileKind
from policy.path_encoding import expand_specifiers, system_specifiers
from policy.replay import replay
from policy.service_profile import Profile
from policy.template import for_all_instances, generalised, template_of
from policy.unit_settings import UnitSettings
from profiler.errors import UsageError
from profiler.generation import generate
from tests.policy.services import HOST, calls, profile, use


@pytest.mark.parametrize(
    ("unit", "path", "general"),
    [
        ("web@a.service", "/var/lib/web/a", "/var/lib/web/%i"),
        ("web@a.service", "/var/lib/web/area", "/var/lib/web/area"),
        ("web@alpha.service", "/run/web/alpha.sock", "/run/web/%i.sock"),
        ("web@alpha.service", "/run/web/alphabet", "/run/web/alphabet"),
        ("web@1.service", "/var/lib/web/1/log.1", "/var/lib/web/%i/log.1"),
        ("web@1.service", "/var/log/web.1", "/var/log/web.1"),
        ("store@15-main.service", "/var/lib/store/15/main", "/var/lib/store/%I"),
        ("store@a\\x2db.service", "/var/lib/store/a-b", "/var/lib/store/%I"),
        ("web@lib.service", "/var/lib/web", "/var/lib/web"),
        ("web@log.service", "/var/log/web", "/var/log/web"),
        ("tty@ttyS0.service", "/dev/ttyS0", "/dev/%i"),
        ("web@a.service", "/srv/100%/a", "/srv/100%%/%i"),
        ("web.service", "/var/lib/web", "/var/lib/web"),
    ],
)
def test_a_path_names_the_instance_or_not(unit: str, path: str, general: str) -> None:
    assert generalised(path, unit) == general
    assert expand_specifiers(general, system_specifiers(unit)) == path


@given(
    st.text("ab1-_%\\x2d.", min_size=1, max_size=6),
    st.lists(st.text("ab1-_%.", min_size=1, max_size=5).filter(lambda name: name not in {".", ".."}), max_size=4),
)
def test_systemd_makes_the_same_path_of_it_again(instance: str, names: list[str]) -> None:
    path = "/".join(("/var/lib", *names))
    unit = f"web@{instance}.service"
    assert expand_specifiers(generalised(path, unit), system_specifiers(unit)) == path


def instance_of_web(name: str) -> Profile:
    unit = UnitSettings(f"web@{name}.service")
    facts = [
        *calls(("read", "write")),
        use(f"/etc/web/{name}.conf", Access.READ, FileKind.REGULAR),
        use(f"/var/lib/web/{name}/data", Access.CREATE, FileKind.REGULAR),
        use(f"/var/lib/web/{name}/data", Access.DELETE, FileKind.REGULAR),
        use("/var/log/web/access.log", Access.WRITE, FileKind.REGULAR),
    ]
    return profile(facts, unit)


def test_what_one_instance_did_serves_another() -> None:
    made = generate(instance_of_web("first"), HOST, template=True).drop_in
    assert ("ReadWritePaths", '-"/var/lib/web/%i"') in made.assignments
    assert any("web@.service" in line for line in made.header)
    assert not replay(instance_of_web("first"), made.assignments, HOST).denials
    assert not replay(instance_of_web("second"), made.assignments, HOST).denials
    for_one = generate(instance_of_web("first"), HOST).drop_in
    assert replay(instance_of_web("second"), for_one.assignments, HOST).blocked


def test_a_template_is_asked_for_where_there_is_one() -> None:
    assert template_of("web@a.service") == "web@.service"
    assert template_of("web.service") == template_of("web@.service") == ""
    alone = instance_of_web("first")
    alone = replace(alone, header=replace(alone.header, unit=UnitSettings("web.service")))
    with pytest.raises(UsageError, match="not an instance"):
        generate(alone, HOST, template=True)


def test_settings_that_name_no_path_and_specifiers_of_the_unit_stay() -> None:
    lines = [("ReadWritePaths", ""), ("ReadWritePaths", "%S/a"), ("PrivateTmp", "yes"), ("DeviceAllow", "/dev/a rw")]
    assert for_all_instances(lines, "web@a.service") == [*lines[:3], ("DeviceAllow", "/dev/%i rw")]
