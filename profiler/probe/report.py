"""What came of probing, as lines for people and as a document."""

from __future__ import annotations

from profiler.probe.agreement import Agreement, Compared, Verdict
from profiler.replay_document import denial_document, fact_document
from profiler.terminal import printable

SHOWN = 20
"""How many facts that were not probed for one reason are named before the rest is only counted."""


def agreement_in_words(agreement: Agreement, *, verbose: bool = False) -> list[str]:
    """Return differences, what was not probed and why, and the sum, as lines; ``verbose`` names what was not probed."""
    lines = [printable(f"the sandbox cannot be set up: {failure}") for failure in agreement.failures]
    lines += [printable(f"differs: {one.in_words()}") for one in agreement.of(Verdict.DIFFERENT)]
    for reason, count in sorted(agreement.reasons.items(), key=lambda pair: (-pair[1], pair[0])):
        lines.append(printable(f"not probed: {count} x {reason}"))
        lines += _named(agreement, reason) if verbose else []
    agreed, different = len(agreement.of(Verdict.AGREED)), len(agreement.of(Verdict.DIFFERENT))
    lines.append(
        f"{agreed + different} facts probed in the sandbox: the model agrees on {agreed}, and differs on {different}; "
        f"{len(agreement.of(Verdict.NOT_PROBED))} not probed"
    )
    return lines


def _named(agreement: Agreement, reason: str) -> list[str]:
    named = [one for one in agreement.of(Verdict.NOT_PROBED) if one.reason == reason]
    lines = [printable(f"    {one.words}") for one in named[:SHOWN]]
    return [*lines, f"    ... and {len(named) - SHOWN} more"] if len(named) > SHOWN else lines


def agreement_document(agreement: Agreement) -> dict[str, object]:
    """Return the part of the document of ``replay --json`` that is about probes."""
    return {
        "agreed": len(agreement.of(Verdict.AGREED)),
        "failures": list(agreement.failures),
        "different": [_document(one) for one in agreement.of(Verdict.DIFFERENT)],
        "not_probed": [_document(one) for one in agreement.of(Verdict.NOT_PROBED)],
    }


def _document(one: Compared) -> dict[str, object]:
    return {
        **fact_document(one.fact),
        "predicted": denial_document(one.denial) if one.denial else None,
        "without_drop_in": one.before,
        "with_drop_in": one.after,
        "reason": one.reason,
    }
