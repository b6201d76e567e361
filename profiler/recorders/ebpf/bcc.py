"""The second loader: bcc compiles the programs on this machine, for kernels that the shipped object does not fit.

The same source, without the kernel's headers: its types are written from its BTF. What bcc compiles is put together and
handed to the kernel here, since bcc itself can load neither functions that stay functions nor loops with a callback.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import mmap
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from profiler import run
from profiler.errors import ToolError
from profiler.recorders.ebpf import kernel_header, linking
from profiler.recorders.ebpf.library import Maps, failure, hook_number, kernel_types, library, run_counts

PACKAGE_HINT = "run: apt-get install python3-bpfcc"
SOURCE = Path(__file__).with_name("recorder.bpf.c")

_CHILD = Path(__file__).with_name("bcc_child.py")
_COMPILE_SECONDS = 300.0
_NOT_INSTALLED = 3
_LOG_BYTES = 16 << 20

_FUNCTION = re.compile(r"^(?P<kind>(?:STATIC_)?SUBPROGRAM|LOOP_BODY)\((?P<name>\w+)(?:, (?P<argument>[^)]*))?\)", re.M)
_PROGRAM = re.compile(r'^SEC\("(?P<section>[^"]+)"\)\nint (?:BPF_PROG|ITERATOR)\((?P<name>\w+),', re.M)
_MAP = re.compile(r"^(?:TABLE|BPF_TABLE_OF|BPF_RING)\((?P<name>\w+), (?!KEY)", re.M)
_MEMORY = re.compile(r"^BPF_(?:CONSTANTS|VARIABLES)\(struct \w+, (?P<name>\w+)\)", re.M)

_TRACING = 26  # BPF_PROG_TYPE_TRACING of linux/bpf.h
_ATTACH_TYPES = {"tp_btf": 23, "fentry": 24, "fexit": 25, "iter": 28}  # BPF_TRACE_RAW_TP, _FENTRY, _FEXIT, _ITER
_MMAPABLE = 1 << 10
_STATIC, _GLOBAL = 0, 1  # BTF_FUNC_STATIC, BTF_FUNC_GLOBAL of linux/btf.h
_SIGNED = 1


class _LoadOptions(ctypes.Structure):
    # struct bpf_prog_load_opts of bpf/bpf.h, up to what version 1.0 has
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_int),
        ("prog_btf_fd", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_ifindex", ctypes.c_uint32),
        ("kern_version", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("attach_btf_obj_fd", ctypes.c_uint32),
        ("fd_array", ctypes.c_void_p),
        ("func_info", ctypes.c_char_p),
        ("func_info_cnt", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_void_p),
        ("line_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_void_p),
    )


class _MapOptions(ctypes.Structure):
    # struct bpf_map_create_opts of bpf/bpf.h
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("btf_fd", ctypes.c_uint32),
        ("btf_key_type_id", ctypes.c_uint32),
        ("btf_value_type_id", ctypes.c_uint32),
        ("btf_vmlinux_value_type_id", ctypes.c_uint32),
        ("inner_map_fd", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32),
        ("map_extra", ctypes.c_uint64),
        ("numa_node", ctypes.c_uint32),
        ("map_ifindex", ctypes.c_uint32),
    )


@dataclass(frozen=True)
class _Shape:
    kind: int
    flags: int
    key: int
    value: int
    entries: int


@dataclass(frozen=True)
class _Names:
    programs: Mapping[str, str]  # the section of each
    functions: Mapping[str, str]  # the type of the argument of each, empty for none
    loops: frozenset[str]
    tables: tuple[str, ...]
    memory: tuple[str, ...]

    @property
    def numbers(self) -> dict[int, str]:
        names = (*self.functions, *self.tables, *self.memory)
        return {linking.FIRST_NUMBER + index: name for index, name in enumerate(names)}


@cache
def _names() -> _Names:
    text = SOURCE.read_text(encoding="utf-8")
    found = [match for match in _FUNCTION.finditer(text)]
    return _Names(
        {match["name"]: match["section"] for match in _PROGRAM.finditer(text)},
        {match["name"]: match["argument"] or "u32" for match in found},
        frozenset(match["name"] for match in found if match["kind"] == "LOOP_BODY"),
        tuple(match["name"] for match in _MAP.finditer(text)),
        tuple(match["name"] for match in _MEMORY.finditer(text)),
    )


def _main_text(names: _Names) -> str:
    # bcc rewrites what it is given, but not what that includes; so all it is given is one entry for each function.
    lines = ["#define BY_BCC", *(f"#define NUMBER_{name} {number}" for number, name in names.numbers.items())]
    lines += [f'#include "{SOURCE}"']
    for name in names.programs:
        lines.append(f"int {name}(void *words) {{ return {name}__body(words); }}")
    for name, argument in names.functions.items():
        given = "" if argument == "void" else "(void *)given" if "*" in argument else "given"
        lines.append(f"int entry_{name}(u64 given) {{ return {name}__body({given}); }}")
    for name in (*names.tables, *names.memory):
        lines.append(f"u64 shape_{name}(void *none) {{ return {name}__shape(); }}")
    for name in names.tables:
        lines.append(f"u64 entries_{name}(void *none) {{ return {name}__entries(); }}")
    return "\n".join(lines) + "\n"


def _wanted(names: _Names) -> dict[str, str]:
    wanted = {name: name for name in names.programs} | {name: f"entry_{name}" for name in names.functions}
    wanted |= {f"shape_{name}": f"shape_{name}" for name in (*names.tables, *names.memory)}
    return wanted | {f"entries_{name}": f"entries_{name}" for name in names.tables}


def compiled() -> dict[str, bytes]:
    """Return the instructions of each function, compiled at the first time and then kept beside the kernel's types.

    Raises ToolError if bcc is missing or cannot compile the source.
    """
    wanted = _wanted(_names())
    headers = kernel_header.directory()
    kept = headers / f"{_digest()}.json"
    try:
        code = json.loads(kept.read_text(encoding="ascii"))
    except OSError:
        code = _compile(headers, wanted)
        kernel_header.keep(kept, json.dumps(code))
    return {name: bytes.fromhex(code[entry]) for name, entry in wanted.items()}


def _digest() -> str:
    texts = [path.read_bytes() for path in sorted(SOURCE.parent.glob("*.[ch]"))]
    return hashlib.sha256(b"".join((*texts, _main_text(_names()).encode(), _CHILD.read_bytes()))).hexdigest()[:16]


def _compile(headers: Path, wanted: Mapping[str, str]) -> dict[str, str]:
    words = [sys.executable, "-I", str(_CHILD), str(headers), *wanted.values()]
    done = run.run(words, stdin=_main_text(_names()), timeout=_COMPILE_SECONDS, check=False)
    if done.status == _NOT_INSTALLED:
        raise ToolError("bcc is not installed", hint=PACKAGE_HINT)
    if done.status:
        error = ToolError("bcc cannot compile the eBPF programs for this kernel", hint="use: --engine strace")
        error.add_note(done.stderr)
        raise error
    code: dict[str, str] = json.loads(done.stdout)
    return code


class BccObject(Maps):
    """The programs on their way into the kernel, compiled by bcc; used as ``BpfObject`` is."""

    def __init__(self) -> None:
        self._calls = library().calls
        self._maps: dict[str, int] = {}
        self._loaded: dict[str, int] = {}
        self._links: dict[str, int] = {}
        self._names = _names()
        self._wanted = dict(self._names.programs)
        self._code = compiled()
        self._entries = {name: linking.constant(self._code[f"entries_{name}"]) for name in self._names.tables}
        self.absent: tuple[str, ...] = ()
        for name in self._names.memory:
            self._create(name, self._shape(name), _MMAPABLE)

    def leave_out_absent(self) -> tuple[str, ...]:
        """Leave out every program whose hook this kernel does not have; return their sections."""
        btf = kernel_types()
        self.absent = tuple(sorted(s for s in self._wanted.values() if hook_number(btf, s) < 0))
        self._calls.btf__free(btf)
        self._wanted = {name: section for name, section in self._wanted.items() if section not in self.absent}
        return self.absent

    def leave_out(self, name: str) -> None:
        """Leave out the program of that name."""
        self._wanted.pop(name, None)

    def set_entries(self, sizes: Mapping[str, int]) -> None:
        """Set how many entries (of a ring: bytes) maps have, by name."""
        self._entries.update(sizes)

    def constants(self) -> memoryview:
        """Return the memory of the constants, to be filled before ``load``."""
        return memoryview(self._memory("constants"))

    def variables(self) -> mmap.mmap:
        """Return the memory of the variables of the loaded programs, which they share with us."""
        return self._memory("shared")

    def _memory(self, name: str) -> mmap.mmap:
        return mmap.mmap(self._maps[name], mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)

    def _shape(self, name: str) -> _Shape:
        packed = linking.constant(self._code[f"shape_{name}"])
        entries = self._entries.get(name, 1)
        return _Shape(packed >> 56, packed >> 48 & 0xFF, packed >> 32 & 0xFFFF, packed & 0xFFFFFFFF, entries)

    def _create(self, name: str, shape: _Shape, more_flags: int = 0) -> None:
        options = _MapOptions(sz=ctypes.sizeof(_MapOptions), map_flags=shape.flags | more_flags)
        made = self._calls.bpf_map_create(
            shape.kind, name[:15].encode(), shape.key, shape.value, shape.entries, ctypes.byref(options)
        )
        if made < 0:
            raise failure(f"cannot create the eBPF map {name}", -made)
        self._maps[name] = made

    def load(self) -> None:
        """Hand everything to the kernel. Raises PermissionRefused or ToolError with the kernel's reason."""
        library().log.clear()
        for name in self._names.tables:
            self._create(name, self._shape(name))
        types = _FunctionTypes(self._names)
        btf = kernel_types()
        try:
            for name, section in self._wanted.items():
                self._loaded[name] = self._load_one(name, section, hook_number(btf, section), types)
        finally:
            self._calls.btf__free(btf)
            types.close()

    def _load_one(self, name: str, section: str, hook: int, types: _FunctionTypes) -> int:
        linked = linking.link(name, self._code, self._names.numbers, self._maps)
        information = types.describe(linked)
        options = _LoadOptions(
            sz=ctypes.sizeof(_LoadOptions),
            expected_attach_type=_ATTACH_TYPES[section.partition("/")[0]],
            attach_btf_id=hook,
            prog_btf_fd=types.descriptor,
            func_info=information,
            func_info_cnt=len(linked.functions),
            func_info_rec_size=8,
        )
        descriptor = self._hand_over(name, linked.code, options)
        if descriptor >= 0:
            return descriptor
        reason = -descriptor
        log = ctypes.create_string_buffer(_LOG_BYTES)
        options.log_level, options.log_size, options.log_buf = 1, len(log), ctypes.addressof(log)
        if reason not in {errno.EPERM} and self._hand_over(name, linked.code, options) < 0:
            library().log.append(log.value.decode("utf-8", "replace")[-4000:])
        raise failure(f"the kernel refuses the eBPF program {name}", reason)

    def _hand_over(self, name: str, code: bytes, options: _LoadOptions) -> int:
        return int(
            self._calls.bpf_prog_load(
                _TRACING, name[:15].encode(), b"Dual MIT/GPL", code, len(code) // 8, ctypes.byref(options)
            )
        )

    def attach(self, *names: str) -> None:
        """Attach these loaded programs. Raises ToolError if one cannot be."""
        for name in names:
            if self._wanted[name].startswith("iter/"):
                link = self._calls.bpf_link_create(self._loaded[name], 0, _ATTACH_TYPES["iter"], None)
            else:
                link = self._calls.bpf_raw_tracepoint_open(None, self._loaded[name])
            if link < 0:
                raise failure(f"cannot attach the eBPF program {name}", -link)
            self._links[name] = link

    def loaded(self) -> tuple[str, ...]:
        """Return the names of the programs that are in the kernel."""
        return tuple(self._loaded)

    def iterate(self, name: str) -> bytes:
        """Run an attached iterator program over everything it iterates, and return what it wrote."""
        descriptor = self._calls.bpf_iter_create(self._links[name])
        if descriptor < 0:
            raise failure(f"cannot run the eBPF iterator {name}", -descriptor)
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read()

    def map_descriptor(self, name: str) -> int:
        """Return the descriptor of a map."""
        return self._maps[name]

    def misses(self) -> dict[str, int]:
        """Return how often each program did not run because it was running already on that processor."""
        return {name: run_counts(descriptor)[1] for name, descriptor in self._loaded.items()}

    def detach(self) -> None:
        """Detach all programs; maps can still be read."""
        for link in self._links.values():
            os.close(link)
        self._links.clear()

    def close(self) -> None:
        """Detach and free everything."""
        self.detach()
        for descriptor in (*self._loaded.values(), *self._maps.values()):
            os.close(descriptor)
        self._loaded.clear()
        self._maps.clear()


class _FunctionTypes:
    # The little BTF without which the kernel takes no program of several functions: a name and a prototype for each.

    def __init__(self, names: _Names) -> None:
        calls = self._calls = library().calls
        self._btf = calls.btf__new_empty()
        number = calls.btf__add_int(self._btf, b"int", 4, _SIGNED)
        wide = calls.btf__add_int(self._btf, b"long", 8, _SIGNED)
        self._of: dict[str, int] = {}
        for name in (*names.programs, *names.functions):
            argument = names.functions.get(name, "long")
            prototype = calls.btf__add_func_proto(self._btf, wide if name in names.loops else number)
            if argument != "void":
                calls.btf__add_func_param(self._btf, b"given", number if argument.startswith("u32") else wide)
            if name in names.loops:
                calls.btf__add_func_param(self._btf, b"context", wide)
            static = name in names.loops or "*" in argument
            self._of[name] = calls.btf__add_func(self._btf, name.encode(), _STATIC if static else _GLOBAL, prototype)
        error = calls.btf__load_into_kernel(self._btf)
        if error:
            raise failure("the kernel refuses the types of the eBPF programs", -error)
        self.descriptor = int(calls.btf__fd(self._btf))

    def describe(self, linked: linking.Linked) -> bytes:
        """Return struct bpf_func_info for each function of a program."""
        return b"".join(
            start.to_bytes(4, "little") + self._of[name].to_bytes(4, "little")
            for name, start in linked.functions.items()
        )

    def close(self) -> None:
        """Free it; programs that were loaded with it keep it."""
        self._calls.btf__free(self._btf)
