"""``unit-tailor merge``."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

import click

from policy.service_profile import DifferentUnits, Profile, merge
from profiler import profile_file, progress
from profiler.documents import document, profile_fields
from profiler.errors import UsageError
from profiler.options import JsonStyle, force_option, json_option, quiet_option


@click.command()
@click.argument(
    "profiles", metavar="PROFILE...", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False)
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    help="The merged profile.",
)
@force_option
@click.option("--different-units", is_flag=True, help="Merge profiles of different units into one.")
@json_option
@quiet_option
def command(
    profiles: tuple[Path, ...], output: Path, force: bool, different_units: bool, json_style: JsonStyle
) -> None:
    """Merge profiles of one service: everything that any of the recordings saw.

    The order does not matter, and a recording that is given twice counts once. Which recordings saw what is kept.

    \b
    Example:
      unit-tailor merge monday.profile sunday.profile -o week.profile
    """
    profile_file.check_writable(output, force=force)
    given = [profile_file.read_profile(path) for path in profiles]
    try:
        merged = merge(given, different_units=different_units)
    except DifferentUnits as error:
        hint = "merge those of one unit, or say --different-units if one drop-in is to serve all of them"
        raise UsageError(f"cannot merge profiles of different units: {', '.join(error.names)}", hint=hint) from None
    profile_file.write_profile(output, merged, force=force)
    for remark in _remarks(merged):
        progress.note(f"note: {remark}")
    progress.note(f"wrote {output}: {_summary(merged, given)}")
    progress.note(_seen(merged))
    if json_style is not JsonStyle.OFF:
        answer = document(
            **profile_fields(merged),
            profile=str(output),
            counted_recordings=merged.counted_recordings,
            seen_in=_histogram(merged),
        )
        click.echo(json_style.render(answer))
    progress.note(f"next: unit-tailor generate {shlex.quote(str(output))}")


def _summary(merged: Profile, given: list[Profile]) -> str:
    """Return how many facts of how many recordings there are, and how many the largest profile did not have."""
    gained = len(merged.facts) - max(len(profile.facts) for profile in given)
    recordings = len(merged.header.recordings)
    return (
        f"{_counted(len(merged.facts), 'fact')} of {merged.header.unit.name} from {_counted(recordings, 'recording')}, "
        f"{gained} more than the largest of the profiles had"
    )


def _histogram(merged: Profile) -> dict[str, int]:
    """Return how many facts were seen in how many recordings; "0" are those of which it is not known."""
    counts = Counter(len(merged.sightings.get(fact, ())) for fact in merged.facts)
    return {str(number): counts[number] for number in sorted(counts)}


def _seen(merged: Profile) -> str:
    """Return how steady the recordings are, in words."""
    number = merged.counted_recordings
    counts = _histogram(merged)
    everywhere, once = counts.get(str(number), 0), counts.get("1", 0)
    words = f"seen in all {_counted(number, 'recording')}: {_counted(everywhere, 'fact')}"
    words += f"; in one only: {_counted(once, 'fact')}" if number > 1 else ""
    return words + (f"; not known of {_counted(counts['0'], 'fact')}" if "0" in counts else "")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _remarks(merged: Profile) -> list[str]:
    """Return what is wrong with the merged profile: what was lost, what nobody saw, what this version cannot read."""
    remarks = [f"lost while recording: {loss.kind} ({loss.count})" for loss in merged.header.losses]
    if merged.header.unobserved:
        remarks.append(f"no recording saw {', '.join(merged.header.unobserved)}")
    if merged.header.other_settings:
        remarks.append("the recordings were made under different settings of the unit")
    if merged.unknown_keys:
        remarks.append(f"{_counted(merged.unknown_keys, 'field')} of a newer unit-tailor left out")
    return remarks
