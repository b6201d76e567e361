"""A changed setting in words and as a document."""

from __future__ import annotations

from policy.difference import Change, Difference

NAMES_SHOWN = 12
"""How many names of a list are shown before the rest is only counted."""


def difference_document(one: Difference) -> dict[str, object]:
    """Return a changed setting for JSON."""
    return {
        "directive": one.directive,
        "change": one.change,
        "before": list(one.before),
        "after": list(one.after),
        "gained": list(one.gained),
        "lost": list(one.lost),
    }


def difference_lines(one: Difference) -> list[str]:
    """Return a changed setting as lines: the change, and what is allowed now and was not, or the other way round."""
    if one.gained or one.lost:
        lines = [f"{one.change}: {one.directive}="]
        lines += [f"  no longer allowed: {_listed(one.lost)}"] if one.lost else []
        return lines + ([f"  now allowed: {_listed(one.gained)}"] if one.gained else [])
    return [f"{one.change}: {one.directive}={value_in_words(one.before)} -> {value_in_words(one.after)}"]


def slack_in_words(one: Difference) -> str:
    """Return how a setting that could be tighter would be written, or what it allows without need."""
    if one.change is Change.TIGHTER and one.lost:
        return f"{one.directive}= allows what nothing needs: {_listed(one.lost)}"
    return f"{one.directive}={value_in_words(one.before)} could be {one.directive}={value_in_words(one.after)}"


def value_in_words(values: tuple[str, ...]) -> str:
    """Return assignments in one line; a list that is reset to nothing as such."""
    if not values:
        return "(unset)"
    return " ".join(value for value in values if value) or "(empty)"


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - NAMES_SHOWN
    return " ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
