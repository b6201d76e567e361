"""What commands tell the user at their end, as lines: computed here, printed there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from policy.blame import Blame
from policy.minimal import Piece
from policy.relax import Relaxation
from policy.replay import Replayed
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from policy.wording import behaviour_in_words, denial_in_words, outcome_in_words, place_in_words
from profiler.run import pasteable
from profiler.terminal import printable

if TYPE_CHECKING:  # generate and replay start without the rooms that act
    from profiler.minimisation import Minimised, Order
    from profiler.record import Recorded
    from profiler.validate.relaxing import Relaxed
    from profiler.validate.validation import Verdict

SHOWN = 20
"""How many denials are listed before the rest is only counted."""


def recording_summary(recorded: Recorded, destination: Path, *, next_command: bool = True) -> list[str]:
    """Return what was recorded, what was not, where it is, and the next command if that is wanted."""
    profile = recorded.profile
    lines = [f"recorded {len(profile.facts)} facts from {recorded.lines} traced events: {printable(str(destination))}"]
    if profile.header.unobserved:
        lines.append(f"not exercised: {', '.join(profile.header.unobserved)}")
    if recorded.lived.interrupted:
        lines.append("ended by Ctrl-C: the recording is kept; what the service would have done later is not in it")
    if recorded.status:
        lines.append(f"note: the command {_how_it_ended(recorded.status)}; what it did until then is recorded")
    if recorded.lived.ended_on_reload:
        lines.append(
            f"note: the service ended on reload ({recorded.lived.ended_on_reload}) and was started again:"
            " its program may not know the signal that ExecReload= sends"
        )
    if recorded.lived.health.problem:
        lines.append(f"warning: at the end of the recording {recorded.lived.health.problem}")
    lines += losses_in_words(profile)
    if next_command:
        lines.append(f"next: {pasteable(['unit-tailor', 'generate', str(destination)])}")
    return lines


def _how_it_ended(status: int) -> str:
    return f"was ended by signal {-status}" if status < 0 else f"failed with exit status {status}"


def losses_in_words(profile: Profile) -> list[str]:
    """Return what the recorder lost, and what that means."""
    losses = profile.header.losses
    lines = [f"lost: {loss.count} x {printable(loss.kind)} (for instance {printable(loss.sample)})" for loss in losses]
    if lines:
        lines.append("warning: the profile is partial: generate refuses it without --accept-partial")
    return lines


def denials_in_words(denials: Sequence[Denial], *, shown: int = SHOWN) -> list[str]:
    """Return one line for each of the first ``shown`` denials, and how many there are besides."""
    lines = [denial_in_words(denial) for denial in denials[:shown]]
    if len(denials) > shown:
        lines.append(f"... and {len(denials) - shown} more")
    return lines


def replay_summary(replayed: Replayed) -> str:
    """Return the verdict of a replay in one line."""
    summary = f"{replayed.judged} facts replayed, {len(replayed.blocked)} blocked"
    summary += f", {len(replayed.changed)} would fail with another errno" if replayed.changed else ""
    still_refused = len(replayed.still_refused)
    return summary + (f", {still_refused} refused as before, with another errno" if still_refused else "")


def validation_in_words(relaxed: Relaxed, unit: str) -> list[str]:
    """Return what a validation found: what was relaxed, what is blocked and by which line, and the verdict."""
    verdict = relaxed.verdict
    lines = relaxation_lines(relaxed.relaxations)
    lines += [f"systemd ignores: {printable(warning)}" for warning in verdict.warnings]
    lines += blame_in_words(relaxed.blamed)
    lines += vanished_in_words(verdict)
    if verdict.problem:
        lines.append(f"failed: {printable(verdict.problem)}")
    if relaxed.innocent:
        lines.append("the drop-in is not to blame: without any of its settings the same goes wrong")
    if verdict.fits:
        lines.append(f"{unit} works under the drop-in: nothing was blocked")
    else:
        lines.append(f"{unit} does not work under the drop-in; it has its own settings again")
    lines.append(
        f"exposure: {verdict.exposure_before} before, {verdict.exposure_after} after (systemd-analyze security)"
    )
    return lines


def template_advice(unit: str, template: str) -> list[str]:
    """Return what is to be known of a drop-in installed for a template: who was not tried, and how to undo it."""
    return [
        f"instances of {template} that did not run were not tried; they get it when they start",
        f"to undo it for all of them: unit-tailor revert {unit} --template",
    ]


def vanished_in_words(verdict: Verdict) -> list[str]:
    """Return what was not even tried any more, where something went wrong: it comes behind what was blocked."""
    if verdict.fits or not verdict.vanished:
        return []
    first = behaviour_in_words(verdict.vanished[0].behaviour)
    return [f"not tried any more: {len(verdict.vanished)} things that were done when it was recorded, such as: {first}"]


def blame_in_words(blamed: Sequence[Blame], *, shown: int = SHOWN) -> list[str]:
    """Return a paragraph for each cause: what was blocked, in which process and phase, by which line, and what would
    allow it."""
    lines = [line for one in blamed[:shown] for line in _blame_lines(one)]
    return lines + ([f"... and {len(blamed) - shown} more causes"] if len(blamed) > shown else [])


def _blame_lines(one: Blame) -> Iterator[str]:
    if one.denials:
        first = one.denials[0]
        more = f", and {len(one.denials) - 1} more" if len(one.denials) > 1 else ""
        yield f"blocked: {behaviour_in_words(first.fact.behaviour)}: {outcome_in_words(first)}{more}"
        seen = "" if first.changes_errno else " (as recorded before; it did not get that far now)"
        yield printable(f"  where: {place_in_words(first.fact)}{seen}")
    else:
        yield "blocked: something that cannot be seen; found by restarts without single settings"
    for line in one.lines:
        where = f"line {line.line} of the drop-in" if line.line else "the drop-in"
        yield printable(f"  by: {where}: {line.name}={line.value}")
    if not one.lines:
        yield printable(f"  by: {one.setting}" + (f" ({one.denials[0].note})" if one.denials else ""))
    for change in one.changes:
        yield printable(f"  the smallest change: {change.in_words}")


def minimisation_in_words(found: Minimised) -> list[str]:
    """Return what minimising took away, what that cost and gained, and what is refused now and not missed."""
    standing = found.standing
    lines = [f"not missed: {line}" for line in _pieces_in_words(standing.gone)]
    lines += [f"missed at a first start, and put back: {line}" for line in _pieces_in_words(found.put_back)]
    denials = found.verdict.denials if found.verdict is not None else ()
    lines += [f"refused now, and not missed: {_refusal(denial)}" for denial in denials[:SHOWN]]
    lines += [f"... and {len(denials) - SHOWN} more that are refused"] * (len(denials) > SHOWN)
    reused = f", {found.reused} answers from before" if found.reused else ""
    lines.append(
        f"{len(standing.gone)} pieces taken away, {len(standing.missed)} missed when tried alone, {len(standing.left)} "
        f"not tried: {standing.asked} questions in {found.seconds:.0f} s{reused}"
    )
    lines.append(f"system calls let through: {found.calls_before} before, {found.calls_after} after")
    lines.append(f"exposure: {found.exposure_before} before, {found.exposure_after} after (systemd-analyze security)")
    return lines


def minimisation_advice(found: Minimised, order: Order, drop_in: Path, profile: Path | None, output: Path) -> list[str]:
    """Return the command that installs the result, or goes on with a search that was cut short."""
    if found.complete:
        return installation_advice(order.unit, output)
    words = ["unit-tailor", "minimise", order.unit, str(drop_in), "-o", str(output), "--force"]
    words += ["--profile", str(profile)] if profile else []
    words += ["--workload", order.workload.command] if order.workload else []
    words += ["--check", order.check.command] if order.check else []
    words += [word for name in order.only for word in ("--only", name)]
    words += [word for package in order.machine_choice.packages for word in ("--package", package)]
    return ["cut short: what is proven so far was kept; next, to go on from here:", f"  {pasteable(words)}"]


def _refusal(denial: Denial) -> str:
    where = printable(place_in_words(denial.fact))
    return f"{behaviour_in_words(denial.fact.behaviour)}: {outcome_in_words(denial)} ({where})"


def _pieces_in_words(pieces: Sequence[Piece]) -> list[str]:
    words = [printable(str(piece)) for piece in pieces if not piece.calls]
    calls = sorted(name for piece in pieces for name in piece.calls)
    return words + (
        [f"{len(calls)} system calls ({' '.join(calls[:SHOWN])}{' ...' * (len(calls) > SHOWN)})"] if calls else []
    )


def relaxation_lines(relaxations: Sequence[Relaxation]) -> list[str]:
    """Return what was relaxed, each with its reason."""
    return [printable(f"relaxed: {relaxation}") for relaxation in relaxations]


def installation_advice(unit: str, drop_in: Path) -> list[str]:
    """Return the commands that install a drop-in permanently."""
    return [
        "next, to install it for good:",
        f"  {pasteable(['unit-tailor', 'apply', unit, str(drop_in)])}",
        "  (with --confirm-within 10min it goes away by itself unless you confirm it)",
    ]


def relaxing_advice(unit: str, drop_in: Path) -> list[str]:
    """Return the command that makes a drop-in fit."""
    return [
        "next, to allow the least of what is blocked:",
        f"  {pasteable(['unit-tailor', 'validate', unit, str(drop_in), '--relax'])}",
        "  (with the options that were given now)",
    ]
