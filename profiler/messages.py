"""What commands tell the user at their end, as lines: computed here, printed there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from policy.relax import Relaxation
from policy.replay import Replayed
from policy.sandbox.denial import Denial
from policy.service_profile import Profile
from policy.wording import denial_in_words
from profiler.record import Recorded
from profiler.run import pasteable
from profiler.terminal import printable
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
    if recorded.lived.health.problem:
        lines.append(f"warning: at the end of the recording {recorded.lived.health.problem}")
    lines += losses_in_words(profile)
    if next_command:
        lines.append(f"next: {pasteable(['unit-tailor', 'generate', str(destination)])}")
    return lines


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


def verdict_in_words(verdict: Verdict, unit: str) -> list[str]:
    """Return what a validation found."""
    lines = [f"systemd ignores: {printable(warning)}" for warning in verdict.warnings]
    lines += [f"blocked: {line}" for line in denials_in_words(verdict.denials)]
    if verdict.problem:
        lines.append(f"failed: {printable(verdict.problem)}")
    if verdict.fits:
        lines.append(f"{unit} works under the drop-in: nothing was blocked")
    else:
        lines.append(f"{unit} does not work under the drop-in; it has its own settings again")
    lines.append(
        f"exposure: {verdict.exposure_before} before, {verdict.exposure_after} after (systemd-analyze security)"
    )
    return lines


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
