"""``replay --probe`` on real daemons: the sandbox of a real systemd and the model agree on every recorded fact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.conftest import Hardened, unit_tailor

DAEMONS = ("nginx", "redis-server", "dnsmasq", "memcached", "mosquitto", "haproxy")

STRICT = """\
[Service]
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProcSubset=pid
PrivateNetwork=yes
CapabilityBoundingSet=CAP_SETUID CAP_SETGID
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
MemoryDenyWriteExecute=yes
RestrictSUIDSGID=yes
InaccessiblePaths=-/etc/ssl -/var/lib
NoExecPaths=/usr/share /usr/lib/x86_64-linux-gnu
SystemCallFilter=~@network-io @timer @chown kill
SystemCallErrorNumber=EPERM
"""
"""Refuses something of every kind to almost every daemon."""


def probed(done: Hardened, drop_in: Path) -> dict[str, object]:
    """Return what ``replay --probe`` finds."""
    packages = [word for package in done.daemon.packages for word in ("--package", package)]
    finished = unit_tailor("replay", done.profile_path, drop_in, "--probe", *packages, "--json", timeout=600)
    assert finished.stdout, finished.stderr
    document: dict[str, object] = json.loads(finished.stdout)["probe"]
    return document


@pytest.mark.parametrize("name", [DAEMONS[0], *(pytest.param(name, marks=pytest.mark.long) for name in DAEMONS[1:])])
def test_what_is_allowed_is_allowed(hardened: Callable[[str], Hardened], name: str) -> None:
    done = hardened(name)

    found = probed(done, done.drop_in_path)

    assert found["different"] == []
    assert found["failures"] == []
    assert found["agreed"] == len(done.profile.facts)


@pytest.mark.long
@pytest.mark.parametrize("name", DAEMONS)
def test_what_is_refused_is_refused_in_the_same_way(
    hardened: Callable[[str], Hardened], name: str, tmp_path: Path
) -> None:
    done = hardened(name)
    strict = tmp_path / "strict.conf"
    strict.write_text(STRICT)

    found = probed(done, strict)

    assert found["different"] == []
    assert found["failures"] == []
    assert found["agreed"] == len(done.profile.facts)
