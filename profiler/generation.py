"""From a profile to the text of a drop-in, with the reason for each line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from policy.advice import Advice, advise
from policy.decide import Decision, decide
from policy.drop_in import DropIn, Setting
from policy.drop_in_for import drop_in_settings
from policy.host_facts import HostFacts
from policy.level import Level
from policy.replay import replay
from policy.service_profile import Profile
from policy.template import for_all_instances, template_of
from policy.wording import denial_in_words
from profiler.drop_in_file import FOR_ALL_INSTANCES
from profiler.errors import ExitCode, ToolError, UsageError
from profiler.version import VERSION


@dataclass(frozen=True)
class Generated:
    """A drop-in and how it was decided."""

    decision: Decision
    drop_in: DropIn

    @cached_property
    def advice(self) -> tuple[Advice, ...]:
        """What could make the service safer still, but is not for a recording to decide."""
        return advise(self.decision)

    @property
    def text(self) -> str:
        """The drop-in as it is written."""
        return self.drop_in.render()


def generate(
    profile: Profile,
    host: HostFacts,
    *,
    accept_partial: bool = False,
    level: Level = Level.STANDARD,
    template: bool = False,
) -> Generated:
    """Return the tightest drop-in of a level for a profile, for all instances of its ``template`` if that is asked for.

    Raises UsageError for a template where the unit is no instance of one; ToolError for a profile without facts, for a
    partial one unless that is accepted, and if no settings were found under which all that was recorded is allowed.
    """
    check_usable(profile, accept_partial=accept_partial)
    decision = decide(profile, host, level)
    if decision.remaining:
        raise ToolError(
            f"no settings allow everything that was recorded: {denial_in_words(decision.remaining[0])}",
            hint="this is a gap in the model: please report it with the profile",
        )
    settings = tuple(
        Setting(name, value, tuple(comments) if position == 0 else ())
        for name, values, comments in drop_in_settings(decision)
        for position, value in enumerate(values)
    )
    if not template:
        return Generated(decision, DropIn(settings, header(profile, host, level), VERSION))
    general = _for_all_instances(settings, profile, host)
    lines = header(profile, host, level, template_of(profile.header.unit.name))
    return Generated(decision, DropIn(general, lines, VERSION))


def _for_all_instances(settings: tuple[Setting, ...], profile: Profile, host: HostFacts) -> tuple[Setting, ...]:
    """Return the settings for the template; as they are, should the recorded instance not survive the general form."""
    unit = profile.header.unit.name
    if not template_of(unit):
        raise UsageError(f"{unit} is not an instance of a template", hint="leave out --template")
    general = for_all_instances([(setting.name, setting.value) for setting in settings], unit)
    if replay(profile, general, host).denials:
        return settings
    changed = (replace(setting, value=value) for setting, (_, value) in zip(settings, general, strict=True))
    return tuple({(setting.name, setting.value): setting for setting in reversed(tuple(changed))}.values())[::-1]


def check_usable(profile: Profile, *, accept_partial: bool) -> None:
    """Raise ToolError if a drop-in made from this profile could block what nobody saw."""
    if not profile.facts:
        raise ToolError("the profile holds no facts: nothing was recorded", hint="record again, with a --workload")
    if profile.is_partial and not accept_partial:
        lost = ", ".join(f"{loss.count} x {loss.kind}" for loss in profile.header.losses)
        raise ToolError(
            f"the profile is partial (lost: {lost}): the drop-in could block what was lost",
            hint="record again, or accept the risk with --accept-partial",
            exit_code=ExitCode.INCOMPLETE,
        )


def header(profile: Profile, host: HostFacts, level: Level = Level.STANDARD, template: str = "") -> tuple[str, ...]:
    """Return the comment lines at the top of a drop-in: for what it was made, and what was not seen."""
    known = profile.header
    recorders = ", ".join(known.recorders) or "an unknown recorder"
    lines = [
        f"for {known.unit.name} on systemd {host.systemd_version}, from {len(profile.facts)} facts"
        f" in {len(known.recordings)} recording(s) by {recorders}",
        "What was recorded is allowed, what was not is not: only what the workload did is covered.",
    ]
    if template:
        lines.insert(1, f"{FOR_ALL_INSTANCES}{template}: others may do what this one was not seen to do")
    if level is not Level.STANDARD:
        lines.insert(1, f"level: {level}")
    if known.unobserved:
        lines.append(f"not exercised while recording: {', '.join(known.unobserved)}")
    if known.interrupted:
        lines.append(f"ended early, by Ctrl-C: {known.interrupted} of {len(known.recordings)} recording(s)")
    if known.other_settings:
        lines.append("the unit's own settings were changed between the recordings")
    if profile.is_partial:
        lines.append("made from a partial profile, by request")
    return tuple(lines)
