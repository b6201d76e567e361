"""ioctl() and devices whose use is a privilege."""

from __future__ import annotations

import pytest

from profiler.recorders.base import Descriptor, Symbol
from tests.profiler.normalise.test_identities import capabilities


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("SG_IO", ["CAP_SYS_RAWIO"]),
        ("HDIO_DRIVE_CMD", ["CAP_SYS_ADMIN", "CAP_SYS_RAWIO"]),
        ("HDIO_GET_MULTCOUNT", []),
        ("NVME_IOCTL_ADMIN_CMD", ["CAP_SYS_ADMIN"]),
        ("DM_TABLE_STATUS", ["CAP_SYS_ADMIN"]),
        ("SIOCSIFADDR", ["CAP_NET_ADMIN"]),
        ("SIOCGIFADDR", []),
        ("FIONREAD", []),
    ],
)
def test_commands_for_disks_and_networks(request_: str, expected: list[str]) -> None:
    call = ("ioctl", Descriptor(3, b"/dev/sda"), Symbol(request_), 0)
    assert capabilities(call) == [f"{name}: ioctl({request_})" for name in expected]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/dev/cpu/1/msr", ["CAP_SYS_RAWIO"]),
        (b"/dev/cpu/1/cpuid", []),
        (b"/dev/ppp", ["CAP_NET_ADMIN"]),
        (b"/dev/null", []),
    ],
)
def test_opening_devices(path: bytes, expected: list[str]) -> None:
    used = capabilities(("openat", Descriptor(-100, b"/"), path, Symbol("O_RDONLY")))
    assert used == [f"{name}: opening {path.decode()}" for name in expected]
