"""unit-tailor diff"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from policy.decide import decide
from policy.difference import (
    Difference,
    FactsDifference,
    compare_drop_ins,
    compare_facts,
    compare_settings,
    is_looser,
)
from policy.host_facts import HostFacts
from policy.level import Level
from policy.service_profile import Profile
from policy.wording import fact_in_words
from profiler import profile_file, progress
from profiler.commands._output import show
from profiler.difference_words import difference_document, difference_lines
from profiler.documents import document
from profiler.drop_in_file import read_drop_in
from profiler.errors import ExitCode, UsageError
from profiler.level_option import level_option
from profiler.options import json_option, quiet_option
from profiler.profile_file import is_profile
from profiler.target import target, target_option
from profiler.terminal import printable


@click.command("diff")
@click.argument("before", type=click.Path(path_type=Path, readable=False))
@click.argument("after", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--fail-on",
    type=click.Choice(["any", "looser", "never"]),
    default="any",
    show_default=True,
    help="Which differences make the exit status 1.",
)
@level_option
@target_option
@json_option
@quiet_option
def command(before: Path, after: Path, level: Level, systemd: int | None, **options: Any) -> ExitCode:
    """Compare two drop-ins or two profiles: what became tighter, what looser, and what the service does now.

    Values are compared by their order, not by their text. Of profiles, the facts are compared, and the settings that
    follow from them. Exits 0 if there is no difference, 1 if there is one.

    \b
    Examples:
      unit-tailor diff old.conf new.conf
      unit-tailor diff monday.profile sunday.profile --fail-on looser
    """
    kinds = [is_profile(path) for path in (before, after)]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"{before} and {after} are not of one kind: one is a profile, the other one is not",
            hint="give two profiles or two drop-ins; to compare one with the other: unit-tailor check PROFILE DROPIN",
        )
    host = target(systemd)
    facts = FactsDifference((), ())
    if kinds[0]:
        profiles = profile_file.read_profile(before), profile_file.read_profile(after)
        facts = compare_facts(*profiles)
        with progress.step("comparing what follows from the profiles"):
            settings = _settings_of(*profiles, host, level)
    else:
        settings = compare_drop_ins(read_drop_in(before).assignments, read_drop_in(after).assignments, host)
    answer = document(
        kind="profile" if kinds[0] else "drop-in",
        same=not (settings or facts.gone or facts.new),
        looser=is_looser(settings),
        settings=[difference_document(one) for one in settings],
        facts_gone=[fact_in_words(fact) for fact in facts.gone],
        facts_new=[fact_in_words(fact) for fact in facts.new],
    )
    show(options["json_style"], answer, map(printable, _lines(settings, facts, profiles=kinds[0])))
    fails = {"any": not answer["same"], "looser": is_looser(settings), "never": False}[options["fail_on"]]
    return ExitCode.FAILED if fails else ExitCode.DONE


def _settings_of(before: Profile, after: Profile, host: HostFacts, level: Level) -> tuple[Difference, ...]:
    earlier, later = (
        {choice.name: choice.chosen for choice in decide(profile, host, level).choices} for profile in (before, after)
    )
    return compare_settings(earlier, later)


def _lines(settings: Sequence[Difference], facts: FactsDifference, *, profiles: bool) -> list[str]:
    lines = [f"- {fact_in_words(fact)}" for fact in facts.gone] + [f"+ {fact_in_words(fact)}" for fact in facts.new]
    if profiles:
        lines.append(f"{len(facts.gone)} things are not done any more, {len(facts.new)} are new")
    for one in settings:
        lines += difference_lines(one)
    counts = [
        f"{sum(one.change == change for one in settings)} {change}" for change in ("tighter", "looser", "different")
    ]
    return [*lines, f"settings: {', '.join(counts)}"]
