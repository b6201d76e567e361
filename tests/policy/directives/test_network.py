"""Which network directives follow from sockets and their addresses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy.behaviour import Access, Fact, SocketAddress, SocketOpened, SystemCall
from policy.directives.base import Evidence, all_directives
from policy.directives.network import PrivateNetwork, RestrictAddressFamilies
from policy.directives.network_control import (
    IPAddressAllow,
    IPAddressDeny,
    SocketBindAllow,
    bound_ports,
    reached_addresses,
)
from policy.host_facts import CONTROL_GROUP_PROGRAMS, DEVICE_CONTROL, HostFacts
from policy.level import Level
from policy.settings import build_sandbox, parse_settings
from policy.shipped_host_facts import for_version
from policy.unit_settings import UnitSettings
from tests.policy.services import HOST, use

TCP = SocketOpened("AF_INET", "SOCK_STREAM")


def evidence(*facts: Fact, host: HostFacts = HOST, unit: UnitSettings | None = None) -> Evidence:
    return Evidence(frozenset(facts), host, unit or UnitSettings())


def met(address: str, operation: str = "connect", family: str = "AF_INET", outcome: str = "ok", port: int = 80) -> Fact:
    return Fact(SocketAddress(operation, family, "SOCK_STREAM", address, port), outcome)


def families(*facts: Fact) -> tuple[str, ...]:
    return next(iter(RestrictAddressFamilies.candidates(evidence(*facts)))).values()


def test_families_are_those_of_the_sockets_and_af_unix() -> None:
    assert families() == ("", "AF_UNIX")
    assert families(Fact(TCP)) == ("", "AF_INET AF_UNIX")
    assert families(Fact(TCP, "EACCES")) == ("", "AF_INET AF_UNIX"), "it failed for another reason"
    assert families(Fact(TCP, "EAFNOSUPPORT")) == ("", "AF_UNIX")
    assert families(met("192.0.2.1")) == ("", "AF_UNIX"), "a socket that was passed in needs no family"


def test_a_family_without_a_name_gets_a_list_of_the_others() -> None:
    strict, loose = RestrictAddressFamilies.candidates(evidence(Fact(SocketOpened("45", "SOCK_RAW"))))
    assert not strict.allows("45")
    assert loose.allows("45")
    assert loose.allows("AF_UNIX")
    assert not loose.allows("AF_PACKET")
    assert loose.values()[1].startswith("~")


@pytest.mark.parametrize(("version", "allowed"), [(252, {"AF_INET"}), (262, set())])
def test_an_unknown_family_ends_the_line_in_newer_versions(version: int, allowed: set[str]) -> None:
    read = RestrictAddressFamilies.parse(["AF_NOSUCH AF_INET"], for_version(version))
    assert read.allow_list
    assert read.families == allowed


def test_a_network_of_its_own_only_without_any_network() -> None:
    def proposed(*facts: Fact, unit: UnitSettings | None = None) -> bool:
        return bool(list(PrivateNetwork.candidates(evidence(*facts, unit=unit))))

    assert proposed()
    assert proposed(Fact(SocketOpened("AF_UNIX", "SOCK_STREAM")))
    assert not proposed(Fact(TCP))
    assert not proposed(Fact(SocketOpened("AF_NETLINK", "SOCK_RAW", 0)))
    assert not proposed(met("@abstract", family="AF_UNIX"))
    assert not proposed(use("/sys/class/net/eth0", Access.LOOKUP))
    assert not proposed(unit=UnitSettings(socket_activated=True))
    assert not proposed(Fact(SystemCall("io_uring_enter")))


@pytest.mark.parametrize(
    ("facts", "reach"),
    [
        ((), "none"),
        ((Fact(TCP),), "loopback"),
        ((Fact(TCP), met("127.0.0.1")), "loopback"),
        ((Fact(TCP), met("127.0.0.1", "bind"), met("::1", family="AF_INET6")), "loopback"),
        ((Fact(TCP), met("::ffff:127.0.0.1", family="AF_INET6")), "loopback"),
        ((Fact(TCP), met("0.0.0.0", "bind")), "further"),
        ((Fact(TCP), met("::", "bind", "AF_INET6")), "further"),
        ((Fact(TCP), met("127.0.0.1"), met("192.0.2.1", outcome="ECONNREFUSED")), "further"),
        ((Fact(SocketOpened("AF_PACKET", "SOCK_RAW")), met("127.0.0.1")), "unknown"),
    ],
)
def test_how_far_it_reached(facts: tuple[Fact, ...], reach: str) -> None:
    assert reached_addresses(evidence(*facts)) == reach


def test_only_no_address_or_loopback_alone_is_written() -> None:
    def lines(*facts: Fact) -> tuple[list[IPAddressDeny], list[IPAddressAllow]]:
        return list(IPAddressDeny.candidates(evidence(*facts))), list(IPAddressAllow.candidates(evidence(*facts)))

    assert lines() == ([IPAddressDeny(("any",))], [])
    assert lines(Fact(TCP), met("127.0.0.1")) == ([IPAddressDeny(("any",))], [IPAddressAllow(("localhost",))])
    assert lines(Fact(TCP), met("10.0.0.1")) == ([], [])


@pytest.mark.parametrize(
    ("settings", "fact", "outcome"),
    [
        ("IPAddressDeny=any", met("192.0.2.1"), "ETIMEDOUT"),
        ("IPAddressDeny=any", Fact(SocketAddress("send", "AF_INET", "SOCK_DGRAM", "192.0.2.1", 53)), "EPERM"),
        ("IPAddressDeny=any", met("192.0.2.1", "accept"), "ETIMEDOUT"),
        ("IPAddressDeny=any", met("0.0.0.0", "bind"), ""),
        ("IPAddressDeny=any\nIPAddressAllow=localhost", met("127.0.0.1"), ""),
        ("IPAddressDeny=any\nIPAddressAllow=localhost", met("::1", family="AF_INET6"), ""),
        ("IPAddressDeny=192.0.2.0/24", met("192.0.2.200"), "ETIMEDOUT"),
        ("IPAddressDeny=192.0.2.0/24", met("198.51.100.1"), ""),
        ("PrivateNetwork=yes", met("192.0.2.1"), "ENETUNREACH"),
        ("PrivateNetwork=yes", met("192.0.2.1", outcome="ENETUNREACH"), ""),
        ("PrivateNetwork=yes", met("127.0.0.1"), "ECONNREFUSED"),
        ("PrivateNetwork=yes", met("127.0.0.1", outcome="ECONNREFUSED"), ""),
        ("PrivateNetwork=yes", met("/run/x", family="AF_UNIX"), ""),
    ],
)
def test_what_the_service_would_see(settings: str, fact: Fact, outcome: str) -> None:
    pairs = [(line.partition("=")[0], line.partition("=")[2]) for line in settings.split("\n")]
    denial = build_sandbox(parse_settings(pairs, HOST), HOST, UnitSettings()).judge(fact)
    assert (denial.outcome if denial else "") == outcome


@pytest.mark.parametrize(
    ("rules", "port", "denied"),
    [
        ("SocketBindDeny=any", 80, True),
        ("SocketBindDeny=any", 0, True),
        ("SocketBindAllow=80\nSocketBindDeny=any", 80, False),
        ("SocketBindAllow=80\nSocketBindDeny=any", 0, True),
        ("SocketBindAllow=tcp\nSocketBindDeny=any", 0, False),
        ("SocketBindAllow=udp\nSocketBindDeny=any", 80, True),
        ("SocketBindAllow=ipv4:tcp:80-90\nSocketBindDeny=any", 85, False),
        ("SocketBindAllow=ipv6\nSocketBindDeny=any", 80, True),
        ("SocketBindAllow=80", 81, False),
        ("SocketBindAllow=0\nSocketBindDeny=any", 0, False),
        ("SocketBindAllow=0\nSocketBindDeny=any", 80, True),
        ("SocketBindAllow=0-65535\nSocketBindDeny=any", 80, False),
    ],
)
def test_binding(rules: str, port: int, denied: bool) -> None:
    host = HostFacts(262, features=frozenset({"+BPF_FRAMEWORK"}))
    pairs = [(line.partition("=")[0], line.partition("=")[2]) for line in rules.split("\n")]
    sandbox = build_sandbox(parse_settings(pairs, host), host, UnitSettings())
    assert (sandbox.judge(met("0.0.0.0", "bind", port=port)) is not None) == denied


@pytest.mark.parametrize(("version", "rules"), [(252, ("ipv4:tcp",)), (257, ("ipv4:tcp:0",))])
def test_a_port_that_the_kernel_picks_takes_a_rule_of_its_own_where_there_is_one(
    version: int, rules: tuple[str, ...]
) -> None:
    assert SocketBindAllow.parse(["ipv4:tcp:0"], HostFacts(version)).rules == (() if version == 252 else rules)
    assert bound_ports(evidence(met("127.0.0.1", "bind", port=0), host=HostFacts(version))) == rules


def test_rules_about_bind_are_not_in_force_without_the_framework() -> None:
    host = HostFacts(262, features=frozenset({"-BPF_FRAMEWORK"}))
    sandbox = build_sandbox(parse_settings([("SocketBindDeny", "any")], host), host, UnitSettings())
    assert sandbox.judge(met("0.0.0.0", "bind")) is None


@pytest.mark.parametrize("name", ["SocketBindDeny", "RestrictNetworkInterfaces", "RestrictFileSystems"])
def test_a_framework_without_its_library_is_none(name: str) -> None:
    host = HostFacts(262, features=frozenset({"+BPF_FRAMEWORK"}))
    kind = all_directives()[name]
    assert kind.unenforced(host) == ""
    assert "libbpf" in kind.unenforced(replace(host, missing_libraries=frozenset({"libbpf"})))


@pytest.mark.parametrize(
    ("mechanism", "names"),
    [
        (
            CONTROL_GROUP_PROGRAMS,
            {"IPAddressAllow", "IPAddressDeny", "RestrictFileSystems", "RestrictNetworkInterfaces"},
        ),
        (DEVICE_CONTROL, {"DeviceAllow", "DevicePolicy"}),
    ],
)
def test_what_a_container_refuses_to_systemd_protects_from_nothing(mechanism: str, names: set[str]) -> None:
    host = HostFacts(262, features=frozenset({"+BPF_FRAMEWORK"}), refused={mechanism: "not permitted"})
    void = {name for name, kind in all_directives().items() if kind.unenforced(host) == "not permitted"}
    assert void == names | ({"SocketBindAllow", "SocketBindDeny"} if mechanism == CONTROL_GROUP_PROGRAMS else set())


def test_the_level_strict_lists_the_peers_that_were_met() -> None:
    facts = [met("192.0.2.4"), met("192.0.2.5"), met("2001:db8::1"), met("127.0.0.1"), met("0.0.0.0", "bind", port=80)]
    facts.append(Fact(SocketOpened("AF_INET", "SOCK_STREAM")))
    strict = Evidence(frozenset(facts), HOST, UnitSettings(), level=Level.STRICT)
    assert list(IPAddressAllow.candidates(strict)) == [
        IPAddressAllow(("localhost", "192.0.2.4/31", "2001:db8::1")),
    ]
    assert list(IPAddressDeny.candidates(strict)) == [IPAddressDeny(("any",))]
    assert not list(IPAddressDeny.candidates(replace(strict, level=Level.STANDARD)))
    many = frozenset(met(f"198.51.{number}.1") for number in range(60))
    assert not list(IPAddressDeny.candidates(replace(strict, facts=strict.facts | many)))
