"""The twin's network looks like one, and leads nowhere."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from profiler import twin


def output(machine: twin.Twin, *arguments: str) -> str:
    return machine.run(arguments).stdout.strip()


def test_the_network_has_addresses_and_leads_nowhere(session_twin: twin.Twin) -> None:
    names = "import socket; print(len(socket.getaddrinfo('localhost', 80, flags=socket.AI_ADDRCONFIG)) > 0)"
    assert output(session_twin, "python3", "-c", names) == "True"
    numeric = (
        "import socket\n"
        "for family, goal in ((socket.AF_INET, '198.51.100.1'), (socket.AF_INET6, '2001:db8:ffff::1')):\n"
        "    finder = socket.socket(family, socket.SOCK_DGRAM)\n"
        "    finder.connect((goal, 9))\n"
        "    print(finder.getsockname()[0])\n"
    )
    assert output(session_twin, "python3", "-c", numeric).split() == ["192.0.2.10", "2001:db8::10"]
    assert output(session_twin, "ls", "/sys/class/net").split() == ["eth0", "lo"]


def test_a_name_server_that_cannot_be_reached_is_known_at_once(fresh_twin: twin.Twin) -> None:
    fresh_twin.path("/etc/resolv.conf").write_text("nameserver 198.51.100.53\n")
    began = time.monotonic()
    assert fresh_twin.run(["getent", "ahosts", "host.example"], check=False).status == 2
    assert time.monotonic() - began < 3


def test_addresses_are_in_use_and_settings_are_the_hosts(session_twin: twin.Twin) -> None:
    shown = output(session_twin, "ip", "-o", "address")
    assert "tentative" not in shown
    assert "2001:db8::10/64" in shown
    for name in ("net/ipv4/ip_unprivileged_port_start", "net/ipv4/ping_group_range", "net/ipv6/bindv6only"):
        assert output(session_twin, "cat", f"/proc/sys/{name}") == Path(f"/proc/sys/{name}").read_text().strip()


@pytest.mark.parametrize("goal", ["198.51.100.1", "2001:db8:ffff::1", "192.0.2.2", "192.0.2.1"])
def test_connecting_outwards_fails_at_once(session_twin: twin.Twin, goal: str) -> None:
    script = f"import socket; socket.create_connection(({goal!r}, 80), timeout=8)"
    began = time.monotonic()
    completed = session_twin.run(["python3", "-c", script], check=False)
    assert completed.status != 0
    assert any(word in completed.stderr for word in ("unreachable", "No route", "refused")), completed.stderr
    assert time.monotonic() - began < 5
