"""How the programs get into the kernel: by which loader, and with which of the hooks that this kernel has."""

from __future__ import annotations

import lzma
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from profiler.errors import PermissionRefused, ToolError
from profiler.recorders.ebpf.bcc import BccObject
from profiler.recorders.ebpf.libbpf import BpfObject

OBJECT = Path(__file__).parent / "recorder.x86_64.bpf.o.xz"

CAPABILITY_TRACEPOINT = "tp_btf/cap_capable"
"""Shows the capability check since Linux 6.14."""

CAPABILITY_FUNCTION = "fexit/cap_capable"
"""Shows it on older kernels, where they let programs look at functions (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)."""

_FROM_TRACEPOINT, _FROM_FUNCTION = "on_capable", "on_capable_returned"


class Loader(StrEnum):
    """Who brings the programs into the kernel."""

    AUTO = "auto"  # the first that works
    LIBBPF = "libbpf"  # what was compiled once for all kernels
    BCC = "bcc"  # compiles on this machine


Programs = BpfObject | BccObject
Preparation = Callable[[Programs], None]

wanted: ContextVar[Loader] = ContextVar("wanted", default=Loader.AUTO)
"""The loader that was asked for (``--ebpf-loader``), where a recorder is not told another."""


@dataclass(frozen=True)
class Loaded:
    """The loaded programs. ``refusals`` are why better ways were not taken."""

    programs: Programs
    loader: Loader
    sees_capabilities: bool
    refusals: tuple[str, ...] = ()


def object_image() -> bytes:
    """Return the compiled programs. Raises ToolError if this installation has none for this machine."""
    try:
        return lzma.decompress(OBJECT.read_bytes())
    except FileNotFoundError:
        raise ToolError(
            f"this installation of unit-tailor has no compiled eBPF programs for {os.uname().machine}",
            hint="install a complete package, or run tools/build_bpf.sh in a checkout; or: --ebpf-loader bcc",
        ) from None


def load(prepare: Preparation, loader: Loader | None = None, missing: frozenset[str] = frozenset()) -> Loaded:
    """Load the programs with the best way that works; ``prepare`` sets sizes and constants before.

    ``missing`` are hooks to be taken for absent. Raises what the first way was refused with if none works.
    """
    refused: list[ToolError] = []
    for candidate, by_function in _ways(loader or wanted.get()):
        programs = None
        try:
            programs = _open(candidate)
            sees = _choose_hooks(programs, missing, by_function=by_function)
            if sees is None:
                programs.close()
                continue
            prepare(programs)
            programs.load()
        except ToolError as error:
            if programs is not None:
                programs.close()
            refused.append(error)
            continue
        return Loaded(programs, candidate, sees, tuple(error.message for error in refused))
    raise _worst(refused)


def _ways(loader: Loader) -> Iterator[tuple[Loader, bool]]:
    # Whether functions may be looked at is known only by trying: some kernels refuse it, whatever else they allow.
    for candidate in (Loader.LIBBPF, Loader.BCC):
        if loader in {Loader.AUTO, candidate}:
            yield from ((candidate, True), (candidate, False))


def _open(loader: Loader) -> Programs:
    return BpfObject(object_image()) if loader is Loader.LIBBPF else BccObject()


def _choose_hooks(programs: Programs, missing: frozenset[str], *, by_function: bool) -> bool | None:
    # Whether capability checks will be seen; None if this way is no other than the one before.
    absent = {*programs.leave_out_absent(), *missing}
    if CAPABILITY_TRACEPOINT not in absent:
        programs.leave_out(_FROM_FUNCTION)
        return True if by_function else None
    programs.leave_out(_FROM_TRACEPOINT)
    if by_function:
        return True if CAPABILITY_FUNCTION not in absent else None
    programs.leave_out(_FROM_FUNCTION)
    return False


def _worst(refused: list[ToolError]) -> ToolError:
    # Missing rights first: no other way helps against them.
    return next((error for error in refused if isinstance(error, PermissionRefused)), refused[0])
