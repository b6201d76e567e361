"""Which way the programs take into the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.errors import ToolError
from profiler.machine import Host
from profiler.recorders.ebpf import kernel_header, loading
from profiler.recorders.ebpf.libbpf import BpfObject
from profiler.recorders.ebpf.library import possible_processors
from profiler.recorders.ebpf.loading import CAPABILITY_FUNCTION, CAPABILITY_TRACEPOINT, Loader, Programs, load
from profiler.recorders.ebpf.recorder import EbpfRecorder
from profiler.recorders.ebpf.records import KernelRecord, RecordKind


def _prepare(programs: Programs) -> None:
    programs.set_entries({"scratches": 2 * possible_processors(), "ring": 4096})


def test_the_loader_that_is_asked_for_is_used(loader: Loader) -> None:
    loaded = load(_prepare)
    assert (loaded.loader, loaded.sees_capabilities, loaded.refusals) == (loader, True, ())
    loaded.programs.close()


def test_bcc_takes_over_where_the_object_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: BpfObject) -> None:
        raise ToolError("the kernel refuses the eBPF programs")

    monkeypatch.setattr(BpfObject, "load", refuse)
    loaded = load(_prepare, Loader.AUTO)
    assert loaded.loader is Loader.BCC
    assert loaded.refusals == ("the kernel refuses the eBPF programs",)
    loaded.programs.close()
    with pytest.raises(ToolError, match="refuses"):
        load(_prepare, Loader.LIBBPF)


def test_bcc_takes_over_where_nothing_was_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loading, "OBJECT", tmp_path / "none")
    loaded = load(_prepare, Loader.AUTO)
    assert loaded.loader is Loader.BCC
    loaded.programs.close()


def test_a_kernel_that_shows_no_capability_checks_is_recorded_without() -> None:
    records: list[KernelRecord] = []
    missing = frozenset({CAPABILITY_TRACEPOINT, CAPABILITY_FUNCTION})
    with EbpfRecorder(Host(), records.append, command=["chown", "1", "/nowhere"], missing=missing) as recorder:
        recorder.wait()
    assert not recorder.sees_capabilities
    assert not recorder.losses.counts
    kinds = {record.kind for record in records}
    assert RecordKind.PATHS in kinds
    assert RecordKind.CAPABILITY not in kinds


def test_the_header_holds_the_kernels_own_types(tmp_path: Path) -> None:
    place = kernel_header.directory(tmp_path / "cache")
    text = (place / "include" / kernel_header.NAME).read_text()
    assert "struct task_struct {" in text
    assert "struct mount {" in text
    written = place.stat().st_mtime_ns
    assert kernel_header.directory(tmp_path / "cache") == place
    assert place.stat().st_mtime_ns == written


def test_a_header_that_others_could_change_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(ToolError, match="others can write"):
        kernel_header.directory(tmp_path)
