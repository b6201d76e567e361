"""Records as bytes: what is not one is refused, never guessed at."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.recorders.ebpf.records import Mark, RecordKind, parse

LAYOUT = "=Q6Qq4Q14I8H16s"


def _record(
    kind: int = 3, call: int = 257, error: int = 0, flags: int = 0, parts: tuple[bytes, ...] = (b"",) * 5
) -> bytes:
    lengths = [len(part) for part in parts]
    numbers = (kind, flags, 1, 7, 33, call, error, 0o100644, 0, sum(lengths), 12, 11, 10, 0)
    head = struct.pack(LAYOUT, 5_000_000_000, *range(6), 3, 0, 0, 0, 0, *numbers, *lengths, 0, 0, 4, b"nginx")
    return head + b"".join(parts)


def test_everything_arrives() -> None:
    flags = Mark.BASE_0 | Mark.RESULT | Mark.NULL_1
    record = parse(_record(flags=flags, parts=(b"name", b"", b"/jail/etc", b"", b"/jail/etc/name")), 100.0)
    assert (record.kind, record.call, record.architecture) == (RecordKind.PATHS, "openat", "x86-64")
    assert record.time == pytest.approx(105.0)
    assert (record.epoch, record.line, record.user, record.pid, record.leader, record.line_leader) == (
        1,
        7,
        33,
        12,
        11,
        10,
    )
    assert record.strings == (b"name", None)
    assert record.bases[0] is not None
    assert record.bases[0].path == b"/jail/etc"
    assert record.found is not None
    assert record.found.root == b"/jai"
    assert record.program == "nginx"


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, ""), (2, "ENOENT"), (11, "EAGAIN"), (95, "EOPNOTSUPP"), (512, "ERESTART"), (516, "ERESTART")],
)
def test_errors_have_the_kernels_names(number: int, name: str) -> None:
    assert parse(_record(error=number), 0.0).error == name


def test_calls_of_other_architectures_are_told_apart() -> None:
    assert parse(_record(call=1024 + 5), 0.0).call == "open"
    assert parse(_record(call=1024 + 5), 0.0).architecture == "x86"
    assert parse(_record(call=1000), 0.0).call == "syscall_1000"


def test_calls_beyond_the_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="3072"):
        parse(_record(call=3072), 0.0)


@given(st.binary(max_size=400))
def test_other_bytes_are_refused(data: bytes) -> None:
    try:
        parse(data, 0.0)
    except (ValueError, struct.error):
        return
    assert len(data) >= struct.calcsize(LAYOUT)


@given(st.data())
def test_cut_records_are_refused(data: st.DataObject) -> None:
    whole = _record(parts=(b"name", b"", b"/etc", b"", b"/etc/name"))
    with pytest.raises((ValueError, struct.error)):
        parse(whole[: data.draw(st.integers(0, len(whole) - 1))], 0.0)
