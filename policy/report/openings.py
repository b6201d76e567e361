"""What stays open with the drop-in, and why it is no stricter: the directives that still cost, and those that allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from policy.advice import Advice
from policy.directives.base import Directive
from policy.explain import Explanation
from policy.exposure import Exposure
from policy.report.access import counted, some
from policy.report.model import Opening
from policy.wording import advice_in_words, denial_in_words, need_in_words

NOT_FROM_A_RECORDING = "no recording can decide this"


def openings(
    explanations: Sequence[Explanation],
    settings: Mapping[str, Directive],
    exposure: Exposure,
    advice: Sequence[Advice],
) -> tuple[Opening, ...]:
    """Return what is open under ``settings``, that which costs most first.

    ``explanations`` say what the recording needs of each directive; where the settings have another value than that,
    the reasons are still the recording's, and a remark says what it would be content with.
    """
    found = [_explained(one, settings[one.directive], exposure) for one in explanations]
    known = {one.directive for one in explanations}
    others = {cost.directive for cost in exposure.items if cost.paid} - known
    found += [_unexplained(name, exposure, advice) for name in sorted(others)]
    return tuple(sorted(filter(None, found), key=lambda one: (-one.cost, one.directive)))


def _explained(explanation: Explanation, setting: Directive, exposure: Exposure) -> Opening | None:
    reasons = _reasons(explanation)
    cost = _cost(explanation.directive, exposure)
    if not cost and not reasons and not explanation.price:
        return None
    shown, more = some(reasons)
    return Opening(
        explanation.directive,
        explanation.summary,
        tuple(value for value in setting.values() if value) or ("not set",),
        cost,
        shown,
        more,
        explanation.price,
        _remark(explanation, setting),
    )


def _cost(directive: str, exposure: Exposure) -> float:
    return round(exposure.share(sum(item.paid for item in exposure.of(directive))), 2)


def _reasons(explanation: Explanation) -> list[str]:
    lines = []
    for kept in explanation.exceptions:
        if kept.needed_by:
            others = len(kept.needed_by) - 1
            words = need_in_words(kept.element, kept.needed_by[0])
            lines.append(f"{kept.element}: {words}" + (f", and {others} more" if others else ""))
        else:
            lines.append(f"{kept.element}: {kept.kept_because or 'the unit has it, and nothing recorded needs it'}")
    if not explanation.exceptions:
        denials = {denial.fact: denial for denial in explanation.forced_by}
        lines += counted(denials, lambda fact: f"not stricter: {denial_in_words(denials[fact])}")
    return lines


def _remark(explanation: Explanation, setting: Directive) -> str:
    if explanation.unenforced:
        return f"without effect on this target: {explanation.unenforced}"
    if explanation.values != setting.values():
        values = " ".join(filter(None, explanation.values)) or "nothing"
        return f"the recording would be content with: {values}"
    return ""


def _unexplained(name: str, exposure: Exposure, advice: Sequence[Advice]) -> Opening:
    words = [advice_in_words(one) for one in advice if one.setting.startswith((f"{name}=", f"Dynamic{name}="))]
    items = ", ".join(item.item for item in exposure.of(name) if item.paid)
    return Opening(name, items, ("not set",), _cost(name, exposure), tuple(words), remark=NOT_FROM_A_RECORDING)
