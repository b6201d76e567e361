"""Files without a name, as the kernel tells of them; test_files.py has the same with strace."""

from __future__ import annotations

from pathlib import Path

from policy.behaviour import PathPair
from tests.profiler.normalise.kernel_recordings import record_in_kernel

NAMED = """
import ctypes, os, sys
one, two = sys.argv[1:]
files = [os.open(place, os.O_TMPFILE | os.O_RDWR) for place in (one, two)]
link = b"/proc/self/fd/%d" % files[0]
assert ctypes.CDLL(None).linkat(-100, link, -100, os.fsencode(one) + b"/named", 0x400) == 0
"""


def test_a_link_by_descriptor_may_name_any_of_them(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    recording = record_in_kernel(NAMED, str(one), str(two))
    assert recording.status == 0
    pairs = {(pair.source, pair.target) for pair in recording.behaviours(PathPair) if isinstance(pair, PathPair)}
    assert pairs == {(f"{place}/#tmpfile", f"{one}/named") for place in (one, two)}


def test_of_a_file_that_was_handed_in_nothing_is_assumed(tmp_path: Path) -> None:
    program = """
import ctypes, os, sys
file = os.open(sys.argv[1] + "/old", os.O_CREAT | os.O_RDWR)
assert ctypes.CDLL(None).linkat(-100, b"/proc/self/fd/%d" % file, -100, os.fsencode(sys.argv[1]) + b"/new", 0x400) == 0
"""
    recording = record_in_kernel(program, str(tmp_path))
    assert recording.status == 0
    (pair,) = recording.behaviours(PathPair)
    assert isinstance(pair, PathPair)
    assert pair.source.startswith("/proc/self/fd/")
