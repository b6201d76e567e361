"""What a decision has to say in a drop-in: the values that differ from the unit's own, each with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.decide import Decision
from policy.explain import Explanation, Kept, Status, explain
from policy.wording import denial_in_words, need_in_words

REASONS_SHOWN = 12
"""How many comment lines a directive may have; ``explain`` shows all of them."""

Setting = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A directive's name, the values to assign in order (a leading "" being a reset), and comment lines."""

NEEDS_COMPANION = {"SystemCallErrorNumber": "SystemCallFilter", "IPAddressAllow": "IPAddressDeny"}
"""Directives that say nothing without another one."""


def drop_in_settings(decision: Decision) -> tuple[Setting, ...]:
    """Return the settings of the drop-in for a decision, in order."""
    explanations = explain(decision, changes_only=True)
    set_anyhow = {choice.name for choice in decision.choices if choice.chosen.values()}
    return tuple(
        (one.directive, one.values, comments(one))
        for one in explanations
        if one.status is Status.TIGHTENED
        and one.values
        and NEEDS_COMPANION.get(one.directive, one.directive) in set_anyhow
    )


def comments(explanation: Explanation) -> tuple[str, ...]:
    """Return the reasons for a value as comment lines: each exception with what needs it, what forbids more, and what
    the value allows beyond what was seen."""
    lines = [*_exceptions(explanation.exceptions), *_forced(explanation)]
    hidden = len(lines) - REASONS_SHOWN
    if hidden > 0:
        lines = [*lines[:REASONS_SHOWN], f"... and {hidden} more reasons (explain shows them)"]
    return (*lines, f"price: {explanation.price}") if explanation.price else tuple(lines)


@dataclass(frozen=True)
class _Reason:
    words: str
    more: int = 0

    def __str__(self) -> str:
        return self.words + (f", and {self.more} more" if self.more else "")


def _exceptions(exceptions: Sequence[Kept]) -> list[str]:
    # Elements with the same reason share a line: the calls of one class, for instance.
    by_reason: dict[_Reason, list[str]] = {}
    for exception in exceptions:
        by_reason.setdefault(_reason(exception), []).append(exception.element)
    return [f"{' '.join(elements)}: {reason}" for reason, elements in by_reason.items()]


def _reason(exception: Kept) -> _Reason:
    if exception.needed_by:
        words = need_in_words(exception.element, exception.needed_by[0])
        return _Reason(words, len(exception.needed_by) - 1)
    return _Reason(exception.kept_because or "the unit has it, and nothing that was recorded needs it")


def _forced(explanation: Explanation) -> list[str]:
    # A list says by its exceptions what forbids more; for a single word it is the first fact that forbade the stricter.
    if explanation.exceptions or not explanation.forced_by:
        return []
    first, *others = explanation.forced_by
    return [f"not stricter: {denial_in_words(first)}" + (f", and {len(others)} more" if others else "")]
