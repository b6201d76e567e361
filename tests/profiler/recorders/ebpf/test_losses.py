"""Each kind of loss, forced: it is counted. What is no loss is complete."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from profiler.recorders.ebpf.recorder import LOSSES
from profiler.recorders.ebpf.records import RecordKind
from profiler.recorders.ebpf.ring import Ring
from tests.profiler.recorders.ebpf.recordings import take_program

RING, PROCESS, STRING, CUT, _FILE, _SCRATCH, NUMBER, MESSAGES = LOSSES
SMALLEST_RING = 4096


@pytest.mark.parametrize(
    ("kind", "loss"), [("unreadable", STRING), ("deep", CUT), ("number", NUMBER), ("messages", MESSAGES)]
)
def test_what_cannot_be_read_is_counted(kind: str, loss: str, tmp_path: Path) -> None:
    taken = take_program("losses.py", kind, str(tmp_path))
    assert taken.status == 0
    assert set(taken.losses.counts) == {loss}


def test_a_child_beyond_the_table_is_counted(tmp_path: Path) -> None:
    taken = take_program("losses.py", "processes", str(tmp_path), sizes={"tracked": 4})
    assert taken.losses.counts[PROCESS] >= 6
    assert not take_program("losses.py", "processes", str(tmp_path)).losses.counts


def test_a_sleeping_reader_loses_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Ring.take
    awake = time.monotonic() + 3

    def late(ring: Ring) -> list[bytes]:
        time.sleep(max(0.0, awake - time.monotonic()))
        return original(ring)

    monkeypatch.setattr(Ring, "take", late)
    taken = take_program("losses.py", "paths", str(tmp_path), sizes={"ring": SMALLEST_RING})
    found = {record.strings[0] for record in taken.of("access")}
    assert len(found) < 2000
    assert taken.losses.counts[RING] >= 2000 - len(found)


def test_full_tables_cost_traffic_but_lose_nothing(tmp_path: Path) -> None:
    sizes = {name: 16 for name in ("names", "files", "paths", "calls", "arguments", "addresses", "capabilities")}
    taken = take_program("losses.py", "paths", str(tmp_path), sizes=sizes)
    found = {record.strings[0] for record in taken.of("access")}
    assert {f"{tmp_path}/missing-{index}".encode() for index in range(2000)} <= found
    assert not taken.losses.counts
    assert taken.notes.counts


def test_a_storm_is_complete_or_counted(tmp_path: Path) -> None:
    taken = take_program("losses.py", "storm", str(tmp_path))
    names = {record.strings[0] for record in taken.of("access") if record.strings[0]}
    names = {name for name in names if b"/missing-" in name}
    peers = {record.strings[0] for record in taken.of("connect", RecordKind.ADDRESS)}
    missing = (100_000 - len(names)) + (1_000 - len(peers))
    assert missing == 0 or taken.losses.counts.get(RING, 0) >= missing
    assert PROCESS not in taken.losses.counts
