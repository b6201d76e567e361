"""Whether this installation is whole: ``policy`` is a common name, and another package may be in the way.

Checked before anything of ``policy`` is imported, so that no foreign code runs, perhaps as root.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path

from profiler.errors import ToolError

HOME = Path(__file__).resolve().parent.parent
"""The directory that holds both packages."""

MARK = "unit-tailor"
"""What the source of our ``policy/__init__.py`` contains and a foreign one does not."""


def ensure_own_policy() -> None:
    """Raise ToolError unless ``import policy`` will find our own package, the one beside ``profiler``."""
    found = _location(_find_policy())
    ours = HOME / "policy" / "__init__.py"
    if found in {None, ours.parent}:  # our folder without its first file: somebody's package took that with it
        raise _missing(ours)
    if found != ours:
        raise _in_the_way(found)
    try:
        source = ours.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ToolError(f"cannot read {ours}: {error.strerror}", hint=_reinstall()) from None
    if MARK not in source:
        raise _in_the_way(ours)


def explain(error: ImportError) -> ToolError | None:
    """Return what to tell the user if it was a part of ``policy`` that could not be imported, else None.

    Another distribution can overwrite single files of ours; then the package looks whole from outside.
    """
    if (error.name or "").partition(".")[0] != "policy":
        return None
    return ToolError(
        f"a part of unit-tailor's own policy package is missing or was overwritten: {error.msg}", hint=_reinstall()
    )


def _find_policy() -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec("policy")
    except ValueError:  # a module of that name was put into sys.modules by hand
        return None


def _location(spec: importlib.machinery.ModuleSpec | None) -> Path | None:
    """Return where the import system would read ``policy`` from; a namespace package has directories and no file."""
    if spec is None:
        return None
    if spec.origin and spec.has_location:
        return Path(spec.origin).resolve()
    places = list(spec.submodule_search_locations or [])
    return Path(places[0]).resolve() if places else None


def _in_the_way(place: Path | None) -> ToolError:
    return ToolError(
        f"another package named policy is in the way of unit-tailor's own: {place}",
        hint=f"remove it, or unset PYTHONPATH, or {_reinstall()}",
    )


def _missing(place: Path) -> ToolError:
    return ToolError(f"this installation is incomplete: {place} is missing", hint=_reinstall())


def _reinstall() -> str:
    return "install unit-tailor into an environment of its own: pipx install unit-tailor"
