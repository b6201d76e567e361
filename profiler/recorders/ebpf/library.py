"""libbpf.so.1 through ctypes: the functions that are used, with their signatures, and what all loaders share."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
from abc import ABC, abstractmethod

from profiler.errors import PermissionRefused, ToolError

LIBRARY = "libbpf.so.1"
PACKAGE_HINT = "run: apt-get install libbpf1"

_HOOKS = {
    "tp_btf": ("btf_trace_", 8),
    "fentry": ("", 12),
    "fexit": ("", 12),
    "lsm": ("bpf_lsm_", 12),
    "iter": ("bpf_iter_", 12),
}
"""By the section's first word: what must stand in front of its name in the kernel's BTF, and as which kind there
(8 TYPEDEF, 12 FUNC in linux/btf.h)."""

_INFORMATION_SIZE = 256  # of struct bpf_prog_info; a smaller one is filled as far as it goes
_RECURSION_MISSES = 208  # its offset in that structure (linux/bpf.h)
_RUN_COUNT = 200
_LOG_LINES = 200

_Print = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
Dump = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
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
    "btf__new_empty": (_POINTER, ()),
    "btf__add_int": (_INT, (_POINTER, _TEXT, _SIZE, _INT)),
    "btf__add_func": (_INT, (_POINTER, _TEXT, _INT, _INT)),
    "btf__add_func_proto": (_INT, (_POINTER, _INT)),
    "btf__add_func_param": (_INT, (_POINTER, _TEXT, _INT)),
    "btf__load_into_kernel": (_INT, (_POINTER,)),
    "btf__fd": (_INT, (_POINTER,)),
    "btf_dump__new": (_POINTER, (_POINTER, Dump, _POINTER, _POINTER)),
    "btf_dump__dump_type": (_INT, (_POINTER, _UNSIGNED)),
    "btf_dump__free": (None, (_POINTER,)),
    "bpf_map_create": (_INT, (_INT, _TEXT, _UNSIGNED, _UNSIGNED, _UNSIGNED, _POINTER)),
    "bpf_prog_load": (_INT, (_INT, _TEXT, _TEXT, _POINTER, _SIZE, _POINTER)),
    "bpf_raw_tracepoint_open": (_INT, (_TEXT, _INT)),
    "bpf_link_create": (_INT, (_INT, _INT, _INT, _POINTER)),
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

    def formatted(self, text: bytes, values: int) -> bytes:
        """Return what printf would write, of a callback's arguments."""
        buffer = ctypes.create_string_buffer(4096)
        self._format(buffer, len(buffer), text, values)
        return buffer.value


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


def kernel_types() -> int:
    """Return libbpf's handle of the BTF of the running kernel, for ``btf__free``. Raises ToolError if there is none."""
    btf = library().calls.btf__load_vmlinux_btf()
    if not btf:
        raise ToolError(
            "the kernel does not describe its types (no /sys/kernel/btf/vmlinux)",
            hint="use a kernel with CONFIG_DEBUG_INFO_BTF=y, or: --engine strace",
        )
    return int(btf)


def hook_number(btf: int, section: str) -> int:
    """Return the number in the kernel's BTF of what a program is attached to; negative if this kernel lacks it."""
    kind, _, hook = section.partition("/")
    prefix, number = _HOOKS[kind]
    return int(library().calls.btf__find_by_name_kind(btf, (prefix + hook).encode(), number))


def failure(what: str, number: int) -> ToolError:
    """Return the error for what the kernel answered with this errno, with what libbpf has logged as a note."""
    reason = errno.errorcode.get(number, str(number))
    words = os.strerror(number).lower()
    said = "\n".join(line for line in library().log if line)
    if number in {errno.EPERM, errno.EACCES} and "processed" not in said:
        return PermissionRefused(
            f"{what}: {reason} ({words})",
            hint="run it as root, with CAP_BPF and CAP_PERFMON, or: --engine strace",
        )
    error = ToolError(f"{what}: {reason} ({words})", hint="run: unit-tailor doctor; or: --engine strace")
    error.add_note(said)
    return error


def run_counts(program: int) -> tuple[int, int]:
    """Return how often a loaded program ran (if that is counted), and how often not because it was running already."""
    buffer = ctypes.create_string_buffer(_INFORMATION_SIZE)
    size = ctypes.c_uint32(_INFORMATION_SIZE)
    if library().calls.bpf_obj_get_info_by_fd(program, buffer, ctypes.byref(size)) or size.value < 216:
        return 0, 0
    return (
        struct.unpack_from("=Q", buffer.raw, _RUN_COUNT)[0],
        struct.unpack_from("=Q", buffer.raw, _RECURSION_MISSES)[0],
    )


class Maps(ABC):
    """Access to the maps of loaded programs by name; those who load say which descriptors they have."""

    @abstractmethod
    def map_descriptor(self, name: str) -> int:
        """Return the descriptor of a map."""

    def store(self, name: str, key: bytes, value: bytes) -> None:
        """Put a value into a map. Raises ToolError if there is no room."""
        error = library().calls.bpf_map_update_elem(self.map_descriptor(name), key, value, 0)
        if error:
            raise failure(f"cannot write to the eBPF map {name}", ctypes.get_errno())

    def look_up(self, name: str, key: bytes, size: int) -> bytes | None:
        """Return a value of this size (of per-processor maps: all of them), ``None`` if there is none."""
        buffer = ctypes.create_string_buffer(size)
        if library().calls.bpf_map_lookup_elem(self.map_descriptor(name), key, buffer):
            return None
        return buffer.raw

    def count(self, name: str, key_size: int = 4, most: int = 1_000_000) -> int:
        """Return how many entries a hash map has."""
        key, number = None, 0
        following = ctypes.create_string_buffer(key_size)
        descriptor = self.map_descriptor(name)
        while number < most and not library().calls.bpf_map_get_next_key(descriptor, key, following):
            key, number = ctypes.create_string_buffer(following.raw, key_size), number + 1
        return number
