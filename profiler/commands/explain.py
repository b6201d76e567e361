"""unit-tailor explain"""

from __future__ import annotations

from pathlib import Path

import click

from policy.advice import Advice, advise
from policy.decide import decide
from policy.explain import Explanation, explain
from policy.level import Level
from policy.wording import advice_in_words, denial_in_words, fact_in_words
from profiler import profile_file
from profiler.errors import UsageError
from profiler.level_option import level_option
from profiler.options import JsonStyle, json_option, quiet_option
from profiler.target import target, target_option
from profiler.terminal import printable

SCHEMA_VERSION = 1


@click.command("explain")
@click.argument("profile", type=click.Path(path_type=Path, readable=False))
@click.argument("subject", metavar="[DIRECTIVE|VALUE]", required=False)
@level_option
@target_option
@json_option
@quiet_option
def command(profile: Path, subject: str | None, level: Level, systemd: int | None, json_style: JsonStyle) -> None:
    """Say why each setting of a drop-in is what it is: who needed what, when, and how that is known.

    With a directive (SystemCallFilter) or a value (CAP_CHOWN, AF_INET, /run) only what concerns it.

    \b
    Examples:
      unit-tailor explain nginx.profile
      unit-tailor explain nginx.profile CAP_DAC_OVERRIDE
    """
    decision = decide(profile_file.read_profile(profile), target(systemd), level)
    explanations = explain(decision)
    advice = () if subject else advise(decision)
    chosen = tuple(filter(None, (about(one, subject) for one in explanations)))
    if not chosen:
        raise UsageError(
            f"nothing is known of {subject!a}: no directive has that name, and no value holds it",
            hint="list all directives with: unit-tailor explain PROFILE",
        )
    if json_style is not JsonStyle.OFF:
        click.echo(
            json_style.render(
                {
                    "schema_version": SCHEMA_VERSION,
                    "settings": [document(one) for one in chosen],
                    "advice": [advice_document(one) for one in advice],
                }
            )
        )
        return
    for explanation in chosen:
        for line in lines(explanation):
            click.echo(printable(line))
    for one in advice:
        click.echo(f"advice: {advice_in_words(one)}")
        for fact in one.evidence:
            click.echo(f"    {fact_in_words(fact)}")


def advice_document(advice: Advice) -> dict[str, object]:
    """Return advice as a JSON document."""
    return {
        "setting": advice.setting,
        "reason": advice.reason,
        "caution": advice.caution,
        "evidence": [fact_in_words(fact) for fact in advice.evidence],
    }


def about(explanation: Explanation, subject: str | None) -> Explanation | None:
    """Return what concerns the subject: all of it for its directive, the matching elements for a value, or nothing."""
    if subject is None or explanation.directive.lower() == subject.rstrip("=").lower():
        return explanation
    kept = tuple(one for one in explanation.exceptions if one.element == subject)
    if not kept and subject not in " ".join(explanation.values).split():
        return None
    return Explanation(explanation.directive, explanation.summary, explanation.values, explanation.status, (), kept)


def lines(explanation: Explanation) -> list[str]:
    """Return an explanation as text."""
    values = [
        f"{explanation.directive}={value}" for value in explanation.values if value or len(explanation.values) == 1
    ]
    text = [f"{' / '.join(values) or explanation.directive} ({explanation.status}): {explanation.summary}"]
    if explanation.unenforced:
        text.append(f"  without effect on this target: {explanation.unenforced}")
    if explanation.price:
        text.append(f"  price: {explanation.price}")
    for kept in explanation.exceptions:
        text.append(f"  {kept.element}" + (f": {kept.kept_because}" if kept.kept_because else ""))
        text += [f"    {fact_in_words(fact)}" for fact in kept.needed_by]
    text += [f"  not stricter: {denial_in_words(denial)}" for denial in explanation.forced_by]
    return text


def document(explanation: Explanation) -> dict[str, object]:
    """Return an explanation as a JSON document."""
    return {
        "directive": explanation.directive,
        "summary": explanation.summary,
        "values": list(explanation.values),
        "status": explanation.status,
        "exceptions": [
            {
                "element": kept.element,
                "needed_by": [fact_in_words(fact) for fact in kept.needed_by],
                "kept_because": kept.kept_because,
            }
            for kept in explanation.exceptions
        ],
        "price": explanation.price,
        "unenforced": explanation.unenforced,
        "forced_by": [denial_in_words(denial) for denial in explanation.forced_by],
    }
