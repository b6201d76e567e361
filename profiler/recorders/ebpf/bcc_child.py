"""Compiles C with bcc and writes the instructions of its functions as JSON: {"name": "hexadecimal", ...}.

This program is a process of its own, started as ``python -I bcc_child.py HEADERS FUNCTION...`` with the source on
standard input: the compiler's memory goes when it ends, and what the compiler says is on standard error. ``HEADERS``
stands where bcc looks for those of the kernel. Only a distribution's bcc will do: the Python index has something else
under that name.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

SITES = ("/usr/lib/python3/dist-packages", *(f"/usr/lib/python3.{minor}/site-packages" for minor in range(9, 20)))
"""Where distributions keep it; looked at last, so that nothing else there comes before this interpreter's own."""

NOT_INSTALLED = 3

FLAGS = ["-D__BPF_HELPERS_H", "-D_UAPI__LINUX_BPF_H__", "-w", "-Wno-int-conversion"]
"""No headers of bcc's own; no warnings, also not of what the kernel hands over as words, an error from clang 15 on."""


def main() -> int:
    """Compile."""
    headers, *functions = sys.argv[1:]
    os.environ["BCC_KERNEL_SOURCE"] = headers
    sys.path += [site for site in SITES if Path(site).is_dir()]
    try:
        import bcc  # type: ignore[import-untyped]

        compiled = bcc.BPF(text=sys.stdin.buffer.read(), cflags=FLAGS)
    except (ImportError, AttributeError):  # AttributeError: another package of that name
        return NOT_INSTALLED
    except Exception:  # bcc raises nothing more particular; what the compiler says has been printed
        return 4
    json.dump({name: compiled.dump_func(name.encode()).hex() for name in functions}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
