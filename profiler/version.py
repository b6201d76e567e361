"""The version of this tool; ``pyproject.toml`` reads it from here, so that ``--version`` needs no package metadata."""

VERSION = "0.1.0"
