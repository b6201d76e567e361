"""The names of the kernel's functions by address, from /proc/kallsyms."""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path

_SUFFIX = re.compile(r"\.(isra|constprop|part|cold|llvm)\b.*")  # of the compiler: the function is the same


class Symbols:
    """Finds the function that an address lies in. Without the right to see addresses it knows none."""

    def __init__(self, path: Path = Path("/proc/kallsyms")) -> None:
        pairs = []
        with path.open("r", encoding="ascii", errors="replace") as lines:
            for line in lines:
                words = line.split()
                if len(words) > 2 and words[1] in "tTwW":
                    pairs.append((int(words[0], 16), words[2]))
        pairs.sort()
        self.visible = bool(pairs) and pairs[-1][0] > 0
        self._starts = [start for start, _ in pairs]
        self._names = [name for _, name in pairs]

    def present(self, name: str) -> bool:
        """Whether the kernel, with the modules that are loaded, has a function of this name."""
        return name in self._names

    def name(self, address: int) -> str:
        """Return the function's name without the compiler's suffixes, empty if nobody knows."""
        if not self.visible:
            return ""
        index = bisect_right(self._starts, address) - 1
        return _SUFFIX.sub("", self._names[index]) if index >= 0 else ""
