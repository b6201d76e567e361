"""The first loader: opens an object file that was compiled once for all kernels (CO-RE), through libbpf.

Leaves out the programs whose hook the running kernel lacks, attaches the rest. Nothing is pinned: when this process
ends, however it ends, the kernel takes everything away.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Mapping

from profiler.errors import ToolError
from profiler.recorders.ebpf.library import Maps, failure, hook_number, kernel_types, library, run_counts

_SIZE = ctypes.c_size_t


class BpfObject(Maps):
    """An object file on its way into the kernel: open, adjust, ``load``, ``attach``, ``close``."""

    def __init__(self, image: bytes) -> None:
        self._library = library()
        self._calls = self._library.calls
        self._image = image  # libbpf keeps pointers into it
        self._links: dict[str, int] = {}
        self._library.log.clear()
        self.absent: tuple[str, ...] = ()
        self._object = self._calls.bpf_object__open_mem(image, len(image), None)
        if not self._object:
            raise failure("cannot open the eBPF object", ctypes.get_errno())
        self._maps = self._named("map")
        self._programs = self._named("program")

    def _named(self, what: str) -> dict[str, int]:
        found: dict[str, int] = {}
        following, name_of = (getattr(self._calls, f"bpf_{part}") for part in (f"object__next_{what}", f"{what}__name"))
        item = following(self._object, None)
        while item:
            found[name_of(item).decode()] = item
            item = following(self._object, item)
        return found

    def leave_out_absent(self) -> tuple[str, ...]:
        """Leave out every program whose hook this kernel does not have; return their sections.

        Raises ToolError if the kernel does not describe its types.
        """
        btf = kernel_types()
        absent = []
        for program in self._programs.values():
            section = self._calls.bpf_program__section_name(program).decode()
            if hook_number(btf, section) < 0:
                self._calls.bpf_program__set_autoload(program, False)
                absent.append(section)
        self._calls.btf__free(btf)
        self.absent = tuple(sorted(absent))
        return self.absent

    def leave_out(self, name: str) -> None:
        """Leave out the program of that name."""
        self._calls.bpf_program__set_autoload(self._programs[name], False)

    def set_entries(self, sizes: Mapping[str, int]) -> None:
        """Set how many entries (of a ring: bytes) maps have, by name."""
        for name, entries in sizes.items():
            if self._calls.bpf_map__set_max_entries(self._maps[name], entries):
                raise ToolError(f"cannot give the eBPF map {name} {entries} entries")

    def constants(self) -> memoryview:
        """Return the memory of the constants, to be filled before ``load``."""
        size = _SIZE()
        address = self._calls.bpf_map__initial_value(self._ending(".rodata"), ctypes.byref(size))
        if not address:
            raise ToolError("the eBPF object has no constants")
        return memoryview((ctypes.c_char * size.value).from_address(address)).cast("B")

    def variables(self) -> mmap.mmap:
        """Return the memory of the variables of the loaded programs, which they share with us."""
        descriptor = self._calls.bpf_map__fd(self._ending(".bss"))
        return mmap.mmap(descriptor, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)

    def _ending(self, name: str) -> int:
        # In front of the section's name libbpf puts a part of the object's.
        return next(item for full, item in self._maps.items() if full.endswith(name))

    def load(self) -> None:
        """Hand everything to the kernel. Raises PermissionRefused or ToolError with the kernel's reason."""
        error = self._calls.bpf_object__load(self._object)
        if error:
            raise failure("the kernel refuses the eBPF programs", -error)

    def attach(self, *names: str) -> None:
        """Attach these loaded programs. Raises ToolError if one cannot be."""
        for name in names:
            link = self._calls.bpf_program__attach(self._programs[name])
            if not link:
                raise failure(f"cannot attach the eBPF program {name}", ctypes.get_errno())
            self._links[name] = link

    def loaded(self) -> tuple[str, ...]:
        """Return the names of the programs that are in the kernel."""
        return tuple(name for name, program in self._programs.items() if self._calls.bpf_program__fd(program) >= 0)

    def iterate(self, name: str) -> bytes:
        """Run an attached iterator program over everything it iterates, and return what it wrote."""
        descriptor = self._calls.bpf_iter_create(self._calls.bpf_link__fd(self._links[name]))
        if descriptor < 0:
            raise failure(f"cannot run the eBPF iterator {name}", -descriptor)
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read()

    def map_descriptor(self, name: str) -> int:
        """Return the descriptor of a map."""
        return int(self._calls.bpf_map__fd(self._maps[name]))

    def misses(self) -> dict[str, int]:
        """Return how often each program did not run because it was running already on that processor."""
        counts = {}
        for name in self.loaded():
            counts[name] = run_counts(self._calls.bpf_program__fd(self._programs[name]))[1]
        return counts

    def detach(self) -> None:
        """Detach all programs; maps can still be read."""
        for link in self._links.values():
            self._calls.bpf_link__destroy(link)
        self._links.clear()

    def close(self) -> None:
        """Detach and free everything."""
        self.detach()
        if self._object:
            self._calls.bpf_object__close(self._object)
            self._object = None
