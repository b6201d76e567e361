"""The kernel's own types as a C header, written from its BTF: no kernel headers are needed, and none can be wrong.

Offsets in it are those of the running kernel. It is kept, for each kernel, in a directory that only root can write to:
what it says is compiled into programs that run in the kernel.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from profiler.errors import ToolError
from profiler.recorders.ebpf.library import Dump, kernel_types, library

NAME = "unit_tailor_kernel_types.h"
CACHE = Path("/var/cache/unit-tailor/kernel-headers")

_BTF = Path("/sys/kernel/btf/vmlinux")
_NEEDED = Path(__file__).with_name("kernel_types.h")
_STRUCTURE = re.compile(r"^struct (\w+) \{", re.MULTILINE)
_TYPE = re.compile(r"^(?:typedef .*?|\} )(\w+);$", re.MULTILINE)
_STRUCT_KIND, _TYPEDEF_KIND = 4, 8


def directory(cache: Path = CACHE) -> Path:
    """Return a directory with the header of this kernel, laid out as bcc expects it; written if it is not there yet.

    Raises ToolError if it cannot be written, or if others could write to it.
    """
    needed = _NEEDED.read_bytes()
    digest = hashlib.sha256(_types() + needed).hexdigest()[:16]
    place = cache / f"{os.uname().release}-{digest}"
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o755)
        _check_owner(cache)
        if not (place / "include" / NAME).exists():
            _write(place, text(needed.decode()))
    except OSError as error:
        raise ToolError(
            f"cannot keep the kernel's types in {cache}: {error.strerror}",
            hint="run it as root, or: --ebpf-loader libbpf",
        ) from None
    return place


def _types() -> bytes:
    try:
        return _BTF.read_bytes()
    except OSError:
        raise ToolError(
            "the kernel does not describe its types (no /sys/kernel/btf/vmlinux)",
            hint="use a kernel with CONFIG_DEBUG_INFO_BTF=y, or: --engine strace",
        ) from None


def _check_owner(cache: Path) -> None:
    found = cache.stat()
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ToolError(f"others can write to {cache}", hint=f"run: rm -r {cache}")


def _write(place: Path, header: str) -> None:
    with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        include = Path(temporary) / "new" / "include"
        (include / "linux").mkdir(parents=True)
        (include / NAME).write_text(header, encoding="utf-8")
        (include / "linux" / "kconfig.h").touch()  # included by bcc before everything else
        try:
            (Path(temporary) / "new").rename(place)
        except OSError:
            if not (place / "include" / NAME).exists():  # another process was quicker
                raise


def text(needed: str) -> str:
    """Return the header: the types that are named in ``needed`` and all that they consist of, as in this kernel."""
    calls, parts = library().calls, ["#pragma once\n"]
    btf = kernel_types()
    add = Dump(lambda _context, form, values: parts.append(_printed(form, values)))
    dump = calls.btf_dump__new(btf, add, None, None)
    try:
        for expression, kind in ((_TYPE, _TYPEDEF_KIND), (_STRUCTURE, _STRUCT_KIND)):
            for name in expression.findall(needed):
                number = calls.btf__find_by_name_kind(btf, name.encode(), kind)
                if number > 0:
                    calls.btf_dump__dump_type(dump, number)
    finally:
        calls.btf_dump__free(dump)
        calls.btf__free(btf)
    return "".join(parts)


def keep(place: Path, content: str) -> None:
    """Write a file beside the header, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=place.parent, encoding="ascii", delete=False) as file:
        file.write(content)
    Path(file.name).rename(place)


def _printed(form: bytes, values: int) -> str:
    return ctypes.string_at(form).decode() if b"%" not in form else library().formatted(form, values).decode()
