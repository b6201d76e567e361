"""How tight a drop-in is cut: what is added to the recorded facts so that the service still works tomorrow."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """The levels of tightness, loosest first. At every level all that was recorded is allowed."""

    COMPATIBLE = "compatible"
    """Whole groups and wider directories, and nothing that another program could notice."""

    STANDARD = "standard"
    """What an administrator expects: directories, equivalent system calls, groups without what nothing used."""

    STRICT = "strict"
    """Exactly what was recorded: programs, system calls, ports and the part of the file system that was seen."""
