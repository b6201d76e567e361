"""The part of libbpf.so.1 that the recorder needs, through ctypes: no compiler, no headers, no Python package.

Loads an object file, leaves out the programs whose hook the running kernel lacks, attaches the rest. Nothing is pinned:
when this process ends, however it ends, the kernel takes everything away.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
import threading
from collections.abc import Mapping

from profiler.errors import PermissionRefused, ToolError

LIBRARY = "libbpf.so.1"
PACKAGE_HINT = "run: apt-get install libbpf1"

_KINDS = {"tp_btf": ("btf_trace_", 8), "fentry": ("", 12), "fexit": ("", 12), "lsm": ("bpf_lsm_", 12)}
"""By the section's first word: what must stand in front of its name in the kernel's BTF, and as which kind there
(8 TYPEDEF, 12 FUNC in linux/btf.h)."""

_INFORMATION_SIZE = 256  # of struct bpf_prog_info; a smaller one is filled as far as it goes
_RECURSION_MISSES = 208  # its offset in that structure (linux/bpf.h)
_RUN_COUNT = 200
_LOG_LINES = 200

_Print = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_POINTER, _INT, _UNSIGNED, _TEXT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p, ctypes.c_size_t

_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "libbpf_set_print": (_POINTER, (_Print,)),
    "libbpf_num_possible_cpus": (_INT, ()),
    "bpf_object__open_mem": (_POINTER, (_POINTER, _SIZE, _POINTER)),
    "bpf_object__load": (_INT, (_POINTER,)),
    "bpf_object__close": (None, (_POINTER,)),
    "bpf_object__next_program": (_POINTER, (_POINTER, _POINTER)),
    "bpf_object__next_map": (_POINTER, (_POINTER, _POINTER)),
    "bpf_program__name": (_TEXT, (_POINTER,)),
    "bpf_program__section_name": (_TEXT, (_POINTER,)),
    "bpf_program__set_autoload": (_INT, (_POINTER, ctypes.c_bool)),
    "bpf_program__attach": (_POINTER, (_POINTER,)),
    "bpf_program__fd": (_INT, (_POINTER,)),
    "bpf_link__destroy": (_INT, (_POINTER,)),
    "bpf_link__fd": (_INT, (_POINTER,)),
    "bpf_iter_create": (_INT, (_INT,)),
    "bpf_map__name": (_TEXT, (_POINTER,)),
    "bpf_map__fd": (_INT, (_POINTER,)),
    "bpf_map__set_max_entries": (_INT, (_POINTER, _UNSIGNED)),
    "bpf_map__initial_value": (_POINTER, (_POINTER, ctypes.POINTER(_SIZE))),
    "bpf_map_update_elem": (_INT, (_INT, _POINTER, _POINTER, ctypes.c_ulonglong)),
    "bpf_map_lookup_elem": (_INT, (_INT, _POINTER, _POINTER)),
    "bpf_map_get_next_key": (_INT, (_INT, _POINTER, _POINTER)),
    "bpf_obj_get_info_by_fd": (_INT, (_INT, _POINTER, ctypes.POINTER(ctypes.c_uint32))),
    "btf__load_vmlinux_btf": (_POINTER, ()),
    "btf__find_by_name_kind": (_INT, (_POINTER, _TEXT, _UNSIGNED)),
    "btf__free": (None, (_POINTER,)),
}


class _Library:
    # The library with every signature declared: without them ctypes cuts pointers to 32 bits.

    def __init__(self) -> None:
        self.calls = ctypes.CDLL(LIBRARY, use_errno=True)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self.calls, name)
            function.restype, function.argtypes = result, list(arguments)
        self.log: list[str] = []
        self._format = ctypes.CDLL(None).vsnprintf
        self._format.argtypes = [_POINTER, _SIZE, _TEXT, _POINTER]
        self._callback = _Print(self._print)  # referenced for as long as the library may call it
        self.calls.libbpf_set_print(self._callback)

    def _print(self, level: int, text: bytes, values: int) -> int:
        if level < 2 and len(self.log) < _LOG_LINES:  # 2: debugging
            buffer = ctypes.create_string_buffer(4096)
            self._format(buffer, len(buffer), text, values)
            self.log.append(buffer.value.decode("utf-8", "replace").rstrip())
        return 0


_library: _Library | None = None
_lock = threading.Lock()


def library() -> _Library:
    """Return the loaded library. Raises ToolError if this machine has none that fits."""
    global _library  # noqa: PLW0603 (one per process, as the print callback is)
    with _lock:
        if _library is None:
            try:
                _library = _Library()
            except OSError:
                raise ToolError(f"{LIBRARY} is not installed", hint=PACKAGE_HINT) from None
            except AttributeError as error:
                raise ToolError(f"{LIBRARY} is too old: {error}", hint=PACKAGE_HINT) from None
        return _library


def possible_processors() -> int:
    """Return for how many processors the kernel is prepared: as many values as per-processor maps have."""
    return int(library().calls.libbpf_num_possible_cpus())


class BpfObject:
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
            raise self._failure("cannot open the eBPF object", ctypes.get_errno())
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
        btf = self._calls.btf__load_vmlinux_btf()
        if not btf:
            raise ToolError(
                "the kernel does not describe its types (no /sys/kernel/btf/vmlinux)",
                hint="use a kernel with CONFIG_DEBUG_INFO_BTF=y, or: --engine strace",
            )
        absent = []
        for program in self._programs.values():
            section = self._calls.bpf_program__section_name(program).decode()
            kind, _, hook = section.lstrip("?").partition("/")
            if kind in _KINDS:
                prefix, number = _KINDS[kind]
                if self._calls.btf__find_by_name_kind(btf, (prefix + hook).encode(), number) < 0:
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

    def constants(self) -> ctypes.Array[ctypes.c_char]:
        """Return the memory of the constants, to be filled before ``load``."""
        size = _SIZE()
        address = self._calls.bpf_map__initial_value(self._ending(".rodata"), ctypes.byref(size))
        if not address:
            raise ToolError("the eBPF object has no constants")
        return (ctypes.c_char * size.value).from_address(address)

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
            raise self._failure("the kernel refuses the eBPF programs", -error)

    def attach(self, *names: str) -> None:
        """Attach these loaded programs. Raises ToolError if one cannot be."""
        for name in names:
            link = self._calls.bpf_program__attach(self._programs[name])
            if not link:
                raise self._failure(f"cannot attach the eBPF program {name}", ctypes.get_errno())
            self._links[name] = link

    def loaded(self) -> tuple[str, ...]:
        """Return the names of the programs that are in the kernel."""
        return tuple(name for name, program in self._programs.items() if self._calls.bpf_program__fd(program) >= 0)

    def iterate(self, name: str) -> bytes:
        """Run an attached iterator program over everything it iterates, and return what it wrote."""
        descriptor = self._calls.bpf_iter_create(self._calls.bpf_link__fd(self._links[name]))
        if descriptor < 0:
            raise self._failure(f"cannot run the eBPF iterator {name}", -descriptor)
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read()

    def map_descriptor(self, name: str) -> int:
        """Return the descriptor of a map."""
        return int(self._calls.bpf_map__fd(self._maps[name]))

    def store(self, name: str, key: bytes, value: bytes) -> None:
        """Put a value into a map. Raises ToolError if there is no room."""
        error = self._calls.bpf_map_update_elem(self.map_descriptor(name), key, value, 0)
        if error:
            raise self._failure(f"cannot write to the eBPF map {name}", ctypes.get_errno())

    def look_up(self, name: str, key: bytes, size: int) -> bytes | None:
        """Return a value of this size (of per-processor maps: all of them), ``None`` if there is none."""
        buffer = ctypes.create_string_buffer(size)
        if self._calls.bpf_map_lookup_elem(self.map_descriptor(name), key, buffer):
            return None
        return buffer.raw

    def count(self, name: str, key_size: int = 4, most: int = 1_000_000) -> int:
        """Return how many entries a hash map has."""
        key, number = None, 0
        following = ctypes.create_string_buffer(key_size)
        descriptor = self.map_descriptor(name)
        while number < most and not self._calls.bpf_map_get_next_key(descriptor, key, following):
            key, number = ctypes.create_string_buffer(following.raw, key_size), number + 1
        return number

    def misses(self) -> dict[str, int]:
        """Return how often each program did not run because it was running already on that processor."""
        counts = {}
        for name in self.loaded():
            counts[name] = self._information(name)[1]
        return counts

    def _information(self, name: str) -> tuple[int, int]:
        buffer = ctypes.create_string_buffer(_INFORMATION_SIZE)
        size = ctypes.c_uint32(_INFORMATION_SIZE)
        descriptor = self._calls.bpf_program__fd(self._programs[name])
        if self._calls.bpf_obj_get_info_by_fd(descriptor, buffer, ctypes.byref(size)) or size.value < 216:
            return 0, 0
        return (
            struct.unpack_from("=Q", buffer.raw, _RUN_COUNT)[0],
            struct.unpack_from("=Q", buffer.raw, _RECURSION_MISSES)[0],
        )

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

    def _failure(self, what: str, number: int) -> ToolError:
        reason = errno.errorcode.get(number, str(number))
        words = os.strerror(number).lower()
        said = "\n".join(line for line in self._library.log if line)
        if number in {errno.EPERM, errno.EACCES} and "processed" not in said:
            return PermissionRefused(
                f"{what}: {reason} ({words})",
                hint="run it as root, with CAP_BPF and CAP_PERFMON, or: --engine strace",
            )
        error = ToolError(f"{what}: {reason} ({words})", hint="run: unit-tailor doctor; or: --engine strace")
        error.add_note(said)
        return error
