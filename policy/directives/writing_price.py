"""The price of a list of writable paths: how much more can be written than was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
    touched = {place for path in written for place in _at_or_above(path, including=False)}
    wide = {place for place in places if place not in written or place in touched}
    if not wide:
        return ""
    written, existing = (
        {path for path in names if not wide.isdisjoint(_at_or_above(path))} for names in (written, existing)
    )
    known = f", {len(existing - written)} more are known that were only read" if existing - written else ""
    directories = "1 directory is" if len(wide) == 1 else f"{len(wide)} directories are"
    return f"{directories} writable as a whole; {len(written)} recorded names in there were written{known}"


def _at_or_above(path: str, *, including: bool = True) -> Iterator[str]:
    if including:
        yield path
    while path != "/":
        path = parent_of(path)
        yield path


def _names(fact: Fact) -> tuple[str, ...]:
    match fact.behaviour:
        case PathUse(path=path):
            return (path,)
        case PathPair(source=source, target=target):
            return source, target
    return ()
