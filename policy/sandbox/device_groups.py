"""Groups of device nodes by name, as DeviceAllow= takes them: ``char-pts``, ``block-sd``.

The names are those of /proc/devices, with the numbers that Linux gives out for ever
(``Documentation/admin-guide/devices.txt``). Groups whose number is given out at boot are not in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from policy.behaviour import FileKind

CHARACTER_MAJORS: Mapping[str, frozenset[int]] = {
    "mem": frozenset({1}),
    "tty": frozenset({4}),
    "/dev/vc/0": frozenset({4}),
    "ttyS": frozenset({4}),
    "/dev/tty": frozenset({5}),
    "/dev/console": frozenset({5}),
    "/dev/ptmx": frozenset({5}),
    "lp": frozenset({6}),
    "vcs": frozenset({7}),
    "st": frozenset({9}),
    "misc": frozenset({10}),
    "input": frozenset({13}),
    "sg": frozenset({21}),
    "fb": frozenset({29}),
    "video4linux": frozenset({81}),
    "i2c": frozenset({89}),
    "ppdev": frozenset({99}),
    "ppp": frozenset({108}),
    "alsa": frozenset({116}),
    "ptm": frozenset(range(128, 136)),
    "pts": frozenset(range(136, 144)),
    "ttyUSB": frozenset({188}),
    "usb": frozenset({189}),
    "usb_device": frozenset({189}),
    "ttyACM": frozenset({166}),
    "usb/hiddev": frozenset({180}),
    "cpu/msr": frozenset({202}),
    "cpu/cpuid": frozenset({203}),
    "drm": frozenset({226}),
}

BLOCK_MAJORS: Mapping[str, frozenset[int]] = {
    "ramdisk": frozenset({1}),
    "fd": frozenset({2}),
    "loop": frozenset({7}),
    "sd": frozenset({8, *range(65, 72), *range(128, 136)}),
    "md": frozenset({9}),
    "sr": frozenset({11}),
    "nbd": frozenset({43}),
    "mmc": frozenset({179}),
    "xvd": frozenset({202}),
}


def group_has(name: str, kind: FileKind, device: str) -> bool | None:
    """Whether a group, possibly a glob, has a device ("major:minor"); ``None`` if its numbers are not fixed."""
    table = CHARACTER_MAJORS if kind is FileKind.CHARACTER else BLOCK_MAJORS
    majors = [number for group, numbers in table.items() if fnmatchcase(group, name) for number in numbers]
    if not majors or not device:
        return None
    return int(device.partition(":")[0]) in majors
