"""Do the directive classes make of assignments what systemd makes of them? The judge is the systemd installed here."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from random import Random

import pytest

from policy.capability_names import CAPABILITIES
from policy.directives.base import Directive, Evidence, all_directives
from policy.directives.capabilities import AmbientCapabilities, CapabilityBoundingSet
from policy.directives.choice import Choice
from policy.directives.identity import UMask
from policy.directives.namespaces import KINDS, RestrictNamespaces
from policy.directives.network_control import IPAddressAllow, RestrictNetworkInterfaces, SocketBindAllow
from policy.directives.system_calls import SystemCallArchitectures, SystemCallErrorNumber, SystemCallFilter
from policy.host_facts import HostFacts
from profiler.host import read_host_facts
from profiler.machine import Host
from tests import systemd_reading
from tests.policy.services import web_server
from tests.requirements import require

UNITS = 250

SWITCHES = ("yes", "no", "true", "FALSE", "on", "off", "1", "0", "y", "n", "t", "f", "", "maybe", "2", "Yes")
NAMES_OF_CALLS = (
    "chown",
    "setuid",
    "reboot",
    "@chown",
    "@clock",
    "@setuid",
    "@raw-io",
    "clone3",
    "no_such_call",
    "@none",
)
ERRORS = ("", ":EPERM", ":ENOSYS", ":kill", ":38", ":EILSEQ", ":ENOTHING")


@pytest.fixture(scope="module")
def host() -> HostFacts:
    require(systemd_reading.program() is not None, "systemd is not installed: nobody can say how it reads units")
    return read_host_facts(Host())


def dumped(directive: str, written: Sequence[Sequence[str]], field: str = "") -> list[list[str]]:
    """Return what systemd's dump says for each list of assignments."""
    units = {
        f"u{number}.service": "\n".join(
            [
                systemd_reading.UNIT_HEAD,
                "[Service]",
                "ExecStart=/bin/true",
                *(f"{directive}={line}" for line in lines),
                "",
            ]
        ).encode()
        for number, lines in enumerate(written)
    }
    read = systemd_reading.read(units)
    return [read[name].lines.get(field or directive, []) for name in units]


def random_lines(random: Random, line: Callable[[Random], str]) -> list[str]:
    return [line(random) if random.random() < 0.85 else "" for _ in range(random.randint(0, 4))]


def words(random: Random, choices: Sequence[str], most: int = 3) -> str:
    return " ".join(random.choice(choices) for _ in range(random.randint(0, most)))


def tilde(random: Random) -> str:
    return "~" if random.random() < 0.4 else ""


def capability_line(random: Random) -> str:
    if random.random() < 0.1:
        return " ".join(CAPABILITIES)
    names = [*random.sample(CAPABILITIES, 6), "cap_chown", "CAP_NOTHING", "5", "99"]
    return tilde(random) + words(random, names)


def first(values: list[str]) -> str:
    return values[0] if values else ""


@pytest.mark.parametrize("kind", [CapabilityBoundingSet, AmbientCapabilities])
def test_capability_sets(kind: type[CapabilityBoundingSet] | type[AmbientCapabilities], host: HostFacts) -> None:
    random = Random(kind.__name__)
    written = [random_lines(random, capability_line) for _ in range(UNITS)]
    for lines, values in zip(written, dumped(kind.__name__, written), strict=True):
        read = kind.parse(lines, host)
        names = read.kept if isinstance(read, CapabilityBoundingSet) else read.given
        # The dump leaves out a bounding set that holds everything.
        said = {word.upper() for word in first(values).split()} if values else set(CAPABILITIES)
        if not values and isinstance(read, AmbientCapabilities):
            said = set()
        assert names == said, lines


def loadable(host: HostFacts) -> frozenset[str]:
    """Return the calls that libseccomp of this machine has a number for."""
    known = sorted(host.known_calls)
    (values,) = dumped("SystemCallFilter", [[f"~{' '.join(known)}"]])
    return frozenset(values[0].removeprefix("~").split())


def call_line(random: Random) -> str:
    return tilde(random) + " ".join(
        random.choice(NAMES_OF_CALLS) + (random.choice(ERRORS) if random.random() < 0.4 else "")
        for _ in range(random.randint(1, 4))
    )


def shown_list(directive: SystemCallFilter, among: frozenset[str]) -> set[str]:
    if directive.calls is None:
        return set()
    return {
        name + (f":{'kill' if answer == 'SIGSYS' else answer}" if answer else "")
        for name, answer in directive.calls.entries
        if name in among
    }


def test_system_call_filters(host: HostFacts) -> None:
    random = Random(1)
    among = loadable(host)
    written = [random_lines(random, call_line) for _ in range(UNITS)]
    for lines, values in zip(written, dumped("SystemCallFilter", written), strict=True):
        read = SystemCallFilter.parse(lines, host)
        shown = first(values)
        assert set(shown.removeprefix("~").split()) == shown_list(read, among), lines
        if shown:
            assert read.calls is not None
            assert shown.startswith("~") != read.calls.allow_list, lines


def test_proposed_filters_are_read_as_they_are_meant(host: HostFacts) -> None:
    recorded = web_server()
    forms = list(SystemCallFilter.candidates(Evidence(recorded.facts, host, recorded.header.unit)))
    among = loadable(host)
    for form, values in zip(forms, dumped("SystemCallFilter", [form.values() for form in forms]), strict=True):
        assert set(values[0].removeprefix("~").split()) == shown_list(form, among)


def test_error_numbers(host: HostFacts) -> None:
    written = [
        [word] for word in ("EPERM", "38", "kill", "", "EWOULDBLOCK", "EOPNOTSUPP", "nonsense", "0", "log", "5000")
    ]
    written += [["EPERM", ""], ["EPERM", "nonsense"], ["EPERM", "kill"], ["ENOSYS", "EACCES"]]
    # The dump shows the number only where there is a filter.
    with_filter = [[*lines[:-1], f"{lines[-1]}\nSystemCallFilter=@clock"] for lines in written]
    for lines, value in zip(written, dumped("SystemCallErrorNumber", with_filter), strict=True):
        read = SystemCallErrorNumber.parse(lines, host).value
        assert first(value) == ("kill" if read == "SIGSYS" else read), lines


def test_architectures(host: HostFacts) -> None:
    random = Random(2)
    choices = ("native", "x86", "x86-64", "arm64", "nonsense", host.architecture)
    written = [random_lines(random, lambda random: words(random, choices)) for _ in range(UNITS)]
    for lines, values in zip(written, dumped("SystemCallArchitectures", written), strict=True):
        said = {"native" if word == host.architecture else word for word in first(values).split()}
        assert SystemCallArchitectures.parse(lines, host).words == (said | {"native"} if said else said), lines


def test_namespaces(host: HostFacts) -> None:
    random = Random(3)

    def line(random: Random) -> str:
        return random.choice(("yes", "no", "~", tilde(random) + words(random, (*KINDS, "nonsense"), 2)))

    written = [random_lines(random, line) for _ in range(UNITS)]
    for lines, values in zip(written, dumped("RestrictNamespaces", written), strict=True):
        kept = RestrictNamespaces.parse(lines, host).kept
        said = first(values)
        assert (set(kept) if kept is not None else None) == (
            None if not values else set() if said in {"n/a", ""} else set(said.split())
        ), lines


def test_addresses(host: HostFacts) -> None:
    random = Random(4)
    choices = (
        "any",
        "localhost",
        "link-local",
        "multicast",
        "10.0.0.0/8",
        "192.0.2.1",
        "::1",
        "2001:db8::/32",
        "nonsense",
    )
    written = [random_lines(random, lambda random: words(random, choices)) for _ in range(UNITS)]
    for lines, values in zip(written, dumped("IPAddressAllow", written), strict=True):
        networks = set(IPAddressAllow.parse(lines, host).networks)
        said = {ipaddress.ip_network(value) for value in values}
        # systemd leaves out networks that another one of the list covers.
        assert said <= networks, lines
        covered = {one for one in networks for other in said if one.version == other.version and one.subnet_of(other)}  # type: ignore[arg-type]
        assert covered == networks, lines


def test_bind_rules(host: HostFacts) -> None:
    text = "any tcp udp ipv4 ipv6 ipv4:tcp ipv6:udp:53 tcp:80 80 80-90 ipv4:80 tcp:any any:80 tcp:ipv4 0 65536 90-80 x"
    choices = [*text.split(), "udp:1-2-3"]
    written = [[choice] for choice in choices] + [["tcp:80", "udp:53"], ["tcp:80", ""], ["tcp:80", "", "any"]]
    for lines, values in zip(written, dumped("SocketBindAllow", written), strict=True):
        read = SocketBindAllow.parse(lines, host)
        assert len(read.rules) == len(first(values).split()), (lines, values)


def test_interfaces(host: HostFacts) -> None:
    random = Random(5)

    def line(random: Random) -> str:
        return tilde(random) + " ".join(random.choices(("lo", "eth0", "wg0"), k=random.randint(1, 2)))

    written = [random_lines(random, line) for _ in range(UNITS)]
    for lines, values in zip(written, dumped("RestrictNetworkInterfaces", written), strict=True):
        assert RestrictNetworkInterfaces.parse(lines, host).interfaces == set(
            " ".join(values).replace("~", "").split()
        ), lines


def test_masks(host: HostFacts) -> None:
    written = [["077"], ["0077"], ["8"], ["", "027"], ["027", ""], ["7777"], ["17777"], ["-1"], ["0"], []]
    for lines, values in zip(written, dumped("UMask", written), strict=True):
        assert f"{UMask.parse(lines, host).mask:04o}" == first(values), lines


SHOWN_CHOICES = (
    "PrivateNetwork",
    "PrivateUsers",
    "MemoryDenyWriteExecute",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "LockPersonality",
    "KeyringMode",
)


@pytest.mark.parametrize("name", SHOWN_CHOICES)
def test_words(name: str, host: HostFacts) -> None:
    kind: type[Directive] = all_directives()[name]
    assert issubclass(kind, Choice)
    random = Random(name)
    choices = (*kind.order, *SWITCHES, "identity", "self", "full")
    written = [random.choices(choices, k=random.randint(0, 3)) for _ in range(UNITS // 5)]
    for lines, values in zip(written, dumped(name, written), strict=True):
        shown = first(values).replace("self", "yes") if name == "PrivateUsers" else first(values)  # from 257
        assert kind.parse(lines, host).value == shown, lines
