"""The price of a list of writable paths: how much more can be written than was."""

from __future__ import annotations

from collections.abc import Iterable

from policy.behaviour import Fact, PathPair, PathUse
from policy.directives.base import Evidence
from policy.directives.writable_paths import may_need_writing
from policy.sandbox.mount_entry import parent_of
from policy.sandbox.read_only import HAPPENED


def price_of_writing(places: Iterable[str], evidence: Evidence) -> str:
    """Return in words how much more is writable than was written, as far as the facts know names below the places."""
    written: set[str] = set()
    existing: set[str] = set()
    for fact in (*evidence.confined(PathUse), *evidence.confined(PathPair)):
        if fact.outcome in HAPPENED:
            (written if may_need_writing(fact) else existing).update(_names(fact))
    touched = _directories_above(written)
    wide = {place for place in places if place not in written or place in touched}
    if not wide:
        return ""
    written, existing = _inside(written, wide), _inside(existing, wide)
    known = f", {len(existing - written)} more are known that were only read" if existing - written else ""
    directories = "1 directory is" if len(wide) == 1 else f"{len(wide)} directories are"
    return f"{directories} writable as a whole; {len(written)} recorded names in there were written{known}"


def _directories_above(paths: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        place = parent_of(path) if path != "/" else ""
        while place and place not in found:
            found.add(place)
            place = parent_of(place) if place != "/" else ""
    return found


def _inside(paths: set[str], places: set[str]) -> set[str]:
    # Each directory is settled once, of which there are far fewer than paths.
    known = {"/": "/" in places}

    def is_inside(path: str) -> bool:
        unsettled = []
        while path not in known:
            unsettled.append(path)
            if path in places:
                known[path] = True
            else:
                path = parent_of(path)
        known.update(dict.fromkeys(unsettled, known[path]))
        return known[path]

    return {path for path in paths if path in places or is_inside(parent_of(path))}


def _names(fact: Fact) -> tuple[str, ...]:
    match fact.behaviour:
        case PathUse(path=path):
            return (path,)
        case PathPair(source=source, target=target):
            return source, target
    return ()
