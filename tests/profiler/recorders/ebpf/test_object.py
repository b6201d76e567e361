"""The compiled programs that are shipped."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from profiler.recorders.ebpf import descriptors
from profiler.recorders.ebpf.library import possible_processors
from profiler.recorders.ebpf.loading import OBJECT, Loader, load, object_image

SOURCES = ("recorder.bpf.c", "by_clang.h", "kernel_types.h", "protocol.h")


def test_the_object_is_made_from_the_sources_that_stand_beside_it() -> None:
    sources = b"".join((OBJECT.parent / name).read_bytes() for name in SOURCES)
    digest = hashlib.sha256(sources).hexdigest().encode()
    assert digest in object_image(), "run tools/build_bpf.sh"


def test_the_object_is_small_enough_to_be_kept_in_the_repository() -> None:
    assert OBJECT.stat().st_size < 100_000


def test_loading_takes_less_than_half_a_second() -> None:
    times = []
    for _ in range(3):
        begin = time.process_time()
        bpf = load(
            lambda programs: programs.set_entries({"scratches": 2 * possible_processors()}), Loader.LIBBPF
        ).programs
        bpf.attach(*bpf.loaded())
        times.append(time.process_time() - begin)
        bpf.close()
    assert min(times) < 0.5, times


def test_every_described_call_has_a_number_somewhere() -> None:
    known = {name for table in descriptors.ARCHITECTURES for name in descriptors.numbers()[table].values()}
    assert not set(descriptors.DESCRIPTORS) - known - {"utimensat_time64", "umount", "fstatat64"}


def test_descriptors_have_the_size_of_the_kernels_structure() -> None:
    assert {len(value) for _, value in descriptors.packed()} == {descriptors.SIZE} == {56}


def test_numbers_of_the_machines_headers_are_in_the_tables() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        return
    for line in header.read_text().splitlines():
        words = line.split()
        if line.startswith("#define __NR_"):
            assert descriptors.numbers()["x86-64"][int(words[2])] == words[1].removeprefix("__NR_")
