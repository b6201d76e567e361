"""unit-tailor explain"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from policy.address_families import ADDRESS_FAMILIES
from policy.advice import Advice, advise
from policy.behaviour import Fact
from policy.capability_names import ALL_CAPABILITIES, in_order
from policy.decide import decide
from policy.directives.base import all_directives
from policy.explain import Explanation, explain, with_hindrances
from policy.exposure_rating import rate
from policy.hindrance import MOST, Cause, Hindrance
from policy.level import Level
from policy.service_profile import Profile
from policy.wording import advice_in_words, denial_in_words, fact_in_words, hindrance_in_words
from profiler import profile_file, progress
from profiler.commands._output import show
from profiler.documents import advice_document, rating_document
from profiler.documents import document as new_document
from profiler.errors import UsageError
from profiler.level_option import level_option
from profiler.options import JsonStyle, json_option, quiet_option
from profiler.target import target, target_option
from profiler.terminal import printable

SMALLEST_SHOWN = 0.01
HINDRANCES_SHOWN = 3
"""How many facts are looked for that keep a directive from being proposed, where none is asked for by name."""

FACTS_SHOWN = 8
"""How many facts stand behind each value where no directive or value is asked for by name."""


def complete_subjects(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the directives, capabilities and address families that begin like this."""
    names = [*all_directives(), *in_order(ALL_CAPABILITIES), *ADDRESS_FAMILIES]
    return [CompletionItem(name) for name in names if name.lower().startswith(incomplete.lower())]


@click.command("explain")
@click.argument("profile", type=click.Path(path_type=Path, readable=False))
@click.argument("subject", metavar="[DIRECTIVE|VALUE]", required=False, shell_complete=complete_subjects)
@level_option
@target_option
@json_option
@quiet_option
def command(profile: Path, subject: str | None, level: Level, systemd: int | None, json_style: JsonStyle) -> None:
    """Say why each setting of a drop-in is what it is: who needed what, when, and how that is known.

    With a directive (SystemCallFilter) or a value (CAP_CHOWN, AF_INET, /run) only what concerns it. Of a directive that
    is not set it says what kept it from being proposed: a fact, the level, the target or the unit.

    \b
    Examples:
      unit-tailor explain nginx.profile
      unit-tailor explain nginx.profile CAP_DAC_OVERRIDE
    """
    recorded = profile_file.read_profile(profile)
    host = target(systemd)
    with progress.step("judging the recording"):
        decision = decide(recorded, host, level)
        most = HINDRANCES_SHOWN if subject is None else MOST
        found = [one for one in (about(one, subject) for one in explain(decision)) if one is not None]
        chosen = [with_hindrances(one, decision, most) if _is_whole(one, subject) else one for one in found]
    advice = () if subject else advise(decision)
    if not chosen:
        raise UsageError(
            f"nothing is known of {subject!a}: no directive has that name, and no value holds it",
            hint="list all directives with: unit-tailor explain PROFILE",
        )
    answer = new_document(
        settings=[document(one) for one in chosen],
        advice=[advice_document(one) for one in advice],
        exposure=rating_document(rate(decision)),
    )
    words = in_words_with_sightings(recorded)
    text = [line for one in chosen for line in lines(one, FACTS_SHOWN if subject is None else None, words)]
    text += [] if subject else [str(rate(decision))]
    show(json_style, answer, map(printable, (*text, *_advice_lines(advice))))


def _advice_lines(advice: Sequence[Advice]) -> list[str]:
    text: list[str] = []
    for one in advice:
        text += [f"advice: {advice_in_words(one)}", *(f"    {fact_in_words(fact)}" for fact in one.evidence)]
    return text


def about(explanation: Explanation, subject: str | None) -> Explanation | None:
    """Return what concerns the subject: all of it for its directive, the matching elements for a value, or nothing."""
    if _is_whole(explanation, subject):
        return explanation
    kept = tuple(one for one in explanation.exceptions if subject in {one.element, one.element.lstrip("-+")})
    if not kept and subject not in " ".join(explanation.values).split():
        return None
    costs = tuple(dict.fromkeys(cost for one in kept for cost in one.costs))
    return replace(explanation, forced_by=(), exceptions=kept, price="", costs=costs)


def _is_whole(explanation: Explanation, subject: str | None) -> bool:
    return subject is None or explanation.directive.lower() == subject.rstrip("=").lower()


def in_words_with_sightings(profile: Profile) -> Callable[[Fact], str]:
    """Return how facts of this profile are told: with how many of its recordings saw them, if it has several."""
    number = profile.counted_recordings

    def words(fact: Fact) -> str:
        seen = len(profile.sightings.get(fact, ()))
        return fact_in_words(fact) + (f" (seen in {seen} of {number} recordings)" if seen and number > 1 else "")

    return words


def lines(explanation: Explanation, most: int | None = None, words: Callable[[Fact], str] = fact_in_words) -> list[str]:
    """Return an explanation as text, with at most so many facts for each value or element."""
    values = [
        f"{explanation.directive}={value}" for value in explanation.values if value or len(explanation.values) == 1
    ]
    text = [f"{' / '.join(values) or explanation.directive} ({explanation.status}): {explanation.summary}"]
    if explanation.unenforced:
        text.append(f"  without effect on this target: {explanation.unenforced}")
    if explanation.price:
        text.append(f"  price: {explanation.price}")
    text += [f"  exposure: {words}" for words in exposure_in_words(explanation)]
    for kept in explanation.exceptions:
        text.append(f"  {kept.element}" + (f": {kept.kept_because}" if kept.kept_because else ""))
        text += _some([f"    {words(fact)}" for fact in kept.needed_by], most, explanation.directive)
    forced = [f"  not stricter: {denial_in_words(denial)}" for denial in explanation.forced_by]
    hindered = [f"  not proposed: {hindrance_in_words(one)}" for one in explanation.hindered_by]
    if sum(one.cause is Cause.RECORDED for one in explanation.hindered_by) >= (
        MOST if most is None else HINDRANCES_SHOWN
    ):
        hindered.append(
            "  ... and perhaps more" + (f": explain PROFILE {explanation.directive} shows them" if most else "")
        )
    return text + _some(forced, most, explanation.directive) + hindered


def _some(found: list[str], most: int | None, directive: str) -> list[str]:
    if most is None or len(found) <= most:
        return found
    indentation = " " * (len(found[0]) - len(found[0].lstrip()))
    return [*found[:most], f"{indentation}... and {len(found) - most} more: explain PROFILE {directive} shows them"]


def exposure_in_words(explanation: Explanation) -> list[str]:
    """Return what a setting costs of the 10.0 that systemd-analyze gives to a service without any, one item a line."""
    if not explanation.costs:
        return []
    lines = [
        f"costs {_share(cost.paid * 10 / explanation.total)} ({cost.item}, {cost.paid} of {explanation.total})"
        for cost in explanation.paid
    ]
    return lines or [f"costs nothing ({len(explanation.costs)} item{'s' * (len(explanation.costs) > 1)})"]


def _share(of_ten: float) -> str:
    return f"{of_ten:.2f}" if of_ten >= SMALLEST_SHOWN else "less than 0.01"


def costs_document(explanation: Explanation) -> list[dict[str, object]]:
    """Return the items that a setting costs as a JSON document."""
    return [
        {"item": cost.item, "weight": cost.weight, "paid": cost.paid, "of": explanation.total}
        for cost in explanation.costs
    ]


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
                "exposure": [cost.item for cost in kept.costs],
            }
            for kept in explanation.exceptions
        ],
        "price": explanation.price,
        "exposure": costs_document(explanation),
        "unenforced": explanation.unenforced,
        "forced_by": [denial_in_words(denial) for denial in explanation.forced_by],
        "hindered_by": [_hindrance_document(one) for one in explanation.hindered_by],
    }


def _hindrance_document(one: Hindrance) -> dict[str, object]:
    facts = [fact_in_words(fact) for fact in one.facts]
    words = hindrance_in_words(one)
    return {
        "cause": one.cause,
        "words": words,
        "details": list(one.details),
        "facts": facts,
        "instead": list(one.instead),
    }
